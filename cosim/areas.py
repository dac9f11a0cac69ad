"""Which feeder supplies which station: areas of about equal nameplate power.

The stations' places are cut in two again and again, across the longer side, until there is one area
for each feeder. A cut goes where the nameplate power on its two sides is nearest to the numbers of
feeders there, so that areas differ by about the largest site in them. Stations of one site stay
together, unless the site is larger than what one feeder is for; then it can be cut between its
stations. Nothing is random, and one feeder takes everything.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cosim.tables import Floats, Ints

_Index = NDArray[np.int64]


def feeder_ids(count: int) -> tuple[str, ...]:
    """Return the names of `count` feeders: f00, f01 and so on."""
    digits = max(2, len(str(count - 1)))
    return tuple(f"f{i:0{digits}d}" for i in range(count))


def areas(
    x_m: Floats, y_m: Floats, site: Ints, power_kw: Floats, count: int, feeder_kw: float
) -> Ints:
    """Divide stations into `count` areas.

    Parameters
    ----------
    x_m, y_m
        Place of each station, the same for those of one site, shape (station,) [m].
    site
        Site that each station belongs to, shape (station,).
    power_kw
        Nameplate power of each station, shape (station,) [kW].
    count
        Number of areas. With fewer sites than areas some have no station.
    feeder_kw
        Load that one feeder is made for [kW]. A site larger than this, or than its equal share of
        all power, may be divided.

    Returns
    -------
    ndarray
        Area of each station, from 0, shape (station,). Areas that neighbour each other in number
        do so in space, but for the jumps between the halves of a cut.
    """
    most_kw = min(feeder_kw, power_kw.sum() / count)
    whole = np.bincount(site, power_kw)[site] <= most_kw
    # A site that may be divided is as many units as it has stations.
    key = np.where(whole, site, site.max(initial=-1) + 1 + np.arange(len(site)))
    _, first, unit = np.unique(key, return_index=True, return_inverse=True)
    unit = unit.ravel()
    area_of_unit = np.zeros(len(first), dtype=np.int32)
    unit_kw = np.bincount(unit, power_kw, len(first)).astype(np.float64)
    _divide(np.arange(len(first)), x_m[first], y_m[first], unit_kw, 0, count, area_of_unit)
    return area_of_unit[unit]


def _divide(
    units: _Index, x_m: Floats, y_m: Floats, power_kw: Floats, area: int, count: int, found: Ints
) -> None:
    """Give `units` the areas from `area` on, `count` of them, in `found`."""
    found[units] = area
    if count == 1 or not len(units):
        return
    along, across = x_m[units], y_m[units]
    if np.ptp(across) > np.ptp(along):
        along, across = across, along
    units = units[np.lexsort((units, across, along))]
    left = count // 2
    cut = _cut(power_kw[units], left, count)
    _divide(units[:cut], x_m, y_m, power_kw, area, left, found)
    _divide(units[cut:], x_m, y_m, power_kw, area + left, count - left, found)


def _cut(power_kw: Floats, left: int, count: int) -> int:
    """Return how many of the units in a row go to the `left` of `count` areas."""
    units = len(power_kw)
    if units <= count:
        return units * left // count
    below_kw = np.cumsum(power_kw)
    # Each side keeps a unit for each of its areas.
    cuts = np.arange(left, units - (count - left) + 1)
    off_kw = np.abs(below_kw[cuts - 1] - below_kw[-1] * left / count)
    return int(cuts[np.argmin(off_kw)])
