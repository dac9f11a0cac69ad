"""The audit of every tick: energy, power limits, state of charge, money.

`cosim.laws` and `cosim.service_laws` hold the laws, `cosim.checking` how figures are compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from cosim import laws, service_laws
from cosim.assets import Assets
from cosim.checking import Breach, Checker
from cosim.scenario import Scenario
from cosim.signals import Ids
from cosim.simulator import Facts


class Audit:
    """Checks every tick; keeps what it needs of the ticks before.

    Parameters
    ----------
    scenario
        Says with ``run.audit`` what a breach does: ``stop`` raises it, ``record`` notes it.
    assets
        Static tables of the scenario.
    ids
        Ids of every dimension.
    facts
        Facts of the simulators; ``station_transformer``, ``generator_zone``, ``feeder_zone`` and
        ``feeder_weight`` are used.
    note
        Called with (tick, event) for every breach that is recorded.
    """

    def __init__(
        self,
        scenario: Scenario,
        assets: Assets,
        ids: Ids,
        facts: Facts,
        note: Callable[[int, dict[str, Any]], None] | None = None,
    ) -> None:
        self._ids = ids
        self._bids = scenario.market.bids == "on"
        self._stop = scenario.run.audit == "stop"
        self._note = note
        self._plates = laws.Plates(assets, ids, facts)
        self._terms = service_laws.Terms.of(scenario)
        start = assets.vehicles.initial_soc
        # Before the first tick nobody has plugged in, and nothing is cleared.
        nothing = np.zeros(len(start)) if self._bids else None
        nowhere = np.full(len(start), -1, np.int32)
        self._before = laws.Before(soc=start, integral=start, station=nowhere, cleared_kw=nothing)
        self.count = 0
        """Breaches so far."""

    def take(self, tick: int, signals: Mapping[str, Any]) -> None:
        """Check one tick.

        Raises
        ------
        AuditError
            At the first breach, unless breaches are only recorded.
        """
        for breach in self.breaches(tick, signals):
            self.count += 1
            if self._stop:
                raise breach.error()
            if self._note:
                self._note(tick, breach.event())
        moved = signals["pack_charge_ah"] / signals["cell_capacity_ah"]
        first = self._before.first_soh
        self._before = laws.Before(
            soc=signals["vehicle_soc"],
            integral=self._before.integral + moved,
            soh=signals["vehicle_soh"],
            first_soh=signals["vehicle_soh"] if first is None else first,
            charge_limit_kw=signals["vehicle_charge_limit_kw"],
            discharge_limit_kw=signals["vehicle_discharge_limit_kw"],
            draw_withheld=signals["station_draw_withheld"],
            feed_withheld=signals["station_feed_withheld"],
            head_kw=signals["feeder_head_kw"],
            bus_load_mw=signals["bus_load_mw"],
            response_open_kwh=signals["response_open_kwh"],
            called=signals["vehicle_called"],
            call_kw=signals["vehicle_call_kw"],
            station=signals["vehicle_station"],
            cleared_kw=signals["vehicle_cleared_kw"] if self._bids else None,
        )

    def breaches(self, tick: int, signals: Mapping[str, Any]) -> Iterator[Breach]:
        """Yield every law that the tick breaks."""
        check = Checker(tick, self._ids)
        before, plates = self._before, self._plates
        yield from laws.driving(check, signals, before)
        yield from laws.charging(check, signals, plates, self._ids)
        yield from laws.limits(check, signals, plates, before)
        yield from laws.state_of_charge(check, signals, plates, before)
        yield from laws.feeder(check, signals, plates)
        yield from laws.money(check, signals, plates, before)
        yield from service_laws.response(check, signals, plates, before)
        yield from service_laws.reserve(check, signals, plates, before, self._terms)
