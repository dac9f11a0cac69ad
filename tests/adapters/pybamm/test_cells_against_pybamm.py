"""Cells against PyBaMM's own solution (IDAKLU, rtol 1e-8, same mesh, same constant powers)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from adapters.pybamm.kernel import Kernel

Floats = NDArray[np.float64]


@dataclass
class Trace:
    voltage_v: Floats
    """Inside every tick, at the ends of all substeps but the last."""
    soc: Floats
    temperature_k: Floats
    sei_m: float
    """At the end."""


def _profiles(ticks: int) -> dict[str, tuple[float, float, Floats]]:
    """Start state of charge, ambient [degC] and power out of the cell [W] of each tick."""
    rng = np.random.default_rng(7)
    city = rng.uniform(-1.5, 8.0, ticks)
    fast = np.zeros(ticks)
    fast[2:7], fast[7:9] = -30.0, -12.0
    fast[12:] = rng.uniform(0, 8, ticks - 12) * (rng.random(ticks - 12) < 0.5) * (36 / ticks)
    feed = np.zeros(ticks)
    feed[3 : 3 + ticks // 3] = 4.0
    feed[-ticks // 4 :] = -5.0
    return {
        "city": (0.95, 20.0, city * min(1.0, 36 / ticks)),
        "fast charge": (0.10, 25.0, fast),
        "v2g": (0.80, 10.0, feed * min(1.0, 40 / ticks)),
        "idle": (0.50, 40.0, np.zeros(ticks)),
    }


def _ours(kernel: Kernel, start: float, ambient_c: float, power_w: Floats) -> Trace:
    c = kernel.constants
    (empty,), (full,) = kernel.balance(np.ones(1))
    negative = np.array([empty + start * (full - empty)])
    positive = (c["lithium_ah"] - negative * c["negative_capacity_ah"]) / c["positive_capacity_ah"]
    state = kernel.at_rest(negative, positive, np.array([298.15]), np.array([c["sei_initial_m"]]))
    x, r, seen = state, np.zeros((6, 1)), np.empty((4, 1))
    voltage: list[float] = []
    soc: list[float] = []
    temperature: list[float] = []
    for power in power_w:
        limit = c["lower_v"] if power > 0 else c["upper_v"]
        bounds = [-1e3, 1e3] if power else [0.0, 0.0]
        for substep, step in enumerate(kernel.steps):
            q = np.array([[r[0, 0], power, ambient_c + 273.15, limit, *bounds]]).T
            step(x, np.ascontiguousarray(q), r)
            if substep:
                voltage.append(float(r[1, 0]))
        kernel.observe(x, seen)
        soc.append(float((seen[0, 0] - empty) / (full - empty)))
        temperature.append(float(seen[2, 0]))
    return Trace(np.array(voltage), np.array(soc), np.array(temperature), float(seen[3, 0]))


def _theirs(kernel: Kernel, start: float, ambient_c: float, power_w: Floats) -> Trace:
    import pybamm

    from adapters.pybamm.export import mesh, simulation_parts

    options = kernel.options
    base, values, _ = simulation_parts(options)
    values.update({"Power function [W]": "[input]", "Ambient temperature [K]": ambient_c + 273.15})
    model = pybamm.lithium_ion.SPM({**base.options, "operating mode": "power"})
    model.events = []
    simulation = pybamm.Simulation(
        model,
        parameter_values=values,
        solver=pybamm.IDAKLUSolver(rtol=1e-8, atol=1e-8),
        **mesh(options, model),
    )
    simulation.build(initial_soc=start, inputs={"Power function [W]": 0.0})
    (empty,), (full,) = kernel.balance(np.ones(1))
    voltage: list[float] = []
    soc: list[float] = []
    temperature: list[float] = []
    solution: Any = None
    for power in power_w:
        for substep, length_s in enumerate(options.substeps_s):
            solution = simulation.step(
                length_s, save=False, inputs={"Power function [W]": float(power)}
            )
            if substep < len(options.substeps_s) - 1:
                voltage.append(float(solution["Voltage [V]"].entries[-1]))
        x = float(solution["Average negative particle stoichiometry"].entries[-1])
        soc.append(float((x - empty) / (full - empty)))
        temperature.append(float(solution["Volume-averaged cell temperature [K]"].entries[-1]))
    sei_m = float(solution["X-averaged negative SEI thickness [m]"].entries[-1])
    return Trace(np.array(voltage), np.array(soc), np.array(temperature), sei_m)


def _compare(kernel: Kernel, name: str, ticks: int) -> None:
    profile = _profiles(ticks)[name]
    ours, theirs = _ours(kernel, *profile), _theirs(kernel, *profile)
    error_mv = (ours.voltage_v - theirs.voltage_v) * 1000
    soc_error = np.abs(ours.soc - theirs.soc).max()
    temperature_error = np.abs(ours.temperature_k - theirs.temperature_k).max()
    print(
        f"{name}: voltage {np.sqrt(np.mean(error_mv**2)):.4f} mV rms, "
        f"{np.abs(error_mv).max():.3f} mV max, SoC {soc_error:.2e}, T {temperature_error:.4f} K"
    )
    assert np.sqrt(np.mean(error_mv**2)) < 0.5
    assert soc_error < 5e-4
    assert temperature_error < 0.1
    grown = theirs.sei_m - kernel.constants["sei_initial_m"]
    assert ours.sei_m - theirs.sei_m == pytest.approx(0, abs=1e-3 * grown)


@pytest.mark.parametrize("name", ["city", "fast charge", "v2g", "idle"])
def test_three_hours_follow_pybamm(kernel: Kernel, name: str) -> None:
    _compare(kernel, name, 36)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["city", "fast charge", "v2g", "idle"])
def test_a_day_follows_pybamm(kernel: Kernel, name: str) -> None:
    _compare(kernel, name, 288)


def test_balance_equals_pybamms_electrode_state_of_health(kernel: Kernel) -> None:
    import pybamm

    values = pybamm.ParameterValues("Chen2020")
    solver = pybamm.lithium_ion.ElectrodeSOHSolver(values)
    c = kernel.constants
    for fraction in (1.0, 0.97, 0.85, 0.7):
        reference = solver.solve(
            {
                "Q_n": c["negative_capacity_ah"],
                "Q_p": c["positive_capacity_ah"],
                "Q_Li": c["lithium_ah"] * fraction,
            }
        )
        empty, full = kernel.balance(np.array([fraction]))
        # PyBaMM's solver stops at 1e-6.
        assert empty[0] == pytest.approx(float(reference["x_0"]), abs=2e-6)
        assert full[0] == pytest.approx(float(reference["x_100"]), abs=2e-6)
