"""The mosaik face of the feeder: role ``grid``, kind ``opendss``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

import networks.feeders
import networks.loads
from adapters.opendss.charging import station_power_kw, transformer_power_kw
from adapters.opendss.feeder import Feeder
from adapters.opendss.service import place_service_transformers
from adapters.opendss.violations import (
    LOADING_HIGH_PCT,
    VOLTAGE_HIGH_PU,
    VOLTAGE_LOW_PU,
    Watch,
)
from cosim.assets import Assets
from cosim.errors import PowerFlowError
from cosim.scenario import Scenario
from cosim.signals import TICK_S, Role
from cosim.simulator import Simulator


class Grid(Simulator):
    """Solves the feeder with the power that the vehicles really exchanged."""

    role: ClassVar[Role] = "grid"

    def prepare(self, scenario: Scenario, assets: Assets) -> None:
        """Build the feeder and hang every station on a service transformer."""
        grid, stations = scenario.grid, assets.stations
        data = networks.feeders.load(grid.feeder)
        service, self._transformer_of_station = place_service_transformers(
            data,
            stations.rating_kw,
            stations.three_phase,
            grid.charger_power_factor,
        )
        self._feeder = Feeder(data, service, grid.charger_power_factor)
        self._stations = len(stations.ids)
        self._load_scale = grid.load_scale
        self._shape = networks.loads.load_shape(grid.load_shape)
        start = scenario.start_time
        self._first_slot = (start.hour * 3600 + start.minute * 60 + start.second) // TICK_S
        self._watches = (
            Watch("voltage_violation", self._feeder.bus_ids, VOLTAGE_LOW_PU, VOLTAGE_HIGH_PU),
            Watch("overload", self._feeder.transformer_ids, -np.inf, LOADING_HIGH_PCT),
            Watch("overload", self._feeder.line_ids, -np.inf, LOADING_HIGH_PCT),
        )
        self._last_tick = scenario.ticks - 1

    def dimensions(self) -> dict[str, list[str]]:
        """Nodes, transformers and lines of the feeder."""
        return {
            "bus": list(self._feeder.bus_ids),
            "transformer": list(self._feeder.transformer_ids),
            "line": list(self._feeder.line_ids),
        }

    def facts(self) -> dict[str, tuple[str, list[Any]]]:
        """Service transformer of every station, rating of every transformer."""
        service = self._feeder.service.ids
        return {
            "station_transformer": ("station", [service[i] for i in self._transformer_of_station]),
            "transformer_rating_kva": ("transformer", self._feeder.rating_kva.tolist()),
        }

    def advance(self, tick: int, given: Mapping[str, Any]) -> dict[str, Any]:
        """Solve one settlement interval."""
        try:
            station_kw = station_power_kw(
                given["vehicle_power_kw"], given["vehicle_station"], self._stations
            )
            charger_kw = transformer_power_kw(
                station_kw, self._transformer_of_station, len(self._feeder.service)
            )
            slot = (self._first_slot + tick) % len(self._shape)
            solved = self._feeder.solve(self._load_scale * float(self._shape[slot]), charger_kw)
        except PowerFlowError as error:
            raise PowerFlowError(error.reason, where=error.where, tick=tick) from error
        return {
            "station_power_kw": station_kw,
            "bus_voltage_pu": solved.bus_voltage_pu,
            "transformer_loading_pct": solved.transformer_loading_pct,
            "transformer_ev_kw": solved.transformer_ev_kw,
            "line_loading_pct": solved.line_loading_pct,
            "feeder_power_kw": solved.feeder_power_kw,
            "feeder_reactive_kvar": solved.feeder_reactive_kvar,
            "feeder_losses_kw": solved.feeder_losses_kw,
            "feeder_base_kw": solved.feeder_base_kw,
            "grid_events": self._watched(
                tick,
                solved.bus_voltage_pu,
                solved.transformer_loading_pct,
                solved.line_loading_pct,
            ),
        }

    def close(self) -> None:
        """Empty the engine, if it was built."""
        if hasattr(self, "_feeder"):
            self._feeder.close()

    def _watched(self, tick: int, *values: Any) -> list[dict[str, Any]]:
        events: list[dict[str, Any]] = []
        for watch, now in zip(self._watches, values, strict=True):
            events += watch.update(tick * TICK_S, now)
            if tick == self._last_tick:
                events += watch.finish((tick + 1) * TICK_S)
        return events
