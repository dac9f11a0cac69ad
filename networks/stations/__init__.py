"""Charging stations: kinds with published figures, and where a scenario's stations stand."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class StationKind:
    """One kind of charging station."""

    name: str
    ports: int
    """Vehicles that can charge at once."""
    port_kw: float
    """Most AC power of a port [kW]."""
    three_phase: bool
    """Whether it needs a three-phase supply."""
    bidirectional: bool
    """Whether it can feed back."""
    source: str
    """Where the figures come from."""


@cache
def kinds() -> Mapping[str, StationKind]:
    """Return the kinds of stations by name, in file order."""
    text = (resources.files("networks.stations") / "kinds.toml").read_text("utf-8")
    return MappingProxyType(
        {name: StationKind(name=name, **fields) for name, fields in tomllib.loads(text).items()}
    )


def counts(total: int, shares: Mapping[str, float]) -> dict[str, int]:
    """Split `total` by `shares`, largest remainders first, so that the parts add up to it.

    Equal remainders go in the order of `shares`.
    """
    exact = {name: total * share for name, share in shares.items()}
    whole = {name: int(np.floor(value + 1e-9)) for name, value in exact.items()}
    order = sorted(shares, key=lambda name: -round(exact[name] - whole[name], 9))
    for name in order[: total - sum(whole.values())]:
        whole[name] += 1
    return whole


def place(
    kind_of_station: NDArray[np.int8],
    sites: NDArray[np.int32],
    weight: NDArray[np.float64],
    rng: np.random.Generator,
) -> NDArray[np.int32]:
    """Choose an edge for each station.

    Every kind is spread over the sites in proportion to their weight, so that each part of the
    city gets its share of fast and slow stations.

    Parameters
    ----------
    kind_of_station
        Kind index of each station, shape (station,).
    sites
        Edge index of each site, shape (site,).
    weight
        Weight of each site, for example the trips that end there, shape (site,).
    rng
        Breaks ties between sites.

    Returns
    -------
    ndarray
        Edge index of each station, shape (station,).
    """
    edges = np.empty(len(kind_of_station), dtype=np.int32)
    names = [str(i) for i in range(len(sites))]
    share = weight / weight.sum()
    for kind in np.unique(kind_of_station):
        members = np.flatnonzero(kind_of_station == kind)
        order = rng.permutation(len(sites))
        parts = counts(len(members), {names[i]: float(share[i]) for i in order})
        spread = np.repeat(np.arange(len(sites)), [parts[name] for name in names])
        edges[members] = sites[rng.permutation(spread)]
    return edges
