"""What a scenario must not ask of batteries; checked before anything is built."""

from __future__ import annotations

import networks.vehicles
from adapters.pybamm.chemistry import CHEMISTRIES
from cosim.errors import Problem
from cosim.scenario import Scenario


def problems(scenario: Scenario) -> list[Problem]:
    """Return what is wrong with the packs of the body types that the fleet has.

    Parameters
    ----------
    scenario
        A scenario of which the battery, the chemistry and the body types are right.

    Returns
    -------
    list of Problem
        One for each body type whose pack cannot deliver the power that its vehicle is rated for,
        or cannot take its charging power.
    """
    shares = scenario.fleet.body_types.model_dump()
    specs = networks.vehicles.load()
    found: list[Problem] = []
    for body, name in scenario.battery.chemistry.model_dump().items():
        if not shares.get(body):
            continue
        spec, chemistry = specs[body], CHEMISTRIES[name]
        asked = (
            ("motors draw", spec.motor_kw / spec.propulsion_efficiency, chemistry.discharge_c_rate),
            ("fast charging gives", spec.dc_charge_kw, chemistry.charge_c_rate),
        )
        for what, power_kw, c_rate in asked:
            most_kw = c_rate * spec.battery_kwh
            if power_kw > most_kw:
                fit = [other for other in CHEMISTRIES.values() if other.name != name]
                reason = (
                    f"cannot be the cells of {body}: its {what} up to {power_kw:.0f} kW, and "
                    f"{spec.battery_kwh:g} kWh of them may only pass {most_kw:.0f} kW "
                    f"({c_rate:g} times the capacity in an hour)"
                )
                field = f"battery.chemistry.{body}"
                found.append(Problem(field, name, reason, fit[0].name if fit else ""))
    return found
