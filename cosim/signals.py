"""The wire table: everything that crosses between simulators.

From this list come the mosaik META of every simulator, the connections and their time shifts,
the recorder's arrays with units, the array checks at every boundary and the reference page
(`markdown`). Adding a signal is one line here, plus producing it and using it.

Signs: power is positive when drawn from the grid, vehicle-to-grid is negative. A signal that is
summed or averaged says so in `over_tick`: ``sum`` over the settlement interval, ``mean`` over it,
``end`` for a value at its end, ``start`` for a value that holds from its start.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from cosim.errors import SignalError

TICK_S = 300
"""Length of a settlement interval [s]."""
TICKS_PER_HOUR = 3600 // TICK_S
LEGS = 3
"""Legs that one itinerary holds at most: to the pick-up, to the drop-off, to a station."""

Role = Literal["fleet", "traffic", "battery", "grid", "market", "agents", "monitor"]
OverTick = Literal["sum", "mean", "end", "start"]

ROLES: tuple[Role, ...] = ("fleet", "traffic", "battery", "grid", "market", "agents", "monitor")
"""Roles in the order in which they step within a tick."""
MODELS: Mapping[Role, str] = MappingProxyType(
    {
        "fleet": "Fleet",
        "traffic": "Traffic",
        "battery": "Battery",
        "grid": "Feeder",
        "market": "Market",
        "agents": "Team",
        "monitor": "Monitor",
    }
)
"""Name of the one entity that each role creates."""

EVENT_DIM = "event"
"""Dimension of signals that carry a list of event dictionaries instead of an array."""


@dataclass(frozen=True)
class Signal:
    """One line of the wire table."""

    name: str
    """Name on the wire, in the record and in the dataclasses, unit included."""
    unit: str
    """Unit; ``1`` for a ratio or a count, ``index`` for a position in another dimension."""
    dims: tuple[str, ...]
    """Dimensions in order; empty for one number."""
    producer: Role
    """The only role that writes it."""
    readers: tuple[Role, ...]
    """Roles that read it in the same tick."""
    shifted: tuple[Role, ...]
    """Roles that read it one tick later: the edges that run backwards."""
    over_tick: OverTick
    """How the value relates to the settlement interval."""
    meaning: str
    """One line."""
    dtype: str = "f8"
    """numpy type code on the wire."""
    low: float = -np.inf
    """Least value allowed."""
    high: float = np.inf
    """Greatest value allowed."""
    index_of: str = ""
    """Dimension that the value points into (-1 for none), where it is an index."""
    volatile: bool = False
    """A wall time: recorded, but left out of the output digest."""
    recorded: bool = True
    """Whether the recorder keeps it for every tick."""

    @property
    def is_events(self) -> bool:
        """Whether it carries event dictionaries."""
        return self.dims == (EVENT_DIM,)


_V, _S, _R, _Z = ("vehicle",), ("station",), ("request",), ("zone",)


def _index(name: str, dims: tuple[str, ...], of: str, *rest: Any, **more: Any) -> Signal:
    return Signal(name, "index", dims, *rest, dtype="i4", low=-1, index_of=of, **more)


def _flag(name: str, *rest: Any) -> Signal:
    return Signal(name, "1", _V, *rest, dtype="?")


_EDGE = "edge"
_TABLE: tuple[Signal, ...] = (
    # --- fleet: who drives, who plugs in where, what power is asked for
    _index(
        "itinerary_edge",
        ("vehicle", "leg"),
        _EDGE,
        "fleet",
        ("traffic",),
        (),
        "start",
        "edges to drive to in order, from the vehicle's place; all -1: no new itinerary",
        recorded=False,
    ),
    Signal(
        "itinerary_start_s",
        "s",
        _V,
        "fleet",
        ("traffic",),
        (),
        "start",
        "departure of a new itinerary after the start of the tick",
        low=0,
        high=TICK_S,
        recorded=False,
    ),
    _index(
        "tow_edge",
        _V,
        _EDGE,
        "fleet",
        ("traffic",),
        (),
        "start",
        "the vehicle is taken off the road and set down at this edge",
        recorded=False,
    ),
    Signal(
        "vehicle_status",
        "1",
        _V,
        "fleet",
        ("agents",),
        (),
        "start",
        "0 idle, 1 serving a request, 2 driving to a station, 3 queued, 4 plugged in, 5 towed",
        dtype="i1",
        low=0,
        high=5,
    ),
    _index(
        "vehicle_station",
        _V,
        "station",
        "fleet",
        ("grid", "market", "agents"),
        (),
        "start",
        "station whose port the vehicle holds through the tick",
    ),
    Signal(
        "plug_power_kw",
        "kW",
        _V,
        "fleet",
        ("battery",),
        (),
        "mean",
        "power asked for at the plug, grid side, within every limit of port, site and vehicle",
        low=-1000,
        high=1000,
    ),
    Signal(
        "plug_efficiency",
        "1",
        _V,
        "fleet",
        ("battery",),
        (),
        "start",
        "DC over AC energy of the charger in use while it charges",
        low=0.5,
        high=1,
        recorded=False,
    ),
    Signal(
        "plug_limit_kw",
        "kW",
        _V,
        "fleet",
        (),
        (),
        "start",
        "most the vehicle may draw at its port: the least of port, vehicle and its site share",
        low=0,
        high=1000,
    ),
    Signal(
        "plug_floor_kw",
        "kW",
        _V,
        "fleet",
        (),
        (),
        "start",
        "most the vehicle may feed back at its port, negative; 0 without V2G",
        low=-1000,
        high=0,
    ),
    Signal(
        "request_status",
        "1",
        _R,
        "fleet",
        ("agents",),
        (),
        "end",
        "0 not known yet, 1 open, 2 assigned, 3 picked up, 4 served, 5 expired, 6 failed",
        dtype="i1",
        low=0,
        high=6,
        recorded=False,
    ),
    _index(
        "request_origin_edge",
        _R,
        _EDGE,
        "fleet",
        ("agents",),
        (),
        "end",
        "where the request waits; -1 while it is not known yet",
        recorded=False,
    ),
    _index(
        "request_destination_edge",
        _R,
        _EDGE,
        "fleet",
        ("agents",),
        (),
        "end",
        "where the request wants to go; -1 while it is not known yet",
        recorded=False,
    ),
    Signal(
        "request_deadline_s",
        "s",
        _R,
        "fleet",
        ("agents",),
        (),
        "end",
        "latest pick-up in simulation time; -1 while the request is not known yet",
        low=-1,
        recorded=False,
    ),
    Signal(
        "station_free_ports",
        "1",
        _S,
        "fleet",
        ("agents",),
        (),
        "start",
        "ports that are neither held nor promised to a vehicle under way",
        dtype="i4",
        low=0,
    ),
    Signal(
        "station_queue",
        "1",
        _S,
        "fleet",
        ("agents",),
        (),
        "start",
        "vehicles that wait for a port",
        dtype="i4",
        low=0,
    ),
    Signal("requests_known", "1", (), "fleet", (), (), "end", "requests made so far", low=0),
    Signal(
        "requests_in_time", "1", (), "fleet", (), (), "end", "picked up by their deadline", low=0
    ),
    Signal(
        "requests_missed", "1", (), "fleet", (), (), "end", "expired, failed or picked up late", low=0
    ),
    # --- traffic: SUMO moves the vehicles
    Signal(
        "vehicle_distance_km",
        "km",
        _V,
        "traffic",
        (),
        (),
        "sum",
        "distance driven in the tick, by the odometer",
        low=0,
        high=50,
    ),
    Signal(
        "vehicle_traction_kwh",
        "kWh",
        _V,
        "traffic",
        ("battery",),
        (),
        "sum",
        "net energy that driving takes from the battery in the tick",
        low=-20,
        high=50,
    ),
    Signal(
        "vehicle_driving_s",
        "s",
        _V,
        "traffic",
        (),
        (),
        "sum",
        "time on the road in the tick",
        low=0,
        high=TICK_S,
    ),
    _index(
        "vehicle_edge",
        _V,
        _EDGE,
        "traffic",
        ("agents",),
        ("fleet",),
        "end",
        "where the vehicle is, or was last",
    ),
    _flag("vehicle_driving", "traffic", ("agents",), ("fleet",), "end", "an itinerary is under way"),
    Signal(
        "legs_completed",
        "1",
        _V,
        "traffic",
        ("agents",),
        ("fleet",),
        "end",
        "legs completed of the current or last itinerary",
        dtype="i4",
        low=0,
        high=LEGS,
        recorded=False,
    ),
    Signal(
        "leg_arrival_s",
        "s",
        ("vehicle", "leg"),
        "traffic",
        (),
        ("fleet",),
        "end",
        "simulation time at which each leg of that itinerary ended; -1 if it has not",
        low=-1,
        recorded=False,
    ),
    _flag(
        "itinerary_refused",
        "traffic",
        (),
        ("fleet",),
        "end",
        "this tick's itinerary cannot be driven; the vehicle stayed where it was",
    ),
    # --- battery: PyBaMM cells take traction and charging power
    Signal(
        "vehicle_power_kw",
        "kW",
        _V,
        "battery",
        ("grid", "market"),
        ("fleet",),
        "mean",
        "power really exchanged at the plug, grid side",
        low=-1000,
        high=1000,
    ),
    Signal(
        "battery_traction_kwh",
        "kWh",
        _V,
        "battery",
        (),
        (),
        "sum",
        "energy that the battery really gave for driving",
        low=-20,
        high=50,
    ),
    Signal(
        "traction_shortfall_kwh",
        "kWh",
        _V,
        "battery",
        (),
        ("fleet",),
        "sum",
        "energy that driving asked for and the battery could not give",
        low=0,
        high=50,
    ),
    Signal(
        "vehicle_soc",
        "1",
        _V,
        "battery",
        ("agents",),
        ("fleet",),
        "end",
        "state of charge",
        low=0,
        high=1,
    ),
    Signal(
        "vehicle_soh",
        "1",
        _V,
        "battery",
        ("agents",),
        (),
        "end",
        "state of health: capacity over the capacity when new",
        low=0,
        high=1.01,
    ),
    Signal(
        "vehicle_temperature_c",
        "degC",
        _V,
        "battery",
        ("agents",),
        (),
        "end",
        "cell temperature",
        low=-60,
        high=120,
    ),
    Signal(
        "pack_charge_ah",
        "Ah",
        _V,
        "battery",
        (),
        (),
        "sum",
        "net charge into each cell of the pack",
        low=-100,
        high=100,
    ),
    Signal(
        "cell_capacity_ah",
        "Ah",
        _V,
        "battery",
        (),
        (),
        "end",
        "charge between state of charge 0 and 1 of each cell of the pack",
        low=0,
        high=1000,
    ),
    Signal(
        "pack_energy_kwh",
        "kWh",
        _V,
        "battery",
        (),
        (),
        "sum",
        "net electrical energy into the pack's terminals",
        low=-100,
        high=100,
    ),
    Signal(
        "pack_loss_kwh",
        "kWh",
        _V,
        "battery",
        (),
        (),
        "sum",
        "heat set free in the pack",
        low=-20,
        high=50,
    ),
    Signal(
        "vehicle_charge_limit_kw",
        "kW",
        _V,
        "battery",
        ("agents",),
        ("fleet",),
        "end",
        "DC power that the pack can take through the whole next tick",
        low=0,
        high=1000,
    ),
    Signal(
        "vehicle_discharge_limit_kw",
        "kW",
        _V,
        "battery",
        ("agents",),
        ("fleet",),
        "end",
        "DC power that the pack can give through the whole next tick",
        low=0,
        high=1000,
    ),
    # --- grid: OpenDSS solves the feeder
    Signal(
        "station_power_kw",
        "kW",
        _S,
        "grid",
        ("market", "agents"),
        (),
        "mean",
        "power that the station draws from the feeder",
        low=-1e5,
        high=1e5,
    ),
    Signal(
        "bus_voltage_pu",
        "1",
        ("bus",),
        "grid",
        ("agents",),
        (),
        "mean",
        "voltage magnitude of a bus's phase (id bus.phase) over its base",
        low=0,
        high=2,
    ),
    Signal(
        "transformer_loading_pct",
        "%",
        ("transformer",),
        "grid",
        ("agents",),
        (),
        "mean",
        "apparent power over rating",
        low=0,
        high=1e4,
    ),
    Signal(
        "transformer_ev_kw",
        "kW",
        ("transformer",),
        "grid",
        (),
        (),
        "mean",
        "charger load below the transformer as OpenDSS drew it; 0 where none hangs",
        low=-1e5,
        high=1e5,
    ),
    Signal(
        "line_loading_pct",
        "%",
        ("line",),
        "grid",
        (),
        (),
        "mean",
        "current over rating, worst phase",
        low=0,
        high=1e4,
    ),
    Signal(
        "feeder_power_kw",
        "kW",
        (),
        "grid",
        ("market", "agents"),
        (),
        "mean",
        "active power at the feeder's head",
        low=-1e6,
        high=1e6,
    ),
    Signal(
        "feeder_reactive_kvar",
        "kvar",
        (),
        "grid",
        (),
        (),
        "mean",
        "reactive power at the feeder's head",
        low=-1e6,
        high=1e6,
    ),
    Signal(
        "feeder_losses_kw",
        "kW",
        (),
        "grid",
        (),
        (),
        "mean",
        "losses in lines and transformers",
        low=0,
        high=1e6,
    ),
    Signal(
        "feeder_base_kw",
        "kW",
        (),
        "grid",
        (),
        (),
        "mean",
        "what the feeder's own loads drew",
        low=-1e6,
        high=1e6,
    ),
    # --- market: clears and settles the interval
    Signal(
        "lmp_usd_per_mwh",
        "USD/MWh",
        _Z,
        "market",
        ("agents",),
        (),
        "mean",
        "locational marginal price",
        low=-1e4,
        high=1e5,
    ),
    Signal("bus_load_mw", "MW", _Z, "market", (), (), "mean", "load at the market bus", low=0),
    Signal(
        "load_shed_mw", "MW", _Z, "market", (), (), "mean", "load that could not be served", low=0
    ),
    Signal(
        "generator_mw",
        "MW",
        ("generator",),
        "market",
        (),
        (),
        "mean",
        "dispatch of the generator",
        low=-1e-6,
    ),
    Signal(
        "market_line_flow_mw",
        "MW",
        ("market_line",),
        "market",
        (),
        (),
        "mean",
        "flow on the transmission line, positive in its named direction",
    ),
    Signal(
        "congestion_rent_usd",
        "USD",
        (),
        "market",
        (),
        (),
        "sum",
        "load payments less generator revenue",
    ),
    Signal(
        "vehicle_billed_kwh",
        "kWh",
        _V,
        "market",
        (),
        (),
        "sum",
        "energy billed to the vehicle; negative if fed back",
        low=-100,
        high=100,
    ),
    Signal(
        "vehicle_cost_usd",
        "USD",
        _V,
        "market",
        ("agents",),
        (),
        "sum",
        "what the vehicle pays for its energy",
    ),
    # --- agents: decide for the next tick
    _index(
        "request_vehicle",
        _R,
        "vehicle",
        "agents",
        (),
        ("fleet",),
        "end",
        "vehicle assigned to the request by this decision; -1 for none",
        recorded=False,
    ),
    _index(
        "vehicle_goto_station",
        _V,
        "station",
        "agents",
        (),
        ("fleet",),
        "end",
        "order to drive to the station and plug in; -1 for none",
        recorded=False,
    ),
    Signal(
        "vehicle_charge_kw",
        "kW",
        _V,
        "agents",
        (),
        ("fleet",),
        "end",
        "set point at the plug while plugged in; negative feeds back",
        low=-1000,
        high=1000,
        recorded=False,
    ),
    Signal(
        "vehicle_target_soc",
        "1",
        _V,
        "agents",
        (),
        ("fleet",),
        "end",
        "state of charge at which the vehicle unplugs",
        low=0,
        high=1,
        recorded=False,
    ),
    Signal(
        "decision_latency_ms",
        "ms",
        (),
        "agents",
        (),
        (),
        "end",
        "wall time that the team took for this tick's decisions",
        low=0,
        volatile=True,
    ),
    *(
        Signal(
            f"{role}_events",
            "event",
            (EVENT_DIM,),
            role,
            (),
            (),
            "sum",
            f"what happened in {role}, one dictionary an event",
            recorded=False,
        )
        for role in ROLES[:-1]
    ),
    *(
        Signal(
            f"{role}_wall_s",
            "s",
            (),
            role,
            (),
            (),
            "sum",
            f"wall time that the {role} engine took for the tick",
            low=0,
            volatile=True,
        )
        for role in ROLES[:-1]
    ),
)

SIGNALS: Mapping[str, Signal] = MappingProxyType({signal.name: signal for signal in _TABLE})
"""Every signal by name, in table order."""


def produced_by(role: Role) -> tuple[Signal, ...]:
    """Signals that `role` writes."""
    return tuple(s for s in _TABLE if s.producer == role)


def read_by(role: Role) -> tuple[Signal, ...]:
    """Signals that `role` reads, shifted ones included. The monitor reads every signal."""
    if role == "monitor":
        return _TABLE
    return tuple(s for s in _TABLE if role in s.readers or role in s.shifted)


def edges() -> Iterator[tuple[Role, Role, bool, tuple[Signal, ...]]]:
    """Yield (producer, reader, shifted, signals) for every connection of the world."""
    for producer in ROLES[:-1]:
        for reader in ROLES:
            for shifted in (False, True):
                signals = tuple(
                    s
                    for s in produced_by(producer)
                    if (reader in s.shifted if shifted else _reads_now(s, reader))
                )
                if signals:
                    yield producer, reader, shifted, signals


def _reads_now(signal: Signal, reader: Role) -> bool:
    return reader == "monitor" or reader in signal.readers


Ids = Mapping[str, tuple[str, ...]]
"""Ids of every dimension, in the fixed order of the arrays."""


def shape_of(signal: Signal, ids: Ids) -> tuple[int, ...]:
    """Shape of the array that carries `signal`."""
    return tuple(LEGS if dim == "leg" else len(ids[dim]) for dim in signal.dims)


def checked(signal: Signal, value: Any, ids: Ids, tick: int) -> Any:
    """Return `value` as the array that the wire table promises.

    Parameters
    ----------
    signal
        Line of the wire table.
    value
        Array, nested list or number; a list of dictionaries for events.
    ids
        Ids of every dimension.
    tick
        Settlement interval, for the message.

    Raises
    ------
    SignalError
        Naming signal, id and tick, if the shape, a NaN or the range is wrong.
    """
    if signal.is_events:
        if not isinstance(value, list):
            raise SignalError(signal.name, tick, "", f"not a list of events: {type(value).__name__}")
        return value
    try:
        array: NDArray[Any] = np.asarray(value)
        array = array.astype(signal.dtype, copy=False) if _castable(array, signal) else array
    except (TypeError, ValueError) as error:
        raise SignalError(signal.name, tick, "", f"not an array of numbers: {error}") from None
    if array.dtype != np.dtype(signal.dtype):
        raise SignalError(signal.name, tick, "", f"type {array.dtype}, not {signal.dtype}")
    shape = shape_of(signal, ids)
    if array.shape != shape:
        raise SignalError(signal.name, tick, "", f"shape {array.shape}, not {shape}")
    if signal.dtype == "?":
        return array
    high = len(ids[signal.index_of]) - 1 if signal.index_of else signal.high
    # A NaN fails both comparisons, so one pass finds it too.
    bad = ~((array >= signal.low) & (array <= high))
    if np.isinf(high) and array.dtype.kind == "f":
        bad |= ~np.isfinite(array)
    if bad.any():
        position = tuple(int(i) for i in np.argwhere(bad)[0])
        found = array[position]
        raise SignalError(
            signal.name,
            tick,
            _place(signal, position, ids),
            f"{found:.9g} is not within {signal.low:g} to {high:g} {signal.unit}"
            f" ({int(bad.sum())} of {bad.size} values)",
        )
    return array


def _castable(array: NDArray[Any], signal: Signal) -> bool:
    target = np.dtype(signal.dtype)
    if target.kind == "f":
        return array.dtype.kind in "fiub"
    if target.kind == "i":
        return array.dtype.kind in "iu"
    return array.dtype.kind == target.kind


def _place(signal: Signal, position: tuple[int, ...], ids: Ids) -> str:
    names = [
        f"{dim} {index if dim == 'leg' else ids[dim][index]}"
        for dim, index in zip(signal.dims, position, strict=True)
    ]
    return ", ".join(names)


def markdown() -> str:
    """Return the wire table as a Markdown table, one line a signal."""
    head = "| signal | unit | dimensions | from | to | over the tick | meaning |\n"
    rule = "|---|---|---|---|---|---|---|\n"
    rows = [
        f"| `{s.name}` | {s.unit} | {', '.join(s.dims) or '-'} | {s.producer} | "
        f"{', '.join([*s.readers, *(f'{r} (next tick)' for r in s.shifted)]) or 'record'} | "
        f"{s.over_tick} | {s.meaning} |\n"
        for s in _TABLE
    ]
    return head + rule + "".join(rows)
