"""The mosaik faces of the feeders: role ``grid``, kinds ``opendss`` and ``linear``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

import networks.feeders
import networks.loads
from adapters.opendss.bidding import Bidding, BindingWatch, limits_in_runs, no_prices
from adapters.opendss.charging import connection_power_kw, station_kva_at_work, station_power_kw
from adapters.opendss.described import connecting
from adapters.opendss.feeder import Feeder
from adapters.opendss.feeders import Feeders
from adapters.opendss.layout import DEFAULT_RATING_A
from adapters.opendss.life import TransformerLife
from adapters.opendss.linear import LinearFeeder, state_of
from adapters.opendss.response import DRAW_WITHHELD, FEED_WITHHELD, VOLT_VAR, withheld
from adapters.opendss.violations import (
    LOADING_HIGH_PCT,
    UNBALANCE_HIGH_PCT,
    VOLTAGE_HIGH_PU,
    VOLTAGE_LOW_PU,
    Watch,
)
from cosim.assets import Assets
from cosim.errors import PowerFlowError
from cosim.scenario import Scenario
from cosim.signals import TICK_HOURS, TICK_S, Role
from cosim.simulator import Simulator

_LIFE, _BINDING, _BIDS = "life.", "binding.", "bids."


class Grid(Simulator):
    """Solves the feeders with the power that the vehicles really exchanged."""

    role: ClassVar[Role] = "grid"

    def prepare(self, scenario: Scenario, assets: Assets) -> None:
        """Build the feeders and connect every station."""
        grid, stations = scenario.grid, assets.stations
        self._feeders = Feeders(
            networks.feeders.find(grid.feeder),
            grid.feeders,
            stations.feeder,
            stations.rating_kw,
            stations.three_phase,
            stations.kind == stations.kinds.index("home"),
            grid.charger_power_factor,
            self._maker(scenario),
            connecting(scenario, stations),
        )
        self._feeder_of_station = stations.feeder
        self._stations = len(stations.ids)
        self._port_kva = stations.port_kw / grid.charger_power_factor
        self._volt_watt = grid.volt_watt == "on"
        self._draw_withheld = np.zeros(self._feeders.connection_count)
        self._feed_withheld = np.zeros(self._feeders.connection_count)
        self._bus_feeder = self._feeders.feeder_of_bus
        self._load_scale = grid.load_scale
        self._shape = networks.loads.load_shape(grid.load_shape)
        start = scenario.start_time
        self._first_slot = (start.hour * 3600 + start.minute * 60 + start.second) // TICK_S
        self._watches = (
            Watch("voltage_violation", self._feeders.bus_ids, VOLTAGE_LOW_PU, VOLTAGE_HIGH_PU),
            Watch("voltage_unbalance", self._feeders.three_phase_ids, 0, UNBALANCE_HIGH_PCT),
            Watch("overload", self._feeders.transformer_ids, -np.inf, LOADING_HIGH_PCT),
            Watch(
                "overload",
                self._feeders.line_ids,
                -np.inf,
                np.where(self._feeders.line_rated, LOADING_HIGH_PCT, np.inf),
            ),
        )
        self._bidding = self._bids(scenario)
        self._binding = BindingWatch()
        self._life = TransformerLife(len(self._feeders.transformer_ids))
        self._ambient_c = assets.ambient_c
        self._last_tick = scenario.ticks - 1
        self._price_losses = scenario.market.prices_losses

    def _maker(self, scenario: Scenario) -> Callable[..., Feeder]:
        return partial(
            Feeder,
            volt_var=VOLT_VAR.get(scenario.grid.volt_var),
            price_losses=scenario.market.prices_losses,
        )

    def _bids(self, scenario: Scenario) -> Bidding | None:
        if scenario.market.bids == "off":
            return None
        feeders = self._feeders
        wanted = scenario.grid.limits, scenario.market.value_of_lost_load_usd_per_mwh
        feeders.hold_to([limits_in_runs(feeder, *wanted) for feeder in feeders.each])
        return Bidding(feeders, feeders.connection_of_station, len(feeders.bus_ids))

    def dimensions(self) -> dict[str, list[str]]:
        """Feeders, and the nodes, transformers and lines of all of them."""
        return {
            "feeder": list(self._feeders.ids),
            "bus": list(self._feeders.bus_ids),
            "transformer": list(self._feeders.transformer_ids),
            "line": list(self._feeders.line_ids),
            "regulator": list(self._feeders.regulator_ids),
            "capacitor": list(self._feeders.capacitor_ids),
            "three_phase_bus": list(self._feeders.three_phase_ids),
        }

    def facts(self) -> dict[str, tuple[str, list[Any]]]:
        """Feeder and transformer of every station, rating of every transformer."""
        service, at = self._feeders.feeding_ids, self._feeders.connection_of_station
        return {
            "station_feeder": ("station", [self._feeders.ids[i] for i in self._feeder_of_station]),
            "station_transformer": ("station", [service[i] for i in at]),
            "line_rated": ("line", self._feeders.line_rated.tolist()),
            "transformer_rating_kva": ("transformer", self._feeders.rating_kva.tolist()),
        }

    def advance(self, tick: int, given: Mapping[str, Any]) -> dict[str, Any]:
        """Solve one settlement interval."""
        try:
            station_kw = station_power_kw(
                given["vehicle_power_kw"], given["vehicle_station"], self._stations
            )
            at, count = self._feeders.connection_of_station, self._feeders.connection_count
            charger_kw = connection_power_kw(station_kw, at, count)
            station_kva = station_kva_at_work(
                given["vehicle_power_kw"], given["vehicle_station"], self._port_kva
            )
            charger_kva = connection_power_kw(station_kva, at, count)
            solved = self._feeders.solve(self._load_scale_at(tick), charger_kw, charger_kva)
            life = self._life.advance(
                solved.transformer_loading_pct / 100, float(self._ambient_c[tick]), TICK_HOURS
            )
            cleared, bidding_events = self._cleared(tick, given)
        except PowerFlowError as error:
            raise PowerFlowError(error.reason, where=error.where, tick=tick) from error
        if self._volt_watt:
            voltage_pu = solved.charger_voltage_pu
            self._draw_withheld = withheld(self._draw_withheld, voltage_pu, DRAW_WITHHELD)
            self._feed_withheld = withheld(self._feed_withheld, voltage_pu, FEED_WITHHELD)
        return {
            **cleared,
            "station_power_kw": station_kw,
            "station_voltage_pu": solved.charger_voltage_pu[at],
            "station_draw_withheld": self._draw_withheld[at],
            "station_feed_withheld": self._feed_withheld[at],
            "bus_voltage_pu": solved.bus_voltage_pu,
            "transformer_loading_pct": solved.transformer_loading_pct,
            "transformer_ev_kw": solved.transformer_ev_kw,
            "transformer_ev_kvar": solved.transformer_ev_kvar,
            "transformer_hot_spot_c": life.hot_spot_c,
            "transformer_ageing_factor": life.ageing_factor,
            "line_loading_pct": solved.line_loading_pct,
            "regulator_tap": solved.tap.astype(np.int32),
            "capacitor_on": solved.capacitor_on,
            "voltage_unbalance_pct": solved.unbalance_pct,
            "bus_feeder": self._bus_feeder,
            "bus_marginal_loss": solved.bus_marginal_loss,
            "station_marginal_loss": solved.charger_marginal_loss[at],
            "feeder_power_kw": solved.head_kw.sum(),
            "feeder_reactive_kvar": solved.head_kvar.sum(),
            "feeder_losses_kw": solved.losses_kw.sum(),
            "feeder_base_kw": solved.base_kw.sum(),
            "feeder_head_kw": solved.head_kw,
            "feeder_head_kvar": solved.head_kvar,
            "feeder_own_load_kw": solved.base_kw,
            "feeder_own_losses_kw": solved.losses_kw,
            "grid_events": [
                *self._watched(
                    tick,
                    solved.bus_voltage_pu,
                    solved.unbalance_pct,
                    solved.transformer_loading_pct,
                    solved.line_loading_pct,
                ),
                *bidding_events,
            ],
        }

    def _load_scale_at(self, tick: int) -> float:
        slot = (self._first_slot + tick) % len(self._shape)
        return self._load_scale * float(self._shape[slot])

    def _cleared(
        self, tick: int, given: Mapping[str, Any]
    ) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Prices of limits for this tick; what is cleared for the next one, and what binds then."""
        if self._bidding is None:
            nothing = np.zeros(len(given["vehicle_power_kw"]))
            prices = no_prices(self._stations, len(self._feeders.bus_ids))
            return {"vehicle_cleared_kw": nothing, **prices}, []
        prices = self._bidding.prices
        cleared_kw, binding, failed = self._bidding.clear(
            self._load_scale_at(tick + 1),
            given["vehicle_offer_kw"],
            given["vehicle_offer_usd_per_mwh"],
            given["vehicle_station"],
            given["vehicle_power_kw"],
            given["feeder_lmp_usd_per_mwh"],
        )
        ends_s = float((tick + 1) * TICK_S)
        found = {"vehicle_cleared_kw": cleared_kw, **prices}
        if tick == self._last_tick:
            return found, self._binding.finish(ends_s)
        unanswered = [
            {"time_s": ends_s, "kind": "clearing_failed", "place": one.id, "detail": one.reason}
            for one in failed
        ]
        return found, [*self._binding.update(ends_s, binding), *unanswered]

    def close(self) -> None:
        """Empty the engines, if they were built."""
        if hasattr(self, "_feeders"):
            self._feeders.close()

    def save(self) -> dict[str, NDArray[Any]]:
        """Return taps, capacitors, temperatures, what volt-watt withholds, what is violated."""
        kept: dict[str, NDArray[Any]] = {
            "draw_withheld": self._draw_withheld,
            "feed_withheld": self._feed_withheld,
            **_with(_LIFE, self._life.arrays()),
            **_with(_BINDING, self._binding.arrays()),
            **_with(_BIDS, self._bidding.arrays() if self._bidding else {}),
        }
        for number, state in enumerate(self._feeders.state()):
            kept |= _with(f"feeder{number}.", state.arrays())
        for number, watch in enumerate(self._watches):
            kept |= _with(f"watch{number}.", watch.arrays())
        return kept

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take them back."""
        self._draw_withheld, self._feed_withheld = state["draw_withheld"], state["feed_withheld"]
        self._life.take(_without(_LIFE, state))
        self._binding.take(_without(_BINDING, state))
        if self._bidding:
            self._bidding.take(_without(_BIDS, state))
        self._feeders.restore(
            [state_of(_without(f"feeder{i}.", state)) for i in range(len(self._feeders.ids))]
        )
        for number, watch in enumerate(self._watches):
            watch.take(_without(f"watch{number}.", state))

    def _unrated(self) -> list[dict[str, Any]]:
        """Say of which lines no rating is known: their loading means nothing."""
        unrated = [n for n, known in zip(self._feeders.line_ids, self._feeders.line_rated,
                                         strict=True) if not known]  # fmt: skip
        if not unrated:
            return []
        text = (
            f"{len(unrated)} of {len(self._feeders.line_ids)} lines have no rating of their own: "
        )
        text += f"their loading is of OpenDSS's {DEFAULT_RATING_A:g} A, and not watched"
        return [{
            "time_s": 0.0, "kind": "rating_missing", "place": unrated[0],
            "value": float(len(unrated)), "limit": DEFAULT_RATING_A,
            "detail": text,
        }]  # fmt: skip

    def _unpriced(self) -> list[dict[str, Any]]:
        """Say of which feeder marginal losses are not known."""
        return [
            {"time_s": 0.0, "kind": "losses_unpriced", "place": name,
             "detail": f"marginal losses count as none: {feeder.unpriced}"}
            for name, feeder in zip(self._feeders.ids, self._feeders.each, strict=True)
            if feeder.unpriced and self._price_losses
        ]  # fmt: skip

    def _watched(self, tick: int, *values: Any) -> list[dict[str, Any]]:
        events = [*self._unrated(), *self._unpriced()] if tick == 0 else []
        for watch, now in zip(self._watches, values, strict=True):
            events += watch.update(tick * TICK_S, now)
            if tick == self._last_tick:
                events += watch.finish((tick + 1) * TICK_S)
        return events


def _with(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {prefix + name: value for name, value in arrays.items()}


def _without(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}


class LinearGrid(Grid):
    """Follows the feeders by derivatives between solutions of OpenDSS; see `LinearFeeder`."""

    def _maker(self, scenario: Scenario) -> Callable[..., Feeder]:
        grid = scenario.grid
        return partial(
            LinearFeeder,
            volt_var=VOLT_VAR.get(grid.volt_var),
            refresh_ticks=grid.refresh_ticks,
            price_losses=scenario.market.prices_losses,
        )
