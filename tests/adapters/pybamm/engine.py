"""One cell, stepped by our kernel and by PyBaMM's own simulation, with the same powers."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any
from unittest import mock

import numpy as np
from numpy.typing import ArrayLike, NDArray

from adapters.pybamm import export, parts
from adapters.pybamm.condition import BALANCE_OUTPUTS
from adapters.pybamm.constants import FARADAY_C_PER_MOL, ZERO_C_K
from adapters.pybamm.kernel import Kernel
from adapters.pybamm.method import STEP_INPUTS, STEP_OUTPUTS

Floats = NDArray[np.float64]
CRACKS = "Loss of lithium to negative SEI on cracks [mol]"
START_K = 298.15
GRADIENT = 1e-6
"""Share by which a particle of the engine starts fuller at its surface than at its centre: the rate
of its cracks goes with stress to a power, whose slope IDAKLU cannot evaluate at a stress of 0."""
MODERATE_W = 19.18
"""Energy of the cell for which the powers of `profiles` are written [W h]."""


@dataclass(frozen=True)
class Profile:
    soc: float
    ambient_c: float
    power_w: Floats
    """Power out of the cell of each tick."""


@dataclass(frozen=True)
class Trace:
    voltage_v: Floats
    """Inside every tick, at the ends of all steps but the last."""
    soc: Floats
    """At the end of every tick, as are the others."""
    temperature_k: Floats
    capacity_ah: Floats


def profiles(kernel: Kernel, ticks: int) -> dict[str, Profile]:
    """Return a day, or as many ticks, of each of the four uses."""
    rng = np.random.default_rng(7)
    scale = kernel.constants["new_energy_wh"] / MODERATE_W
    city = rng.uniform(-1.5, 8.0, ticks) * min(1.0, 36 / ticks)
    fast = np.zeros(ticks)
    fast[2:7], fast[7:9] = -30.0, -12.0
    drives = rng.random(ticks - 12) < 0.5
    fast[12:] = rng.uniform(0, 8, ticks - 12) * drives * (36 / ticks)
    feed = np.zeros(ticks)
    feed[3 : 3 + ticks // 3] = 4.0
    feed[-ticks // 4 :] = -5.0
    feed *= min(1.0, 40 / ticks)
    return {
        "city": Profile(0.95, 20.0, scale * city),
        "fast charge": Profile(0.10, 25.0, scale * fast),
        "v2g": Profile(0.80, 10.0, scale * feed),
        "idle": Profile(0.50, 40.0, np.zeros(ticks)),
    }


def ours(kernel: Kernel, profile: Profile) -> Trace:
    """Step a new cell through the profile, limits out of the way."""
    x = _rest(kernel, profile.soc)
    r, seen = np.zeros((len(STEP_OUTPUTS), 1)), np.empty((len(export.FIELDS), 1))
    voltage: list[float] = []
    views: list[Floats] = []
    for power in profile.power_w:
        ask = {
            "current_a": r[STEP_OUTPUTS.index("current_a"), 0],
            "power_w": power,
            "ambient_k": profile.ambient_c + ZERO_C_K,
            "limit_v": kernel.constants["lower_v" if power > 0 else "upper_v"],
            "lowest_a": -1e3 if power < 0 else 0.0,
            "highest_a": 1e3 if power > 0 else 0.0,
            "charge_a": 1e3,
            "discharge_a": 1e3,
            "heater_w": 0.0,
            "cooling_w_k": kernel.constants["cooling_w_k"],
            "heat_capacity_j_k": kernel.constants["heat_capacity_j_k"],
        }
        for step, length_s in enumerate(kernel.options.substeps_s):
            ask["step_s"] = length_s
            kernel.step(x, np.array([[ask[name]] for name in STEP_INPUTS]), r)
            ask["current_a"] = r[STEP_OUTPUTS.index("current_a"), 0]
            if step:
                voltage.append(float(r[STEP_OUTPUTS.index("first_v"), 0]))
        kernel.observe(x, seen)
        views.append(seen[:, 0].copy())
    return _trace(kernel, voltage, np.array(views).T)


def _rest(kernel: Kernel, soc: float) -> Floats:
    negative, positive = (np.array([value]) for value in stoichiometries(kernel, soc))
    sei = np.array([kernel.constants["sei_initial_m"]])
    return kernel.at_rest(negative, positive, np.array([START_K]), sei)


def stoichiometries(kernel: Kernel, soc: float) -> tuple[float, float]:
    """Return those of the negative and the positive particles of a new cell."""
    c = kernel.constants
    negative = c["new_empty"] + soc * (c["new_full"] - c["new_empty"])
    lithium = c["lithium_ah"] - negative * c["negative_capacity_ah"]
    return negative, lithium / c["positive_capacity_ah"]


def _trace(kernel: Kernel, voltage: ArrayLike, views: Floats) -> Trace:
    c = kernel.constants
    see = dict(zip(export.FIELDS, views, strict=True))
    plated = see["plated_mol"] * FARADAY_C_PER_MOL / 3600 / c["negative_capacity_ah"]
    soc = (see["negative"] + plated - c["new_empty"]) / (c["new_full"] - c["new_empty"])
    return Trace(np.array(voltage), soc, see["temperature_k"], capacity_ah(kernel, see))


def capacity_ah(kernel: Kernel, view: Mapping[str, Floats]) -> Floats:
    """Capacity with the lithium that side reactions and lost material leave.

    It is counted from what is bound, not from what the particles hold, for the reason given at
    `_with_cracks`.
    """
    c = kernel.constants
    lost = view["side_mol"] - view["plated_mol"]
    lost = lost + view["negative_loss_mol"] + view["positive_loss_mol"]
    lithium = c["lithium_ah"] - lost * FARADAY_C_PER_MOL / 3600
    electrodes = [
        view[f"{side}_fraction"] / c[f"{side}_fraction"] * c[f"{side}_capacity_ah"]
        for side in ("negative", "positive")
    ]
    ends = np.array([[c["new_empty"]], [c["new_full"]]]).repeat(len(lithium), axis=1)
    figures = np.vstack([lithium, *electrodes])
    new = np.array([[c[name]] for name in ("lithium_ah", "negative_capacity_ah",
                                           "positive_capacity_ah")])  # fmt: skip
    found = np.empty((len(BALANCE_OUTPUTS), len(lithium)))
    for share in (*np.linspace(0, 1, 16), 1, 1, 1):
        kernel.balance(np.vstack([ends, new + share * (figures - new)]), found)
        ends = found[:2].copy()
    return (ends[1] - ends[0]) * electrodes[0]


class Engine:
    """PyBaMM's simulation of the kernel's cell at given powers, IDAKLU with rtol 1e-8.

    With the heat of the interphase's resistance, which PyBaMM leaves out.

    Parameters
    ----------
    kernel
        Ours; the model, the parameters and the mesh are the same.
    options
        Options of PyBaMM in place of the kernel's.
    model
        Name of another model, on PyBaMM's default mesh, which starts exactly uniform.
    mended
        Whether PyBaMM's particles lose the lithium that the cracks bind, see `_with_cracks`.
    """

    def __init__(
        self,
        kernel: Kernel,
        options: Mapping[str, Any] | None = None,
        model: str | None = None,
        mended: bool = False,
    ) -> None:
        import pybamm

        self._kernel = kernel
        wanted = {**parts.model_options(kernel.options), **(options or {})}
        wanted["operating mode"] = "power"
        with _mended() if mended else nullcontext():
            cell: Any = getattr(pybamm.lithium_ion, model or kernel.options.model)(wanted)
        cell.events = []
        parts.warm_by_film(cell)
        values = parts.parameter_values(kernel.options.of_chemistry)
        start = {name: pybamm.InputParameter(name) for name in ("negative", "positive")}
        c = kernel.constants

        def gradient(side: str) -> Any:
            radius = values[f"{side.capitalize()} particle radius [m]"]
            most = c[f"{side}_max_mol_m3"]
            if model:
                return start[side] * most
            return lambda r, x: start[side] * most * (1 + GRADIENT * r / radius)

        values.update(
            {
                "Power function [W]": "[input]",
                "Ambient temperature [K]": "[input]",
                "Initial temperature [K]": START_K,
                export.INITIAL_NEGATIVE: gradient("negative"),
                export.INITIAL_POSITIVE: gradient("positive"),
            }
        )
        mesh = {} if model else parts.mesh(kernel.options, cell)
        solver = pybamm.IDAKLUSolver(rtol=1e-8, atol=1e-8)
        self._simulation: Any = pybamm.Simulation(
            cell, parameter_values=values, solver=solver, **mesh
        )
        self._mended, self._built = mended, False

    def run(self, profile: Profile, whole_ticks: bool = False) -> Trace:
        """Step a new cell through the profile; voltages only if not by whole ticks."""
        negative, positive = stoichiometries(self._kernel, profile.soc)
        given = {
            "Ambient temperature [K]": profile.ambient_c + ZERO_C_K,
            "negative": negative,
            "positive": positive,
        }
        if not self._built:
            self._simulation.build(inputs={**given, "Power function [W]": 0.0})
            self._built = True
        lengths_s = self._kernel.options.substeps_s
        if whole_ticks:
            lengths_s = (sum(lengths_s),)
        voltage: list[float] = []
        views: list[list[float]] = []
        solution: Any = None
        self._simulation._solution = None
        for power in profile.power_w:
            for step, length_s in enumerate(lengths_s):
                inputs = {**given, "Power function [W]": float(power)}
                solution = self._simulation.step(length_s, save=False, inputs=inputs)
                if step < len(lengths_s) - 1:
                    voltage.append(_last(solution, export.VOLTAGE))
            view = [_last(solution, name) for name in export.OBSERVED.values()]
            views.append([*self._with_cracks(view, solution), _plated_mol(solution)])
        return _trace(self._kernel, voltage, np.array(views).T)

    def _with_cracks(self, view: list[float], solution: Any) -> list[float]:
        """Take the lithium of the interphase on cracks out of the negative particles.

        PyBaMM's single-particle models forget it: the current of their particles is the total less
        that of the interphase and of stripping, and what the cracks bind is counted as lost while
        the particles keep it. Ours take it out, which moves the state of charge by 0.1 % in a day.
        """
        taken = (
            _last(solution, CRACKS)
            * FARADAY_C_PER_MOL
            / 3600
            / self._kernel.constants["negative_capacity_ah"]
        )
        return [view[0] - taken, *view[1:]]


@contextmanager
def _mended() -> Generator[None, None, None]:
    """Let PyBaMM's single-particle models take out of the particles what the cracks bind."""
    from pybamm.models.submodels.interface.kinetics.inverse_kinetics import base_inverse

    inverse: Any = base_inverse.CurrentForInverseKinetics
    stock = inverse.get_coupled_variables

    def with_cracks(self: Any, variables: Any) -> Any:
        if self.domain != "negative":
            return stock(self, variables)
        sei = "Negative electrode SEI interfacial current density [A.m-2]"
        cracks = variables["Negative electrode SEI on cracks interfacial current density [A.m-2]"]
        roughness = variables["Negative electrode roughness ratio"]
        both = variables.copy()
        both[sei] = variables[sei] + (roughness - 1) * cracks
        both = stock(self, both)
        both[sei] = variables[sei]
        return both

    with mock.patch.object(inverse, "get_coupled_variables", with_cracks):
        yield


def _last(solution: Any, name: str) -> float:
    return float(np.ravel(solution[name].entries)[-1])


def _plated_mol(solution: Any) -> float:
    both = _last(solution, "Loss of lithium to negative lithium plating [mol]")
    plated, dead = (
        _last(solution, f"Volume-averaged negative {what} concentration [mol.m-3]")
        for what in ("lithium plating", "dead lithium")
    )
    return both * plated / (plated + dead) if both else 0.0
