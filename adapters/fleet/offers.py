"""What plugged-in vehicles offer to the clearing of their feeder, and what it leaves them."""

from __future__ import annotations

import numpy as np

from adapters.fleet.charging import Chargers, PortLimits
from adapters.fleet.state import Feedback, Orders
from cosim.assets import Assets
from cosim.signals import TICK_HOURS
from cosim.team import Floats, Ints


class Offers:
    """Offers of power for the next tick, and the bounds that were cleared for this one.

    A tick's offers are cleared after its own solution of the feeder, for the tick that follows. A
    vehicle that has just plugged in has offered nothing at its station, and so draws nothing before
    the next tick.

    Parameters
    ----------
    assets
        Static tables of the scenario.
    chargers
        Ports and their limits.
    """

    def __init__(self, assets: Assets, chargers: Chargers) -> None:
        self._chargers = chargers
        self._battery_kwh = assets.vehicles.per_vehicle("battery_kwh")
        self.offered_at: Ints = np.full(len(assets.vehicles.ids), -1, dtype=np.int32)
        """Station at which each vehicle offered in the tick before, -1 for none; the state of a
        checkpoint."""

    def within_cleared(self, holds: Ints, asked_kw: Floats, cleared_kw: Floats) -> Floats:
        """Return the power within what was cleared where the vehicle offered it [kW].

        Parameters
        ----------
        holds
            Station whose port each vehicle holds, -1 for none, shape (vehicle,).
        asked_kw
            Power that each would ask for, shape (vehicle,) [kW].
        cleared_kw
            What was cleared of the offers of the tick before, shape (vehicle,) [kW].
        """
        bound_kw = np.where(holds == self.offered_at, cleared_kw, 0.0)
        return np.clip(asked_kw, np.minimum(bound_kw, 0.0), np.maximum(bound_kw, 0.0))

    def made(
        self, holds: Ints, at_port: PortLimits, power_kw: Floats, back: Feedback, orders: Orders
    ) -> tuple[Floats, Floats]:
        """Offer what each vehicle would exchange in the next tick, by what is known now.

        It is what `Chargers.ask` says of the state of charge after this tick, with the limits that
        the battery told last and the set points at hand, shared within stations and sites.

        Parameters
        ----------
        holds
            Station whose port each vehicle holds, -1 for none, shape (vehicle,).
        at_port
            Limits of the ports.
        power_kw
            Power asked for in this tick, shape (vehicle,) [kW].
        back, orders
            What the tick before left behind, and what the team decided.

        Returns
        -------
        offer_kw
            Shape (vehicle,) [kW].
        usd_per_mwh
            Most that the vehicle pays where it draws, least that it wants where it feeds back, 0
            without an offer, shape (vehicle,).
        """
        self.offered_at = holds.copy()
        efficiency = at_port.efficiency
        into_pack_kw = np.where(power_kw >= 0, power_kw * efficiency, power_kw / efficiency)
        asked = self._chargers.ask(
            at_port,
            orders.vehicle_charge_kw,
            orders.vehicle_target_soc,
            back.vehicle_soc + into_pack_kw * TICK_HOURS / self._battery_kwh,
            back.vehicle_charge_limit_kw,
            back.vehicle_discharge_limit_kw,
        )
        offer_kw = self._chargers.share(
            holds,
            np.where(holds >= 0, asked, 0.0),
            back.station_draw_withheld,
            back.station_feed_withheld,
        )
        wanted = np.where(
            offer_kw > 0, orders.vehicle_bid_usd_per_mwh, orders.vehicle_ask_usd_per_mwh
        )
        return offer_kw, np.where(offer_kw == 0, 0.0, wanted)
