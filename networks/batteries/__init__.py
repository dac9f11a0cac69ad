"""Published figures of cells: thermal data, ageing, power limits and prices.

`cells` gives the figures of the two cells, `ageing_laws` the constants of the closed-form laws that
`networks.batteries.laws` evaluates, `ageing_points` what to calibrate to, `derating` the power
limits against temperature, `pack_heat` how packs warm and cool, `pack_prices` what they cost.
"""

from networks.batteries.catalogue import (
    ageing_laws,
    ageing_points,
    cells,
    derating,
    derating_observed,
    entropic,
    pack_heat,
    pack_prices,
    resistance_points,
    vehicle_chemistries,
)
from networks.batteries.records import (
    VERIFIED,
    AgeingPoint,
    Cell,
    Derating,
    Entropic,
    Figure,
    Law,
    Observed,
    PackPrice,
    ResistancePoint,
    VehicleChemistry,
)

__all__ = [
    "VERIFIED",
    "AgeingPoint",
    "Cell",
    "Derating",
    "Entropic",
    "Figure",
    "Law",
    "Observed",
    "PackPrice",
    "ResistancePoint",
    "VehicleChemistry",
    "ageing_laws",
    "ageing_points",
    "cells",
    "derating",
    "derating_observed",
    "entropic",
    "pack_heat",
    "pack_prices",
    "resistance_points",
    "vehicle_chemistries",
]
