"""SUMO's microscopic model with its battery device, as fits and checks use it."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

from cosim.errors import TrafficError
from networks.roads.programs import libsumo
from networks.vehicles.specs import VehicleSpec

SIGMA = 0.2
"""SUMO's driver imperfection; at its default of 0.5 vehicles surge, 18 % more than at 0.1."""
BUS_TOP_MPS = 26.8
"""Speed to which transit buses are limited electronically: 60 mph [m/s]."""
_BUS = "accel='1.2' decel='4' emergencyDecel='7' width='2.5' speedDev='0'"
"""What SUMO's class bus stands for, spelled out."""


def vehicle_type(spec: VehicleSpec, *, anywhere: bool = False) -> str:
    """Return the SUMO vehicle type of a model with its battery device, as XML.

    Parameters
    ----------
    anywhere
        Whether it may drive wherever a passenger car may: some nets close lanes to buses.
    """
    params = {
        "has.battery.device": "true",
        "device.battery.capacity": f"{spec.battery_kwh * 1000:.0f}",
        "device.battery.chargeLevel": f"{spec.battery_kwh * 1000:.0f}",
        "frontSurfaceArea": f"{spec.frontal_area_m2}",
        "airDragCoefficient": f"{spec.drag_coefficient}",
        "rotatingMass": f"{spec.rotating_mass_kg}",
        "rollDragCoefficient": f"{spec.rolling_coefficient}",
        "constantPowerIntake": f"{spec.auxiliary_power_w}",
        "propulsionEfficiency": f"{spec.propulsion_efficiency}",
        "recuperationEfficiency": f"{spec.recuperation_efficiency}",
    }
    inner = "".join(f"<param key={quoteattr(k)} value={quoteattr(v)}/>" for k, v in params.items())
    # A bus of SUMO's own class accelerates and brakes as one; cars are SUMO's standard car.
    kind = ""
    if spec.sumo_class == "bus":
        lanes = f"vClass='passenger' {_BUS}" if anywhere else "vClass='bus'"
        kind = f"{lanes} length='{spec.length_m:g}' maxSpeed='{BUS_TOP_MPS}' "
    return (
        f"<vType id={quoteattr(spec.name)} mass='{spec.mass_kg:g}' sigma='{SIGMA}' {kind}"
        f"emissionClass='Energy/unknown'>{inner}</vType>"
    )


@contextmanager
def micro(
    net: Path, routes: Path, *, seed: int, teleport_s: float = -1.0, options: Sequence[str] = ()
) -> Generator[Any]:
    """Yield libsumo with a microscopic simulation, and end it.

    Vehicles that are stuck for `teleport_s` are lifted over the jam, never if it is negative.

    Raises
    ------
    TrafficError
        If this process already runs a simulation, or SUMO does not start.
    """
    engine = libsumo()
    if engine.isLoaded():
        raise TrafficError(
            "this process already runs a SUMO simulation and libsumo holds only one; "
            "calibrate before it or in a process of its own"
        )
    command = [*("sumo", "-n", str(net), "-r", str(routes), "--seed", str(seed), "--no-step-log")]
    command += ["--no-warnings", "--duration-log.disable"]
    command += ["--time-to-teleport", f"{teleport_s:g}", *options]
    try:
        engine.start(command)
    except Exception as error:
        raise TrafficError(f"SUMO did not start: {error}", where=str(net)) from error
    try:
        yield engine
    finally:
        engine.close()


def battery_wh(engine: Any, vehicle: str) -> tuple[float, float]:
    """Return what a vehicle has drawn from its battery and returned to it so far [Wh]."""
    drawn, returned = (
        float(engine.vehicle.getParameter(vehicle, f"device.battery.totalEnergy{part}"))
        for part in ("Consumed", "Regenerated")
    )
    return drawn, returned
