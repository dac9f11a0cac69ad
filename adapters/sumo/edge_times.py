"""Travel times of edges, from the vehicles that drove on them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adapters.sumo.drives import Drives
from adapters.sumo.tick import Floats, Progress
from networks.roads.routing import Router

NEW_SHARE = 0.5
"""Share of what a tick measured in the time that is kept."""
EASING = 0.1
"""Share by which the time of an edge without vehicles nears free flow, each tick."""
SLOWEST = 10.0
"""An edge counts as taking at most so many times its free-flow time."""
NOTICED = 0.1
"""Ways go by another time as soon as it is off by more than this share."""


class EdgeTimes:
    """Times that ways are chosen by: free flow at first, then what vehicles needed.

    Notes
    -----
    The time that an edge took in a tick is that spent on it over the share of it that was driven,
    both summed over its vehicles (Edie 1963), for a vehicle that drives at the limit; the time of a
    stretch of several edges is divided in proportion to their free-flow times. It is held between
    the free-flow time and ten times that. What is kept moves halfway to it (`NEW_SHARE`); where
    nobody drove it nears free flow by a tenth a tick (`EASING`). The router is told when an edge is
    off by more than a tenth (`NOTICED`).
    """

    def __init__(self, router: Router) -> None:
        self._router = router
        self.kept_s: Floats = router.free_s.copy()
        """Smoothed travel time of each edge, shape (edge,) [s]."""

    def measure(self, drives: Drives, done: Progress, others_s: Floats | None = None) -> None:
        """Take in what vehicles drove in a tick, and tell the router.

        Parameters
        ----------
        drives
            The ways that the stretches are on.
        done
            What was driven.
        others_s
            Time that each edge takes by SUMO's own measure, shape (edge,) [s]: for edges on which
            none of these vehicles was.
        """
        free_s = self._router.free_s
        edge, share, of = drives.stretches(done)
        covered_s = share * free_s[edge]
        whole_s = np.bincount(of, covered_s, len(done.first))
        # Who stood still spent the time on the edge where it stands.
        stood = whole_s <= 0
        last = np.flatnonzero(np.append(of[1:] != of[:-1], True)[: len(of)])
        covered_s[last[stood[of[last]]]] = 1.0
        whole_s[stood] = 1.0
        spent_s = covered_s / whole_s[of] * (done.seconds * done.pace)[of]
        spent = np.bincount(edge, spent_s, len(free_s))
        driven = np.bincount(edge, share, len(free_s))
        measured_s = np.divide(spent, driven, out=np.full(len(free_s), np.inf), where=driven > 0)
        seen = spent > 0
        if others_s is not None:
            measured_s, seen = np.where(seen, measured_s, others_s), seen | (others_s > free_s)
        measured_s = np.clip(measured_s, free_s, SLOWEST * free_s)
        kept = self.kept_s
        kept += np.where(seen, NEW_SHARE * (measured_s - kept), EASING * (free_s - kept))
        now_s = self._router.edge_s
        off = np.abs(kept - now_s) > NOTICED * now_s
        if off.any():
            self._router.update(np.where(off, kept, now_s))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return all that later ways depend on by name, for a checkpoint."""
        return {"edge_kept_s": self.kept_s, "edge_router_s": self._router.edge_s}

    def take(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Go on from a checkpoint; KeyError if something is missing."""
        self.kept_s = arrays["edge_kept_s"].copy()
        self._router.update(arrays["edge_router_s"])
