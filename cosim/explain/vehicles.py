"""What one vehicle did, what it asked for, what it got, and which limit bound."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cosim.explain.record import Line, Record, kw, some, stretches
from cosim.plugs import Plugs
from cosim.signals import TICK_S, TICKS_PER_HOUR
from cosim.team import Status

NEAR_KW = 0.05
"""Powers nearer than this count as the same."""
_TOLD = ("trip", "charging_session")
"""Events that the timeline tells by itself."""
_AHEAD = "ahead "
"""Beginning of the reasons that held an offer to the market, a tick ahead."""


def vehicle(record: Record, index: int) -> list[Line]:
    """Return the timeline of a vehicle."""
    status = record.series("vehicle_status", index)
    station = record.series("vehicle_station", index)
    request = record.series("vehicle_request", index)
    soc = record.series("vehicle_soc", index)
    edge = record.series("vehicle_edge", index)
    start_soc = float(record.assets.vehicles.initial_soc[index])
    plugged = _Plugged(record, index, start_soc)
    reason = [plugged.reason(tick) if status[tick] == Status.PLUGGED else "" for tick in
              range(record.ticks)]  # fmt: skip
    edges = record.names("edge")
    lines: list[Line] = []
    for first, end in stretches(status, station, request, reason):
        before = start_soc if first == 0 else soc[first - 1]
        charge = f"SoC {100 * before:.0f} % -> {100 * soc[end - 1]:.0f} %"
        where = edges[edge[end - 1]]
        what, why = _doing(record, index, Status(status[first]), first, end, where)
        if status[first] == Status.PLUGGED:
            what, why = plugged.what(first, end), plugged.why(first, end)
        elif status[first] == Status.IDLE:
            why = _unplugged(record, before)
        lines.append(Line(record.time(first), record.time(end), f"{what}; {charge}", why))
    return lines + _events(record, index)


def _doing(
    record: Record, index: int, status: Status, first: int, end: int, where: str
) -> tuple[str, str]:
    km = float(record.series("vehicle_distance_km", index)[first:end].sum())
    if status == Status.SERVING:
        number = int(record.series("vehicle_request", index)[first])
        return f"drove {km:.1f} km for request {number}, to edge {where}", ""
    if status == Status.TO_STATION:
        return f"drove {km:.1f} km to a station, at edge {where}", ""
    if status == Status.QUEUED:
        return f"waited for a port at edge {where}", _queue(record, index, first)
    if status == Status.TOWED:
        return f"was towed to edge {where}", "it had run empty"
    return f"stood free at edge {where}", ""


def _unplugged(record: Record, soc: float) -> str:
    """Return why a vehicle that stands free with a low battery does not charge, if it is low."""
    low = record.scenario.rules.plug_in_below_soc
    if record.scenario.team != "rule_based" or soc >= low:
        return ""
    return f"below {100 * low:.0f} %, but its team sent it to no station"


def _queue(record: Record, index: int, tick: int) -> str:
    """Return who held the ports of the stations where a vehicle waited."""
    stations = record.assets.stations
    here = np.flatnonzero(stations.edge == record.series("vehicle_edge", index)[tick])
    at = record.series("vehicle_station")[tick]
    held = [
        f"station {stations.ids[s]}: {stations.ports[s]} ports held by vehicles "
        f"{some([str(v) for v in np.flatnonzero(at == s)])}"
        for s in here
        if (at == s).any()
    ]
    return "; ".join(held)


def _events(record: Record, index: int) -> list[Line]:
    found: list[Line] = []
    for event in record.events("vehicle", index):
        if event["kind"] in _TOLD:
            continue
        number = event["request"]
        about = f" (request {number})" if number is not None else ""
        moment = record.at(event["time_s"])
        name = str(event["kind"]).replace("_", " ")
        found.append(Line(moment, moment, f"{name}{about}", event["detail"] or ""))
    return found


class _Plugged:
    """What a vehicle asked for and got at ports, tick by tick."""

    def __init__(self, record: Record, index: int, start_soc: float) -> None:
        vehicles, stations = record.assets.vehicles, record.assets.stations
        self._record, self._stations, self._index = record, stations, index
        self.at = record.series("vehicle_station", index)
        self._asked = record.series("plug_power_kw", index)
        self._got = record.series("vehicle_power_kw", index)
        self._cost = record.series("vehicle_cost_usd", index)
        self._temperature = record.series("vehicle_temperature_c", index)
        self._limit = record.series("plug_limit_kw", index)
        self._floor = record.series("plug_floor_kw", index)
        self._soc = record.before("vehicle_soc", index, start_soc)
        self._order = record.before("vehicle_charge_kw", index, 0.0)
        self._target = record.before("vehicle_target_soc", index, 1.0)
        self._takes = record.before("vehicle_charge_limit_kw", index, np.inf)
        self._gives = record.before("vehicle_discharge_limit_kw", index, np.inf)
        self._battery_kwh = float(vehicles.per_vehicle("battery_kwh")[index])
        port = np.maximum(self.at, 0)
        _, self._efficiency = Plugs(vehicles, stations).limits(np.full(len(port), index), port)
        called = record.knows("vehicle_called")
        self._called = record.before("vehicle_called", index, False) if called else port < 0
        self._response_pay = _at(record, "response_pay_usd_per_mwh", stations.feeder[port])
        self._offers: dict[str, NDArray[Any]] | None = None
        if record.scenario.market.model_dump().get("bids") == "on":
            names = ("vehicle_offer_kw", "vehicle_offer_usd_per_mwh", "vehicle_cleared_kw")
            self._offers = {name: record.before(name, index, 0.0) for name in names}

    def reason(self, tick: int) -> str:
        """Return what held the power of a tick: the least of all that it might have been."""
        asked, order = float(self._asked[tick]), float(self._order[tick])
        if self._called[tick] and asked < order - NEAR_KW:
            return "call"
        if abs(order) < NEAR_KW and abs(asked) < NEAR_KW:
            return "response" if self._response_pay[tick] > 0 else "order"
        limits = self._limits(tick, float(self._soc[tick]))
        if self._offers is not None:
            limits["cleared"] = abs(float(self._offers["vehicle_cleared_kw"][tick]))
        name = min(limits, key=lambda key: limits[key])
        if abs(asked) <= limits[name] - NEAR_KW:
            return "place"
        return self._cleared_for(tick) if name == "cleared" else name

    def _cleared_for(self, tick: int) -> str:
        """Return what held the power that was cleared for a tick: the market, or the offer."""
        before = tick - 1
        if self._offers is None or before < 0 or self.at[before] != self.at[tick]:
            return "new"
        offered = abs(float(self._offers["vehicle_offer_kw"][tick]))
        if abs(float(self._offers["vehicle_cleared_kw"][tick])) < offered - NEAR_KW:
            return "cleared"
        if abs(self._order[before]) < NEAR_KW:
            return _AHEAD + ("response" if self._response_pay[before] > 0 else "order")
        asked, efficiency = float(self._asked[before]), float(self._efficiency[before])
        into_pack_kw = asked * efficiency if asked >= 0 else asked / efficiency
        soc = float(self._soc[before]) + into_pack_kw / TICKS_PER_HOUR / self._battery_kwh
        limits = self._limits(before, soc)
        name = min(limits, key=lambda key: limits[key])
        return _AHEAD + (name if offered > limits[name] - NEAR_KW else "place")

    def _limits(self, tick: int, soc: float) -> dict[str, float]:
        return self._drawing(tick, soc) if self._order[tick] > 0 else self._feeding(tick, soc)

    def _drawing(self, tick: int, soc: float) -> dict[str, float]:
        efficiency = float(self._efficiency[tick])
        missing = max(float(self._target[tick]) - soc, 0.0) * self._battery_kwh
        return {
            "target": missing * TICKS_PER_HOUR / efficiency,
            "battery": float(self._takes[tick]) / efficiency,
            "port": float(self._limit[tick]),
            "order": float(self._order[tick]),
        }

    def _feeding(self, tick: int, soc: float) -> dict[str, float]:
        reserve = self._record.scenario.rules.reserve_soc
        # Operations feed back at most half of what lies above the reserve in a tick.
        spare = 0.5 * max(soc - reserve, 0.0) * self._battery_kwh
        efficiency = float(self._efficiency[tick])
        return {
            "reserve": spare * TICKS_PER_HOUR * efficiency,
            "battery": float(self._gives[tick]) * efficiency,
            "port": -float(self._floor[tick]),
            "order": -float(self._order[tick]),
        }

    def what(self, first: int, end: int) -> str:
        """Return what the vehicle asked for and got in a stretch of ticks at one station."""
        at, stations = int(self.at[first]), self._stations
        kind = stations.kinds[stations.kind[at]]
        asked, got = self._asked[first:end], self._got[first:end]
        kwh, usd = got.sum() / TICKS_PER_HOUR, self._cost[first:end].sum()
        return (
            f"plugged in at station {stations.ids[at]} ({kind}), asked for {kw(asked.mean())}, "
            f"got {kw(got.mean())}: {kwh:.1f} kWh for {usd:.2f} USD"
        )

    def why(self, first: int, end: int) -> str:
        """Return in words what held the power in a stretch of ticks with one reason."""
        reason = self.reason(first)
        if reason.startswith(_AHEAD):
            earlier = self._why(reason.removeprefix(_AHEAD), first - 1, end - 1)
            return f"{earlier}, when it offered for this time"
        return self._why(reason, first, end)

    def _why(self, reason: str, first: int, end: int) -> str:
        part = slice(first, end)
        at, stations = int(self.at[first]), self._stations
        order, target = self._order[part].mean(), self._target[part].mean()
        if reason == "new":
            return "it had just come: what it may draw is cleared a tick later"
        if reason == "call":
            held = self._record.series("vehicle_reserve_kw", self._index)[part].mean()
            return f"its reserve of {kw(held)} was called"
        if reason == "response":
            pay = self._response_pay[part].max()
            return f"its team asked for no power: demand response pays {pay:.0f} USD/MWh"
        if reason == "order":
            return (
                f"its team asked for {kw(order)}" if abs(order) >= NEAR_KW
                else "its team asked for no power"
            )  # fmt: skip
        if reason == "target":
            return f"nearly at the {100 * target:.0f} % that its team wants"
        if reason == "reserve":
            return f"no more may be fed back in a tick so near to the reserve of {self._reserve()}"
        if reason == "battery":
            most = (self._takes if order > 0 else self._gives)[part].mean()
            return (
                f"the battery could {'take' if order > 0 else 'give'} {kw(most)} at "
                f"{self._temperature[part].mean():.0f} degC"
            )
        if reason == "port":
            port = float(stations.port_kw[at])
            most = float(self._limit[first] if order > 0 else -self._floor[first])
            whose = "the port" if most > port - NEAR_KW else "its own charger"
            return f"{whose} carries {kw(most)}"
        return self._cleared(first, end) if reason == "cleared" else self._place(first, end)

    def _reserve(self) -> str:
        return f"{100 * self._record.scenario.rules.reserve_soc:.0f} %"

    def _cleared(self, first: int, end: int) -> str:
        if self._offers is None:
            return ""
        part = slice(first, end)
        offered, bid, cleared = (values[part] for values in self._offers.values())
        price = self._at_station("station_price_usd_per_mwh", part)
        bound = self._bound_transformer(first, end)
        parts = {
            kind: self._at_station(f"station_{kind}_usd_per_mwh", part)
            for kind in ("transformer", "line", "voltage")
        }
        shown = {kind: f"{value:.1f}" for kind, value in parts.items()}
        limits = ", ".join(f"{v} for {k}s" for k, v in shown.items() if float(v))
        return (
            f"{kw(cleared.mean())} of {kw(offered.mean())} offered at {bid.mean():.1f} USD/MWh "
            f"were cleared; the price was {price:.1f} USD/MWh"
            + (f", of it {limits}" if limits else "")
            + (f"; transformer {bound} was at its limit" if bound else "")
        )

    def _bound_transformer(self, first: int, end: int) -> str:
        """Return the transformer that a vehicle is behind if it bound what was cleared."""
        name = str(self._record.fact("station_transformer")[self.at[first]])
        spans = {
            row["start_s"]: row["time_s"] if row["time_s"] > row["start_s"] else np.inf
            for row in self._record.events("place", name)
            if row["kind"] == "limit_binding"
        }
        begin_s, end_s = first * TICK_S, end * TICK_S
        return name if any(a < end_s and b > begin_s for a, b in spans.items()) else ""

    def _at_station(self, name: str, part: slice) -> float:
        return float(_at(self._record, name, np.maximum(self.at, 0))[part].mean())

    def _place(self, first: int, end: int) -> str:
        """Return which of station and site could not carry what its vehicles asked for."""
        at, stations, record = int(self.at[first]), self._stations, self._record
        side = "draw" if self._order[first] > 0 else "feed"
        withheld = record.series(f"station_{side}_withheld", at)[max(first - 1, 0) : end - 1]
        if withheld.size and withheld.max() > 0:
            voltage = record.series("station_voltage_pu", at)[max(first - 1, 0) : end - 1]
            return (
                f"volt-watt kept {100 * withheld.mean():.0f} % of the station's rating, "
                f"{kw(float(stations.rating_kw[at]))}, at {voltage.mean():.3f} pu"
            )
        site = int(stations.site[at])
        rating, most = float(stations.rating_kw[at]), float(stations.site_kw[site])
        power = record.series("station_power_kw")[first:end]
        here = np.abs(power[:, at]).mean()
        if here > rating - NEAR_KW:
            return f"station {stations.ids[at]} carries {kw(rating)}, shared by all at it"
        there = np.abs(power[:, stations.site == site].sum(axis=1)).mean()
        if there > most - NEAR_KW:
            return f"the site {stations.site_ids[site]} carries {kw(most)}, shared by all at it"
        return "operations held it, for no reason that is recorded"


def _at(record: Record, name: str, index: NDArray[Any]) -> NDArray[Any]:
    """Return a signal over the ticks, at an index of each; 0 where an earlier version lacks it."""
    if not record.knows(name):
        return np.zeros(len(index))
    return record.series(name)[np.arange(len(index)), index]
