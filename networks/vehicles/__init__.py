"""Body types of the fleet: published specifications, fitted consumption, heating and cooling.

`load` gives the specifications of the standard body types, `models` and `model` those of every
brand, `shipped` the consumption curves that ``python -m networks.vehicles.fit_energy`` fitted to
SUMO's microscopic battery device on grids of streets, `calibrated` those fitted to it on a network;
`climate_load` what the weather costs.
"""

from networks.vehicles.calibration import calibrate, calibrated
from networks.vehicles.climate import MILD_C, ClimateLoad, climate_load
from networks.vehicles.curves import EnergyCurve, shipped
from networks.vehicles.specs import VehicleSpec, by_brand, load, model, models
from networks.vehicles.store import Calibration, ModelFit

__all__ = [
    "MILD_C",
    "Calibration",
    "ClimateLoad",
    "EnergyCurve",
    "ModelFit",
    "VehicleSpec",
    "by_brand",
    "calibrate",
    "calibrated",
    "climate_load",
    "load",
    "model",
    "models",
    "shipped",
]
