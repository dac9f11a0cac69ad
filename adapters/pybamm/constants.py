"""Constants of nature and of the calendar."""

from __future__ import annotations

FARADAY_C_PER_MOL = 96485.33212
GAS_J_PER_MOL_K = 8.314462618
ZERO_C_K = 273.15
YEAR_S = 365.25 * 86400.0
J_PER_KWH = 3.6e6

HEAT_ERROR = 1.15
"""Error of the heat foreseen for a tick of discharge, midway in which the electrolyte runs low:
reckoned with as more in the warm and as less in the cold. Where a warm cell is derated, two kelvin
more are a third of the current."""
