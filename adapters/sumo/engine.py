"""One SUMO simulation inside this process, kept quiet and guarded."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Literal
from xml.sax.saxutils import quoteattr

from adapters.sumo import rng_counts
from adapters.sumo.ear import Ear
from cosim.errors import TrafficError
from networks.roads.programs import libsumo
from networks.vehicles import VehicleSpec
from networks.vehicles.micro import vehicle_type

Engine = Literal["meso", "micro"]
"""SUMO's queues on segments of an edge, or its cars that follow each other."""
OPTIONS: dict[Engine, tuple[str, ...]] = {
    # Without overtaking one slow vehicle holds up all that follow on a corridor of many lanes.
    # Without the penalty nobody waits at signals; with it, for the mean of the red time.
    "meso": ("--mesosim", "true", "--meso-overtaking", "true", "--meso-tls-penalty", "1"),
    "micro": ("--step-length", "1"),
}
"""What makes them so, for the ``sumo`` program."""
_LOOK_AT_SIGNALS = ("meso-junction-control", "meso-junction-control.limited")
"""Options with which mesoscopic vehicles see whether it is green."""
_NEVER_S = 1e9
BACKGROUND = "background"
"""SUMO vehicle type of other people's traffic, and the beginning of their ids."""
_TELEPORT = re.compile(
    r"Teleporting vehicle '(?P<leg>[^']*)'; (?P<why>.*), "
    r"(from edge '(?P<edge>[^']*)'|lane='(?P<lane>[^']*)_\d+').*"
    r"time=(?P<time>\d+(\.\d+)?)"
)
_BEYOND = re.compile(
    r"Vehicle '(?P<leg>[^']*)' teleports beyond arrival edge .*time=(?P<time>\d+(\.\d+)?)"
)
# What follows a teleport is part of it, and one that is taken off where it parked is no news.
_AFTERMATH = ("ends teleporting", "aborts stop", "skips stop")


@dataclass(frozen=True)
class Teleport:
    """SUMO lifted a vehicle out of a jam and set it down further along its route."""

    leg_id: str
    edge_id: str
    time_s: float
    reason: str


@dataclass(frozen=True)
class Heard:
    """What SUMO said since it was last asked."""

    teleports: tuple[Teleport, ...]
    ended: tuple[tuple[str, float], ...]
    """Vehicles that were lifted over a jam to where they are going, with the time [s]."""
    others: tuple[str, ...]
    """Warnings of other kinds."""


