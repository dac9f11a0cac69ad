"""Speed of the batteries on this machine."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from time import perf_counter

import numpy as np

from adapters.pybamm.circuit import circuit
from adapters.pybamm.fleet import Group
from adapters.pybamm.kernel import Kernel, load
from adapters.pybamm.options import CellOptions
from adapters.pybamm.packs import Packs
from adapters.pybamm.reservoir import Reservoirs
from adapters.pybamm.spec import PackSpec
from adapters.pybamm.tick import Floats, Request
from cosim.health import Measurement

FLEETS = (500, 10_200, 100_000)
TICKS_PER_DAY = 288
BARE_TICKS = 30
UNIT = "us/EV/tick"


def bench() -> list[Measurement]:
    """Measure a battery tick per vehicle, beside PyBaMM's own step of one cell.

    Returns
    -------
    list of Measurement
        Microseconds per vehicle and tick on one core, median; limits, wear and state of health
        included. The ratio is to one ``Simulation.step`` of 300 s with IDAKLU at the engine's
        default tolerances, same model and mesh, in the same run. Names and notes are as short as
        a row of 80 columns needs.
    """
    rows: list[Measurement] = []
    for model in ("SPM", "SPMe"):
        options = CellOptions(model=model)
        load(options)
        warm_s = _median_s(lambda options=options: load(options), 3)
        bare_s = _bare_step_s(options)
        name = model.lower()
        rows += [
            Measurement(f"{name}, start from cache", warm_s * 1e3, "ms"),
            Measurement(f"{name}, PyBaMM's step", bare_s * 1e6, UNIT, note="IDAKLU"),
        ]
        for kernel in _kernels(options):
            for count in FLEETS if kernel.backend == "c" else FLEETS[:2]:
                each_s = _tick_s(Packs(kernel, *_spec(count)), count) / count
                what = f"{name}, {count:,} EVs, {kernel.backend}"
                ratio = each_s / bare_s
                note = f"{1 / ratio:,.0f}x PyBaMM"
                rows.append(Measurement(what, each_s * 1e6, UNIT, ratio, note))
                if count == FLEETS[1]:
                    day_s = each_s * count * TICKS_PER_DAY
                    note = f"{count:,} EVs"
                    rows.append(
                        Measurement(f"{name}, day, {kernel.backend}", day_s, "s", None, note)
                    )
    return rows + _reservoirs()


def _reservoirs() -> list[Measurement]:
    rows: list[Measurement] = []
    for count in FLEETS[:2]:
        spec, soc = _spec(count)
        each_s = _tick_s(Reservoirs(circuit("nmc"), spec, soc), count) / count
        what = f"reservoir, {count:,} EVs"
        rows.append(Measurement(what, each_s * 1e6, UNIT, None, "numpy"))
    return rows


def _kernels(options: CellOptions) -> list[Kernel]:
    """Return the kernel that a run takes, and numpy's beside it."""
    chosen = load(options)
    return [chosen] if chosen.backend == "numpy" else [chosen, load(options, "numpy")]


def _spec(count: int) -> tuple[PackSpec, Floats]:
    full = np.full(count, 1.0)
    soc = np.random.default_rng(2).uniform(0.3, 0.8, count)
    return PackSpec.of(75 * full, 400 * full, 150 * full, 200 * full), soc


def _tick_s(packs: Group, count: int) -> float:
    rng = np.random.default_rng(1)
    full = np.full(count, 1.0)
    traction = rng.uniform(0, 1.5, count) * (rng.random(count) < 0.4)
    plug = np.where(traction == 0, rng.uniform(-11, 50, count), 0)
    request = Request(traction, plug, 0.93 * full, 20 * full)
    return _median_s(lambda: packs.advance(0, request), 5)


def _bare_step_s(options: CellOptions) -> float:
    import pybamm

    from adapters.pybamm.parts import mesh, simulation_parts

    base, values, _ = simulation_parts(options)
    values.update({"Power function [W]": "[input]"})
    make = getattr(pybamm.lithium_ion, options.model)
    model = make({**base.options, "operating mode": "power"})
    model.events = []
    simulation = pybamm.Simulation(
        model, parameter_values=values, solver=pybamm.IDAKLUSolver(), **mesh(options, model)
    )
    simulation.build(initial_soc=0.6, inputs={"Power function [W]": 0.0})
    powers = iter(np.random.default_rng(1).uniform(1, 5, BARE_TICKS + 1))

    def step() -> None:
        inputs = {"Power function [W]": float(next(powers))}
        simulation.step(options.tick_s, save=False, inputs=inputs)

    step()
    return _median_s(step, BARE_TICKS)


def _median_s(work: Callable[[], object], times: int) -> float:
    seconds: list[float] = []
    for _ in range(times):
        start = perf_counter()
        work()
        seconds.append(perf_counter() - start)
    return median(seconds)
