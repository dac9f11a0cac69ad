"""Calibrates the networks that ship, so that no first run on them has to.

``python -m networks.vehicles.fit_networks``, after a change of a network that ships, of a model, of
the method or of SUMO's version. It takes some minutes.
"""

from __future__ import annotations

from networks import roads
from networks.roads.shipped import recipes
from networks.vehicles.calibration import calibrate
from networks.vehicles.specs import models
from networks.vehicles.store import SHIPPED, keep


def main() -> None:
    """Keep the calibrations beside this module."""
    for file in SHIPPED.glob("*.json"):
        file.unlink()
    for name in recipes():
        keep(calibrate(roads.load(name), list(models())), SHIPPED)


if __name__ == "__main__":
    main()