class Sumo:
    """The one libsumo simulation that a process can hold.

    Parameters
    ----------
    net_file
        Road network.
    specs
        Body types; each becomes a SUMO vehicle type of that name.
    seed
        Seed of SUMO's own random numbers.
    engine
        Mesoscopic or microscopic simulation.
    teleport_s
        Time that a vehicle may be stuck before SUMO lifts it over the jam [s]; -1 for never.
    options
        Further options of the ``sumo`` program.

    Raises
    ------
    TrafficError
        If this process already runs a simulation, or SUMO refuses to start.
    """

    _others: ClassVar[bool] = False
    """Whether this process has run a simulation before."""

    def __init__(
        self,
        net_file: Path,
        specs: Sequence[VehicleSpec],
        *,
        seed: int,
        engine: Engine = "meso",
        teleport_s: float = 300.0,
        options: Sequence[str] = (),
    ) -> None:
        self.api: Any = libsumo()
        self.refusals: tuple[type[Exception], ...] = (
            self.api.TraCIException,
            self.api.FatalTraCIError,
        )
        self._open = False
        if self.api.isLoaded():
            raise TrafficError(
                "this process already runs a SUMO simulation and libsumo holds only one; "
                "close it first or run each in a process of its own"
            )
        self._folder = tempfile.TemporaryDirectory(prefix="voltstep-sumo-")
        self._ear = Ear()
        types = Path(self._folder.name) / "types.add.xml"
        types.write_text(vehicle_types(specs, engine), encoding="utf-8")
        command = ["sumo", "--net-file", str(net_file), "--additional-files", str(types)]
        command += [*OPTIONS[engine], "--seed", str(seed), "--save-state.rng", "true"]
        command += ["--time-to-teleport", f"{teleport_s:g}", "--no-step-log", "true"]
        self._command = [*command, "--duration-log.disable", "true", *options]
        self._net_file, self._engine = net_file, engine
        self._drawn_before: dict[bytes, int] = {}
        try:
            self._start()
            self._note_drawn()
        except TrafficError:
            self.close()
            raise

    def _start(self) -> None:
        try:
            with self._ear.listening():
                self.api.start(self._command)
        except Exception as error:
            said = " ".join(self._ear.lines()) or str(error)
            raise TrafficError(f"SUMO did not start: {said}", where=str(self._net_file)) from error
        self._open = True
        self._rest_signals()

    def _rest_signals(self) -> None:
        """Leave signals in their phase where nobody looks at it.

        Mesoscopic vehicles wait for the mean red time of a signal's program, which SUMO works out
        once; to switch hundreds of signals all the same is a good part of a step.
        """
        if self._engine == "meso":
            option, signals = self.api.simulation.getOption, self.api.trafficlight
            if not any(option(name) == "true" for name in _LOOK_AT_SIGNALS):
                for signal in signals.getIDList():
                    signals.setPhaseDuration(signal, _NEVER_S)

    def _note_drawn(self) -> None:
        """Note what earlier simulations of this process have drawn of random numbers."""
        if Sumo._others:
            file = Path(self._folder.name) / "begin.xml.gz"
            self.save(file)
            self._drawn_before = rng_counts.read(file)
        Sumo._others = True

    def __enter__(self) -> Sumo:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def time_s(self) -> float:
        """Simulation time [s]."""
        return float(self.api.simulation.getTime())

    @contextmanager
    def calling(self, where: str, tick: int) -> Generator[Any]:
        """Yield libsumo; what SUMO refuses inside becomes a TrafficError that names `where`."""
        if not self._open:
            raise TrafficError("the simulation is closed", where=where, tick=tick)
        try:
            yield self.api
        except self.refusals as error:
            raise TrafficError(str(error).strip(), where=where, tick=tick) from error

    def listening(self) -> AbstractContextManager[None]:
        """Collect SUMO's messages for as long as the context lasts; see `messages`."""
        return self._ear.listening()

    def step(self, until_s: float) -> None:
        """Advance to simulation time `until_s` [s]."""
        self.api.simulationStep(until_s)

    def knows(self, leg: str) -> bool:
        """Whether SUMO still has a vehicle, also one that waits for room or is lifted over a jam.

        SUMO lists none of these.
        """
        try:
            self.api.vehicle.getTypeID(leg)
        except self.refusals:
            return False
        return True

    def messages(self) -> Heard:
        """Return what SUMO said since the last call."""
        # Mesoscopic SUMO leaves getStartingTeleportIDList empty: only its warnings tell.
        teleports: list[Teleport] = []
        ended: list[tuple[str, float]] = []
        others: list[str] = []
        for line in self._ear.lines():
            if found := _TELEPORT.search(line):
                edge = found["edge"] or found["lane"]
                teleports.append(Teleport(found["leg"], edge, float(found["time"]), found["why"]))
            elif found := _BEYOND.search(line):
                ended.append((found["leg"], float(found["time"])))
            elif not any(words in line for words in _AFTERMATH):
                others.append(line.removeprefix("Warning: "))
        return Heard(tuple(teleports), tuple(ended), tuple(others))

    def save(self, file: Path) -> None:
        """Write SUMO's state to `file`."""
        with self.calling(str(file), -1) as api, self._ear.listening():
            api.simulation.saveState(str(file))
        if self._drawn_before:
            rng_counts.reduce(file, self._drawn_before)

    def load(self, file: Path) -> None:
        """Start anew from the state in `file`; TrafficError if SUMO cannot read it.

        A simulation that loads a state into itself does not drive on as a fresh one does.
        """
        if not file.is_file():
            raise TrafficError("the saved state of SUMO is missing", where=str(file))
        self._stop()
        self._start()
        with self.calling(str(file), -1) as api, self._ear.listening():
            api.simulation.loadState(str(file))
        # The counts of what was drawn are those of the state from here on.
        self._drawn_before = {}
        self._rest_signals()

    def close(self) -> None:
        """End the simulation; harmless when it has ended."""
        try:
            self._stop()
        finally:
            self._ear.close()
            self._folder.cleanup()

    def _stop(self) -> None:
        if self._open:
            self._open = False
            with self._ear.listening():
                self.api.close()


def vehicle_types(specs: Sequence[VehicleSpec], engine: Engine) -> str:
    """Return body types and that of other people as a file of ``sumo --additional-files``."""
    if engine == "micro":
        rows = "\n".join(f"  {vehicle_type(s)}" for s in specs)
    else:
        rows = "\n".join(
            f"  <vType id={quoteattr(s.name)} vClass='passenger' length='{s.length_m:g}' "
            f"speedFactor='1' speedDev='0'/>"
            for s in specs
        )
    others = f"  <vType id='{BACKGROUND}' vClass='passenger' speedDev='0'/>"
    return f"<additional>\n{rows}\n{others}\n</additional>\n"
