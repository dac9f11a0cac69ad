"""What diffuses in a cell, in the particles and in the electrolyte, as CasADi expressions."""

from __future__ import annotations

from typing import Any

import casadi as ca

from adapters.pybamm.export import PLATED, Model

GAMMA = 1 - 0.5**0.5
"""Parameter of ROS2 that makes it L-stable; see `method`."""
ELECTROLYTE = "Porosity times concentration"
"""Part of the name of the electrolyte's states."""


class Diffusion:
    """What diffuses, over a step of constant current, linearised; side reactions left out.

    The step is ROS2 of the linear problem, so it is stable whatever its length: where diffusivity
    depends on the state, the inner stage of a nonlinear one overshoots by up to 1 / g, to where
    diffusivity means nothing.

    Parameters
    ----------
    model
        The cell model.
    at
        State about which diffusion is linearised.
    electrolyte_at
        The same for the electrolyte, if another: only there diffusivity depends on what diffuses.
    ambient
        Ambient temperature [K].
    h
        Length of the step [s].
    """

    def __init__(
        self, model: Model, at: Any, ambient: Any, h: Any, electrolyte_at: Any = None
    ) -> None:
        self._model, self._h = model, h
        self.mask = ca.DM.zeros(at.numel())
        """1 for states that diffuse and 0 for the others."""
        for start, stop in model.groups:
            if stop - start > 1:
                self.mask[start:stop] = 1
        state, symbol = ca.SX.sym("state", at.numel()), ca.SX.sym("i")
        rate = self.mask * model.f(state, ca.vertcat(symbol, ambient, 0))[0]
        parts = [rate, ca.jacobian(rate, symbol), self._of_groups(ca.jacobian(rate, state))]
        salt = salt_states(model)
        self._at, self._rest, self._b, self._jacobian = (
            at,
            *(ca.substitute(part, ca.vertcat(state, symbol), ca.vertcat(at, 0)) for part in parts),
        )
        if electrolyte_at is not None and salt.nnz():
            there = ca.vertcat(electrolyte_at, 0)
            rest, b, jacobian = (
                ca.substitute(part, ca.vertcat(state, symbol), there) for part in parts
            )
            self._at = salt * electrolyte_at + (1 - salt) * at
            self._rest = salt * rest + (1 - salt) * self._rest
            self._b = salt * b + (1 - salt) * self._b
            rows = ca.diag(ca.sparsify(salt))
            others = ca.diag(ca.sparsify(1 - salt))
            self._jacobian = ca.sparsify(
                ca.mtimes(rows, jacobian) + ca.mtimes(others, self._jacobian)
            )
        self._solve = factorise(ca.SX.eye(at.numel()) - GAMMA * h * self._jacobian)

    def answer(self, x: Any, current: Any) -> Any:
        """Return the change from `x` in a step of this current."""
        from_there = ca.mtimes(self._jacobian, self.mask * (x - self._at))
        return self._two_stages(self._rest + self._b * current + from_there)

    def per_ampere(self, before: Any) -> Any:
        """Return the answer per ampere after one more step, from the answer `before` it."""
        return before + self._two_stages(ca.mtimes(self._jacobian, before) + self._b)

    def ramp(self) -> Any:
        """Return the answer to a current that rises from 0 to 1 A in a step.

        ROS2 in its form for a right-hand side that depends on time, where h J k1 is known from k1.
        """
        b = self._b
        k1 = self._solve(GAMMA * b)
        k2 = self._solve(b + (k1 - GAMMA * b) / GAMMA - GAMMA * b - 2 * k1)
        return self._h * (1.5 * k1 + 0.5 * k2)

    def _two_stages(self, rate: Any) -> Any:
        k1 = self._solve(rate)
        # J h k1 is known from what k1 solves.
        k2 = self._solve(rate + (k1 - rate) / GAMMA - 2 * k1)
        return self._h * (1.5 * k1 + 0.5 * k2)

    def _of_groups(self, full: Any) -> Any:
        block = ca.SX(*full.shape)
        for start, stop in self._model.groups:
            if stop - start > 1:
                block[start:stop, start:stop] = full[start:stop, start:stop]
        return ca.sparsify(block)


def salt_states(model: Model) -> Any:
    """Return 1 for states of the electrolyte and 0 for the others."""
    salt = ca.DM.zeros(model.f.size1_in(0))
    for name, (start, stop) in zip(model.names, model.groups, strict=True):
        if ELECTROLYTE in name:
            salt[start:stop] = 1
    return salt


def plating_slope(model: Model, x: Any, current: Any, ambient: Any) -> Any:
    """Return the diagonal of df/dx for the plated lithium, 0 elsewhere."""
    slope = ca.SX.zeros(x.numel())
    state, symbol = ca.SX.sym("state", x.numel()), ca.SX.sym("i")
    for name, (start, _) in zip(model.names, model.groups, strict=True):
        if PLATED in name:
            rate = model.f(state, ca.vertcat(symbol, ambient, 1))[0][start]
            own = ca.jacobian(rate, state[start])
            slope[start] = ca.substitute(own, ca.vertcat(state, symbol), ca.vertcat(x, current))
    return slope


def factorise(matrix: Any) -> Any:
    """Solver of ``matrix @ y = b`` by sparse LU without pivoting, written out as expressions.

    Stable for the diagonally dominant matrices of an implicit diffusion step.
    """
    n = matrix.shape[0]
    upper: list[dict[int, Any]] = [{} for _ in range(n)]
    lower: list[dict[int, Any]] = [{} for _ in range(n)]
    rows, columns = matrix.sparsity().get_triplet()
    for i, j in zip(rows, columns, strict=True):
        upper[i][j] = matrix[i, j]
    inverse: list[Any] = []
    for k in range(n):
        inverse.append(1 / upper[k][k])
        for i in range(k + 1, n):
            if k in upper[i]:
                factor = lower[i][k] = upper[i].pop(k) * inverse[k]
                for j, value in upper[k].items():
                    if j > k:
                        upper[i][j] = upper[i].get(j, 0) - factor * value

    def solve(b: Any) -> Any:
        y = [b[i] for i in range(n)]
        for i in range(n):
            for k, factor in lower[i].items():
                y[i] = y[i] - factor * y[k]
        for i in reversed(range(n)):
            known = sum(value * y[j] for j, value in upper[i].items() if j > i)
            y[i] = (y[i] - known) * inverse[i]
        return ca.vertcat(*y)

    return solve
