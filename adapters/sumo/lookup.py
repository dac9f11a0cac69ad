"""Finding the recorded leg that is the one to be driven."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from adapters.sumo.profiles import Profiles
from adapters.sumo.record import Record, ticks_of
from adapters.sumo.tick import Floats

Ints = NDArray[np.int64]


class Lookup:
    """Recorded legs by vehicle, tick of departure, origin and target.

    Parameters
    ----------
    record, profiles
        What was recorded; legs are known by their profile.
    edges
        Number of edges of the network.
    """

    def __init__(self, record: Record, profiles: Profiles, edges: int) -> None:
        leg = profiles.leg
        self._edges, self._ticks = edges, record.ticks
        code = record.origin[leg] * edges + record.target[leg]
        self._pairs = np.unique(code)
        key = self._key(
            record.vehicle[leg],
            ticks_of(record.start_s[leg]),
            np.searchsorted(self._pairs, code),
        )
        order = np.lexsort((record.start_s[leg], key))
        self._profile, self._keys = order, key[order]
        self._start_s = record.start_s[leg][order]
        alike = np.unique(key, return_counts=True)[1] if len(key) else np.zeros(1, np.int64)
        self._most_alike = int(alike.max())

    def _key(self, vehicle: Ints, tick: Ints, pair: Ints) -> Ints:
        return (vehicle * self._ticks + tick) * len(self._pairs) + pair

    def find(self, vehicle: Ints, start: Ints, end: Ints, depart_s: Floats) -> Ints:
        """Return the profile of each leg as it was recorded, -1 for one that was not.

        Parameters
        ----------
        vehicle
            Vehicle of the record, -1 for none.
        start, end
            Edges at whose ends the legs begin and end.
        depart_s
            Departure in the record's time [s]. Of several legs within the same tick it is the last
            that had begun by then, else the first.
        """
        code = start * self._edges + end
        pair = np.minimum(np.searchsorted(self._pairs, code), len(self._pairs) - 1)
        tick = ticks_of(depart_s)
        key = self._key(vehicle, tick, pair)
        last = len(self._keys) - 1
        place = np.minimum(np.searchsorted(self._keys, key), last)
        there = (self._pairs[pair] == code) & (self._keys[place] == key)
        there &= (vehicle >= 0) & (tick >= 0) & (tick < self._ticks)
        for _ in range(self._most_alike - 1):
            following = np.minimum(place + 1, last)
            later = (self._keys[following] == key) & (self._start_s[following] <= depart_s)
            place = np.where(later, following, place)
        return np.where(there, self._profile[place], -1)
