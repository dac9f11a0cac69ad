"""Where things are, and who goes where: weights of homes and work, and gravity between them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from networks.demand.trips import Floats, Ints

Rows = NDArray[np.intp]
_MOST = 1000
"""Places of a large city that stand for all: their table of times takes 8 MB."""


@dataclass(frozen=True, eq=False)
class Places:
    """Where things are: edges with the weight of homes and of work; arrays have shape (site,)."""

    edge: Ints
    """Edge at whose end each place stands; no edge twice."""
    homes: Floats
    """Residents, in any unit."""
    work: Floats
    """Jobs and other things to drive to, in any unit."""
    travel_time_s: Callable[[ArrayLike, ArrayLike], Floats]
    """Free-flow time between pairs of edges (n,) and (m,) [s], shape (n, m), inf where no way."""
    distance_km: Callable[[ArrayLike, ArrayLike], Floats]
    """Length of those ways [km], shape (n, m)."""
    trip_table: Floats | None = None
    """Trips from place to place in any unit, shape (site, site); None if not known."""
    edge_ids: Sequence[str] = ()
    """Ids of all edges of the roads, for files that name them."""

    def __post_init__(self) -> None:
        count = len(self.edge)
        if count == 0 or len(np.unique(self.edge)) != count:
            raise ValueError("there must be places, each at another edge")
        for name, weight in (("homes", self.homes), ("work", self.work)):
            if weight.shape != (count,) or not np.isfinite(weight).all() or (weight < 0).any():
                raise ValueError(f"{name} needs one finite weight >= 0 for each place")
            if weight.sum() <= 0:
                raise ValueError(f"{name} must not be 0 everywhere")
        if self.trip_table is not None and self.trip_table.shape != (count, count):
            raise ValueError("trip_table needs a row and a column for each place")

    def sites(self, rng: np.random.Generator) -> Sites:
        """Return the places that can all reach each other, with the times between them.

        A thousand places, drawn by their weight, stand for more; the generator is used in that
        case alone. Places outside the largest set that is connected both ways are left out.
        """
        kept = np.arange(len(self.edge))
        if len(kept) > _MOST:
            weight = self.homes / self.homes.sum() + self.work / self.work.sum()
            weight = weight + weight.mean() * 1e-6
            kept = np.sort(rng.choice(kept, _MOST, replace=False, p=weight / weight.sum()))
        time_s = np.asarray(self.travel_time_s(self.edge[kept], self.edge[kept]), np.float64)
        finite = np.isfinite(time_s)
        # All places that reach a hub and that it reaches can reach each other.
        both = finite & finite.T
        hub = int(np.argmax(both.sum(axis=1)))
        among = np.flatnonzero(both[hub])
        kept = kept[among]
        table = None if self.trip_table is None else self.trip_table[np.ix_(kept, kept)]
        return Sites(
            edge=self.edge[kept].astype(np.int32),
            homes=_positive(self.homes[kept]),
            work=_positive(self.work[kept]),
            time_s=time_s[np.ix_(among, among)],
            trip_table=table if table is not None and table.sum() > 0 else None,
        )


def _positive(weight: Floats) -> Floats:
    """Return the weight as shares, equal ones if nothing is left of it."""
    total = weight.sum()
    return weight / total if total > 0 else np.full(len(weight), 1 / len(weight))


@dataclass(frozen=True, eq=False)
class Sites:
    """Places that can all reach each other; arrays have shape (site,)."""

    edge: Ints
    homes: Floats
    """Share of the residents."""
    work: Floats
    """Share of the jobs."""
    time_s: Floats
    """Free-flow times [s], shape (site, site)."""
    trip_table: Floats | None

    def __len__(self) -> int:
        return len(self.edge)

    def gravity(self, attraction: Floats, decay_s: float, *, stay: bool = False) -> Floats:
        """Return how much each place draws from each other: attraction times exp(-time / decay).

        Parameters
        ----------
        attraction
            Weight of the destinations, shape (site,).
        decay_s
            Time at which a place counts 1/e [s].
        stay
            Whether one can go to where one is.

        Returns
        -------
        ndarray
            Weights, shape (site, site). Where nothing draws, all other places do alike.

        Notes
        -----
        The gravity model of trip distribution with an exponential deterrence: A. G. Wilson,
        "A statistical theory of spatial distribution models", Transportation Research 1 (1967).
        """
        # Relative to the nearest neighbour, so that far places do not underflow together.
        away = ~np.eye(len(self), dtype=bool) if not stay and len(self) > 1 else None
        nearest = np.where(True if away is None else away, self.time_s, np.inf).min(axis=1)
        weight = attraction[None, :] * np.exp(
            -np.maximum(self.time_s - nearest[:, None], 0) / decay_s
        )
        if away is not None:
            weight = weight * away
        dead = weight.sum(axis=1) <= 0
        weight[dead] = 1.0 if away is None else away[dead]
        return weight


def chosen(rng: np.random.Generator, weight: Floats, rows: Rows) -> Rows:
    """Draw a column for each of `rows` by the weights of its row of the table (n, m)."""
    total = np.cumsum(weight, axis=1)
    level = total / total[:, -1:] + np.arange(len(total))[:, None]
    found = np.searchsorted(level.ravel(), rows + rng.random(len(rows)), side="right")
    return np.minimum(found - rows * weight.shape[1], weight.shape[1] - 1)
