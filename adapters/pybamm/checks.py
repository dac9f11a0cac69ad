"""What a scenario must not ask of batteries; checked before anything is built."""

from __future__ import annotations

from functools import cache

from adapters.pybamm import backend
from adapters.pybamm.chemistry import CHEMISTRIES
from adapters.pybamm.circuit import circuit
from adapters.pybamm.reservoir import Reservoirs
from adapters.pybamm.spec import Life, PackSpec
from cosim.assets import models
from cosim.errors import Problem, nearest
from cosim.scenario import Scenario
from networks.vehicles import VehicleSpec

SUSTAINED_SHARE = 0.4
"""Power that a drive must hold for minutes over its rated power, which is a peak of seconds. Cars
as these are registered with 30-minute powers (UN Regulation No. 85) of 0.4 to 0.5 of their peaks
(from memory, not re-checked); at a steady 130 km/h they draw a fifth of the peak."""
AT_SOC, AT_C = 0.5, 25.0
"""State of charge and temperature [degC] of the new pack that must sustain it."""


def problems(scenario: Scenario) -> list[Problem]:
    """Return what is wrong with the batteries of a scenario.

    Parameters
    ----------
    scenario
        A scenario of which the battery, the chemistry and the body types are right.

    Returns
    -------
    list of Problem
        The environment asks for a backend that there is not; and one for each model whose pack
        cannot pass what its motors and fast charging are rated for, or cannot sustain for a tick
        what driving needs for minutes.
    """
    found = _backend_problems() if scenario.battery.kind != "reservoir" else []
    chosen = scenario.battery.chemistry.model_dump()
    for spec in dict.fromkeys(spec for part in models(scenario).values() for spec in part):
        name = chosen[spec.body]
        fit = [other for other in CHEMISTRIES if not _too_weak(spec, other)]
        found += [
            Problem(
                f"battery.chemistry.{spec.body}",
                name,
                f"cannot be the cells of the {spec.model}: {reason}",
                fit[0] if fit else "",
            )
            for reason in _too_weak(spec, name)
        ]
    return found


def _backend_problems() -> list[Problem]:
    asked = backend.of_environment()
    if asked is None:
        return []
    if asked not in backend.BACKENDS:
        allowed = f"in the environment must be {' or '.join(backend.BACKENDS)}, or not be set"
        near = nearest(asked, backend.BACKENDS)
        return [Problem(backend.VARIABLE, repr(asked), allowed, near)]
    if missing := backend.missing(asked):
        return [Problem(backend.VARIABLE, repr(asked), f"cannot be had: {missing}", "numpy")]
    return []


def _too_weak(spec: VehicleSpec, name: str) -> list[str]:
    return [*_beyond_ratings(spec, name), *_not_sustained(spec, name)]


def _beyond_ratings(spec: VehicleSpec, name: str) -> list[str]:
    """Peaks of seconds: as currents, for which the model is used up to some C-rate."""
    chemistry = CHEMISTRIES[name]
    asked = (
        ("motors draw", _motors_kw(spec), chemistry.discharge_c_rate),
        ("fast charging gives", spec.dc_charge_kw, chemistry.charge_c_rate),
    )
    return [
        f"its {what} up to {power_kw:.0f} kW, and {spec.battery_kwh:g} kWh of them may only pass "
        f"{c_rate * spec.battery_kwh:.0f} kW ({c_rate:g} times the capacity in an hour)"
        for what, power_kw, c_rate in asked
        if power_kw > c_rate * spec.battery_kwh
    ]


def _not_sustained(spec: VehicleSpec, name: str) -> list[str]:
    needed_kw = SUSTAINED_SHARE * _motors_kw(spec)
    held_kw = sustained_kw(name, spec.battery_kwh, _motors_kw(spec))
    if held_kw >= needed_kw:
        return []
    return [
        f"driving needs {needed_kw:.0f} kW for minutes (0.4 of what its motors draw at most), and "
        f"{spec.battery_kwh:g} kWh of them sustain {held_kw:.0f} kW half charged at {AT_C:g} degC"
    ]


def _motors_kw(spec: VehicleSpec) -> float:
    return spec.motor_kw / spec.propulsion_efficiency


@cache
def sustained_kw(chemistry: str, battery_kwh: float, rated_kw: float) -> float:
    """Power that a new pack gives through a whole tick, half charged at 25 degC [kW].

    As the circuit of the chemistry foresees it, which is fitted to what SPMe cells foresee: without
    a cell model, whose first start takes long.

    Parameters
    ----------
    chemistry
        Its cells.
    battery_kwh
        Its energy [kWh].
    rated_kw
        Most power that is asked of it [kW].
    """
    table = circuit(chemistry)
    spec = PackSpec.of(battery_kwh, table.constants["mean_v"], rated_kw, rated_kw)
    pack = Reservoirs(table, spec, AT_SOC, Life(age_years=0.0), initial_temperature_c=AT_C)
    return float(pack.discharge_limit_kw[0])
