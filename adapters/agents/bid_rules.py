"""Bidding by rule: what cannot wait pays most, what can wait little more than the usual price."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from adapters.agents.needs import Needs
from cosim.assets import Surroundings
from cosim.scenario import Rules
from cosim.signals import TICK_S
from cosim.team import Agent, Floats, Ints, Observation, Plan, Status

LEAST_SLACK_S = 3600.0
"""What a trip needs cannot wait once charging it at full power would end so short before [s]."""
MEMORY_TICKS = 24 * 3600 // TICK_S
"""The usual price is the mean over about so many ticks: a day."""


class BidByUrgency(Agent):
    """Market bidder: pays by how long charging can wait, and feeds back for its wear.

    A vehicle bids one price for all that it draws:

    - the value of lost load while it lacks charge for its next trip and full power from now on
      would bring that less than an hour before it leaves;
    - `needed_usd_per_mwh` of the rules while it lacks charge for its next trip, is below where idle
      vehicles go to charge, or stands at a public port, where others may want to;
    - else `can_wait_over_usual` times what energy and losses have cost at its station in the last
      day. The bidder knows the prices it has seen and no others. Of limits it remembers nothing, or
      it would get used to paying for them.

    A vehicle that feeds back wants `feed_back_above_usd_per_mwh` and the wear of its battery. Bids
    reach the fleet in the next tick, are cleared in it, and hold in the tick after that.
    """

    name: ClassVar[str] = "market_bidder"

    def __init__(self, around: Surroundings, rules: Rules, lost_load_usd_per_mwh: float) -> None:
        vehicles, stations = around.vehicles, around.stations
        self._rules, self._lost_load = rules, lost_load_usd_per_mwh
        self._needs, self._public = Needs(around, rules), stations.public
        self._every = np.arange(len(vehicles.ids), dtype=np.int32)
        self._usual = np.zeros(len(stations.ids))
        self._seen_ticks = 0

    def save(self) -> dict[str, NDArray[Any]]:
        """Return the usual prices, and how many ticks they are of."""
        return {"usual": self._usual.copy(), "ticks": np.array(self._seen_ticks)}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take them back."""
        self._usual, self._seen_ticks = state["usual"].copy(), int(state["ticks"])

    def due(self, seen: Observation) -> Ints:
        """Return all vehicles: one that plugs in next has its bid by then."""
        del seen
        return self._every

    def act(self, seen: Observation, due: Ints, plan: Plan) -> None:
        """Bid for what vehicles would draw, and ask for what they would feed back."""
        self._remember(seen)
        plan.vehicle_bid_usd_per_mwh[due] = self._bid(seen)[due]
        above = self._rules.feed_back_above_usd_per_mwh
        feeds = due[(plan.vehicle_charge_kw[due] < 0) & (seen.vehicle_station[due] >= 0)]
        if above is not None and feeds.size:
            wear = self._needs.wear_usd_per_mwh(seen, feeds)
            plan.vehicle_ask_usd_per_mwh[feeds] = np.minimum(above + wear, self._lost_load)

    def _remember(self, seen: Observation) -> None:
        """Take this tick's price, without limits, into the mean of the last day."""
        self._seen_ticks = min(self._seen_ticks + 1, MEMORY_TICKS)
        price = seen.station_price_usd_per_mwh - seen.station_limits_usd_per_mwh
        self._usual += (price - self._usual) / self._seen_ticks

    def _bid(self, seen: Observation) -> Floats:
        """Return the most that each vehicle pays, shape (vehicle,) [USD/MWh]."""
        rules, plugged = self._rules, seen.vehicle_status == Status.PLUGGED
        at = np.where(plugged, seen.vehicle_station, 0)
        usual = np.where(plugged, self._usual[at], self._usual.mean())
        waits = np.minimum(rules.can_wait_over_usual * np.maximum(usual, 0.0), self._lost_load)
        trip_soc = self._needs.soc(seen)
        lacks = seen.vehicle_soc < trip_soc
        missing_soc = np.maximum(trip_soc - seen.vehicle_soc, 0.0)
        slack_s = self._needs.leaves_in_s(seen) - self._needs.charging_s(seen, missing_soc, at)
        needed = lacks | (seen.vehicle_soc < rules.plug_in_below_soc)
        needed |= plugged & self._public[at]
        needed_usd = np.maximum(min(rules.needed_usd_per_mwh, self._lost_load), waits)
        bid = np.where(needed, needed_usd, waits)
        return np.where(lacks & (slack_s < LEAST_SLACK_S), self._lost_load, bid)
