"""How far the kinds of traffic are from ``micro``, on any road networks.

``python -m adapters.sumo.compare siouxfalls luxembourg`` prints it; with ``--write`` it replaces
what the page ``README.md`` beside this module says.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import networks.roads
import networks.vehicles
from adapters.sumo.meso import MesoTraffic
from adapters.sumo.micro import MicroTraffic
from adapters.sumo.prediction import Prediction
from adapters.sumo.replay import ReplayTraffic
from adapters.sumo.sample import START, Difference, Moves, Sample, Trips
from cosim.errors import UserError, VoltstepError
from networks.roads import RoadNetwork
from networks.vehicles import EnergyCurve

PAGE = Path(__file__).with_name("README.md")
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
VEHICLES, ITINERARIES = 300, 3
SEED, RECORDED_SEED = 1, 2
"""Seeds of the drives that are compared, and of those that were recorded for replay."""


@dataclass(frozen=True)
class Comparison:
    """The kinds of traffic on one road network, all with the same drives."""

    roads: str
    """Name of the network."""
    vehicles: int
    """Vehicles of the sample."""
    km: float
    """Distance of the mean trip in micro [km]."""
    kmh: float
    """Mean speed in micro [km/h]."""
    kinds: Mapping[str, Difference]
    """Difference from micro, by kind."""
    prediction: Prediction
    """What replay took from the record of micro."""

    def markdown(self) -> str:
        """Return the comparison as a table."""
        trips = next(iter(self.kinds.values())).trips
        lines = [
            f"**{self.roads}**: {self.vehicles} vehicles make {trips} trips of {self.km:.1f} km on "
            f"average, in micro at {self.kmh:.1f} km/h.",
            "",
            "| kind | distance | time | energy | time of a trip, rms | energy of a trip, rms "
            "| arrival, mean | arrival, rms |",
            "|---|---|---|---|---|---|---|---|",
        ]
        for name, d in self.kinds.items():
            lines.append(
                f"| {name} | {d.distance_pct:+.2f} % | {d.time_pct:+.1f} % | {d.energy_pct:+.1f} % "
                f"| {d.time_rms_pct:.1f} % | {d.energy_rms_pct:.1f} % | {d.arrival_s:+.0f} s "
                f"| {d.arrival_rms_s:.0f} s |"
            )
        about = self.prediction.about()
        return "\n".join(
            [
                *lines,
                "",
                "What replay says of its own predictions from the record of micro: distance "
                f"{about['predicted_distance_error']}, time {about['predicted_time_error']}, "
                f"energy {about['predicted_energy_error']}.",
            ]
        )


def compare(
    roads: RoadNetwork,
    vehicles: int = VEHICLES,
    itineraries: int = ITINERARIES,
    calibration: Mapping[str, EnergyCurve] | None = None,
) -> Comparison:
    """Make the same drives with every kind of traffic.

    Parameters
    ----------
    roads
        Road network.
    vehicles, itineraries
        Size of the sample.
    calibration
        Consumption fitted to micro on these roads, for a kind of its own.

    Returns
    -------
    Comparison
        ``replay, same trips`` replays micro's own drives; ``replay, other trips`` makes them from
        a record of other drives of the same fleet in micro; ``replay of meso`` from a record of
        those in meso.

    Raises
    ------
    TrafficError
        If this process already runs SUMO, or SUMO fails.
    """
    specs = list(networks.vehicles.load().values())
    sample = Sample.draw(roads, specs, vehicles, itineraries, SEED)
    other = Sample.draw(roads, specs, vehicles, itineraries, RECORDED_SEED)
    fleet = (roads, specs, sample.body_type, sample.home_edge)

    def micro() -> Moves:
        return MicroTraffic(*fleet, seed=SEED)

    def meso(curves: Mapping[str, EnergyCurve] | None = None) -> Moves:
        return MesoTraffic(*fleet, seed=SEED, curves=curves)

    real = sample.record(micro, "micro")
    truth = Trips.of_record(real)
    recorded = other.record(micro, "micro")
    makers: dict[str, Callable[[], Moves]] = {"meso, shipped curves": meso}
    if calibration is not None:
        makers["meso, calibrated"] = lambda: meso(calibration)
    by_meso = other.record(lambda: meso(calibration), "meso")
    replayed = {
        "replay, same trips": real,
        "replay, other trips": recorded,
        "replay of meso, other trips": by_meso,
    }
    replays = {
        name: ReplayTraffic(*fleet, record=record, start=START) for name, record in replayed.items()
    }
    makers |= {name: lambda made=made: made for name, made in replays.items()}
    kinds = {
        name: Difference.of(Trips.of(sample.drive(make())), truth) for name, make in makers.items()
    }
    return Comparison(
        roads=roads.name,
        vehicles=vehicles,
        km=float(truth.distance_km.mean()),
        kmh=float(3600 * truth.distance_km.sum() / truth.time_s.sum()),
        kinds=kinds,
        prediction=replays["replay, other trips"].legs.prediction,
    )


def write(comparisons: Sequence[Comparison]) -> None:
    """Replace the measured part of the page."""
    text = PAGE.read_text(encoding="utf-8")
    head, rest = text.split(BEGIN)
    _, tail = rest.split(END)
    tables = "\n\n".join(one.markdown() for one in comparisons)
    PAGE.write_text(f"{head}{BEGIN}\n{tables}\n{END}{tail}", encoding="utf-8")


def main() -> None:
    """Compare the kinds on the networks that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m adapters.sumo.compare", description=__doc__)
    parser.add_argument("roads", nargs="*", default=["siouxfalls"], help="names of `cosim roads`")
    parser.add_argument("--vehicles", type=int, default=VEHICLES)
    parser.add_argument("--write", action="store_true", help="replace the table of the page")
    arguments = parser.parse_args()
    found: list[Comparison] = []
    try:
        for name in arguments.roads:
            roads = networks.roads.load(name)
            curves = networks.vehicles.calibrated(roads).curves
            found.append(compare(roads, arguments.vehicles, calibration=curves))
            sys.stdout.write(found[-1].markdown() + "\n\n")
    except VoltstepError as error:
        sys.stderr.write(f"error {error}\n")
        sys.exit(2 if isinstance(error, UserError) else 1)
    if arguments.write:
        write(found)


if __name__ == "__main__":
    main()
