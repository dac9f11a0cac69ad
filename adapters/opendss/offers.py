"""Offers of flexible power behind the connections of feeders, and offers of one price as one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cosim.errors import Problem

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

FALL_USD_PER_MWH = 1.0
"""By how much the worth of an offer falls from its first kilowatt to its last, half of it above and
half below its price. Offers of one price thereby share alike, and there is one answer."""


@dataclass(frozen=True, eq=False)
class Offers:
    """What plugged-in vehicles would exchange; every field has shape (offer,)."""

    connection: Indices
    """Which connection of the feeders each is at; one may have many."""
    power_kw: Floats
    """Most that it would draw, above 0, or feed back, below 0; 0 is no offer [kW]."""
    usd_per_mwh: Floats
    """Drawing: the most it pays for energy there. Feeding back: the least it wants."""

    def problems(self, connections: int) -> Iterator[Problem]:
        """Yield what is wrong with them for so many connections."""
        count = len(self.connection)
        for field, value in vars(self).items():
            if value.shape != (count,):
                yield Problem(f"offers.{field}", f"of shape {value.shape}", f"({count},)")
                continue
            if field == "connection":
                wrong, allowed = (
                    (value < 0) | (value >= connections),
                    f"from 0 to {connections - 1}",
                )
            else:
                wrong, allowed = ~np.isfinite(value), "a finite number"
            for i in np.flatnonzero(wrong):
                yield Problem(f"offers.{field}[{i}]", f"{value[i]:g}", allowed)

    def at(self, first: int, count: int) -> tuple[Indices, Offers]:
        """Return the offers at some connections, counted from there, and which they are."""
        here = np.flatnonzero((self.connection >= first) & (self.connection < first + count))
        mine = Offers(self.connection[here] - first, self.power_kw[here], self.usd_per_mwh[here])
        return here, mine


class Bids:
    """Offers of one price at one connection as one bid for more power.

    To feed power back is to give it for certain and to bid for having it back: what an offer wants
    for it is what it then pays.

    Parameters
    ----------
    offers
        The offers.
    connections
        Number of connections.
    """

    def __init__(self, offers: Offers, connections: int) -> None:
        width = np.abs(offers.power_kw)
        order = np.lexsort((offers.usd_per_mwh, offers.connection))
        order = order[width[order] > 0]
        connection, price = offers.connection[order], offers.usd_per_mwh[order]
        new = np.ones(len(order), np.bool_)
        new[1:] = (np.diff(connection) > 0) | (np.diff(price) > 0)
        self._order, self._bid, self._offers = order, np.cumsum(new) - 1, offers
        self.connection: Indices = connection[new]
        """Connection of each bid, rising, shape (bid,)."""
        self.most_kw: Floats = np.bincount(self._bid, width[order], int(new.sum())).astype(float)
        """Most power, shape (bid,)."""
        self.value_usd_per_mwh: Floats = price[new] + FALL_USD_PER_MWH / 2
        """What the first kilowatt is worth, shape (bid,)."""
        self.slope_usd_per_mwh_per_kw: Floats = FALL_USD_PER_MWH / self.most_kw
        """How much less each further one is worth, shape (bid,)."""
        back = np.minimum(offers.power_kw, 0)
        self.least_kw: Floats = np.bincount(offers.connection, back, connections).astype(float)
        """Power where no bid is taken, shape (connection,)."""
        more = np.maximum(offers.power_kw, 0)
        self.largest_kw: Floats = np.bincount(offers.connection, more, connections).astype(float)
        """Power where all are, shape (connection,)."""
        back = np.where(self.largest_kw > 0, 0.0, -1.0)
        self.way: Floats = np.where(self.least_kw < 0, back, 1.0)
        """The sign of what could flow: 1 or -1, 0 where it could be either, shape (connection,)."""

    def utility_usd_per_h(self, power_kw: Floats) -> float:
        """Return what power, shape (bid,) [kW], is worth."""
        worth = self.value_usd_per_mwh - self.slope_usd_per_mwh_per_kw * power_kw / 2
        return float(worth @ power_kw) / 1e3

    def taken_kw(self, power_kw: Floats) -> Floats:
        """Return what is taken of each offer where bids take power, shape (bid,) [kW]."""
        taken = np.zeros(len(self._offers.power_kw))
        share = (power_kw / self.most_kw)[self._bid]
        given = self._offers.power_kw[self._order]
        taken[self._order] = given * np.where(given < 0, 1 - share, share)
        return taken + 0.0
