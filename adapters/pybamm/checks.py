"""What a scenario must not ask of batteries; checked before anything is built."""

from __future__ import annotations

from adapters.pybamm.chemistry import CHEMISTRIES
from cosim.assets import models
from cosim.errors import Problem
from cosim.scenario import Scenario


def problems(scenario: Scenario) -> list[Problem]:
    """Return what is wrong with the packs of the models that the fleet has.

    Parameters
    ----------
    scenario
        A scenario of which the battery, the chemistry and the body types are right.

    Returns
    -------
    list of Problem
        One for each model whose pack cannot deliver the power that its vehicle is rated for,
        or cannot take its charging power.
    """
    found: list[Problem] = []
    chosen = scenario.battery.chemistry.model_dump()
    for spec in dict.fromkeys(spec for part in models(scenario).values() for spec in part):
        name = chosen[spec.body]
        chemistry = CHEMISTRIES[name]
        asked = (
            ("motors draw", spec.motor_kw / spec.propulsion_efficiency, chemistry.discharge_c_rate),
            ("fast charging gives", spec.dc_charge_kw, chemistry.charge_c_rate),
        )
        for what, power_kw, c_rate in asked:
            most_kw = c_rate * spec.battery_kwh
            if power_kw > most_kw:
                fit = [other for other in CHEMISTRIES.values() if other.name != name]
                reason = (
                    f"cannot be the cells of the {spec.model}: its {what} up to "
                    f"{power_kw:.0f} kW, and "
                    f"{spec.battery_kwh:g} kWh of them may only pass {most_kw:.0f} kW "
                    f"({c_rate:g} times the capacity in an hour)"
                )
                field = f"battery.chemistry.{spec.body}"
                found.append(Problem(field, name, reason, fit[0].name if fit else ""))
    return found
