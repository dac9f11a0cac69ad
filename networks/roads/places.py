"""Places on a network as people name them."""

from __future__ import annotations

import numpy as np

from cosim.errors import UserError, nearest
from networks.roads.network import RoadNetwork


def edge_at(roads: RoadNetwork, place: str) -> int:
    """Return the edge that a text names, or at whose end a point is nearest.

    Parameters
    ----------
    roads
        Road network.
    place
        Id of an edge, or longitude and latitude with a comma between [deg].

    Raises
    ------
    UserError
        If there is no such edge, or the network has no place on the map.
    """
    if place in roads.edge_ids:
        return roads.edge_index(place)
    try:
        lon, lat = (float(part) for part in place.split(","))
    except ValueError:
        near = nearest(place, roads.edge_ids)
        hint = f" Did you mean {near}?" if near else ""
        raise UserError(
            f"{place!r} is no edge of {roads.name}, nor a longitude and latitude such as "
            f"6.13,49.61.{hint}"
        ) from None
    if not np.isfinite(roads.end_lon_deg).all():
        raise UserError(f"{roads.name} has no place on the map: name an edge instead of {place}")
    box = [(v.min(), v.max()) for v in (roads.end_lon_deg, roads.end_lat_deg)]
    if not all(
        low - _NEAR <= v <= high + _NEAR for v, (low, high) in zip((lon, lat), box, strict=True)
    ):
        (west, east), (south, north) = box
        raise UserError(
            f"{place} is not on {roads.name}, which lies in {west:.4f} to {east:.4f} deg E, "
            f"{south:.4f} to {north:.4f} deg N"
        )
    east = (roads.end_lon_deg - lon) * np.cos(np.radians(lat))
    return int(np.hypot(east, roads.end_lat_deg - lat).argmin())


_NEAR = 0.02
"""A point counts as on a network so far outside of it [deg]."""
