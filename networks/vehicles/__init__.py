"""Body types of the fleet: published specifications and fitted consumption.

`load` gives the specifications, `load_energy` the consumption curves that
``python -m networks.vehicles.fit_energy`` fitted to SUMO's microscopic battery device.
"""

from networks.vehicles.curves import EnergyCurve, load_energy
from networks.vehicles.specs import VehicleSpec, load

__all__ = ["EnergyCurve", "VehicleSpec", "load", "load_energy"]
