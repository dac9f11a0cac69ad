"""Body types of the fleet: published specifications, fitted consumption, heating and cooling.

`load` gives the specifications of the standard body types, `models` and `model` those of every
brand, `load_energy` the consumption curves that ``python -m networks.vehicles.fit_energy`` fitted
to SUMO's microscopic battery device, `climate_load` what the weather costs.
"""

from networks.vehicles.climate import MILD_C, ClimateLoad, climate_load
from networks.vehicles.curves import EnergyCurve, load_energy
from networks.vehicles.specs import VehicleSpec, by_brand, load, model, models

__all__ = [
    "MILD_C",
    "ClimateLoad",
    "EnergyCurve",
    "VehicleSpec",
    "by_brand",
    "climate_load",
    "load",
    "load_energy",
    "model",
    "models",
]
