"""Closed-form ageing laws; the constants are in ``ageing.toml`` with their sources.

Each function takes arrays or numbers that broadcast and gives the capacity lost as a share of the
new capacity, 0..1, at constant conditions from new. Each law is of one cell: outside the range that
its note in ``ageing.toml`` names it is a guess.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from networks.batteries.catalogue import ageing_laws

Floats = NDArray[np.float64]
GAS_J_PER_MOL_K = 8.314462618
ZERO_C_K = 273.15
REFERENCE_K = 298.15
NORMAL_K = 308.15
"""Temperature by which the LG M50 law divides [K]."""
NORMAL_V = 0.123
"""Graphite potential by which the LG M50 law divides [V]."""


def _array(value: ArrayLike) -> Floats:
    return np.asarray(value, dtype=np.float64)


def _constants(name: str) -> Mapping[str, float]:
    return ageing_laws()[name].constants


def graphite_potential_v(soc: ArrayLike) -> Floats:
    """Potential of graphite against lithium at a state of charge of the cell [V].

    Notes
    -----
    Safari and Delacourt 2011, J. Electrochem. Soc. 158, A562, doi 10.1149/1.3567007, with the
    lithiation 0.0085 to 0.78 as NREL's BLAST-Lite uses it for every cell.
    """
    x = 0.0085 + _array(soc) * (0.78 - 0.0085)
    return np.asarray(
        0.6379
        + 0.5416 * np.exp(-305.5309 * x)
        + 0.044 * np.tanh(-(x - 0.1958) / 0.1088)
        - 0.1978 * np.tanh((x - 1.0571) / 0.0854)
        - 0.6875 * np.tanh((x + 0.0117) / 0.0529)
        - 0.0175 * np.tanh((x - 0.5692) / 0.0875)
    )


def naumann_calendar(days: ArrayLike, temperature_c: ArrayLike, soc: ArrayLike) -> Floats:
    """Calendar loss of the LFP 26650 cell of Naumann et al. 2018."""
    c = _constants("naumann_calendar")
    warmth = 1 / (_array(temperature_c) + ZERO_C_K) - 1 / REFERENCE_K
    rate = c["k_ref"] * np.exp(-c["activation_j_per_mol"] / GAS_J_PER_MOL_K * warmth)
    charge = c["c"] * (_array(soc) - 0.5) ** 3 + c["d"]
    return rate * charge * np.sqrt(_array(days) * 86400.0)


def naumann_cycle(cycles: ArrayLike, dod: ArrayLike, c_rate: ArrayLike) -> Floats:
    """Cycle loss of the LFP 26650 cell of Naumann et al. 2020, besides the calendar loss."""
    c = _constants("naumann_cycle")
    current = c["a"] * _array(c_rate) + c["b"]
    depth = c["c"] * (_array(dod) - 0.6) ** 3 + c["d"]
    return current * depth * np.sqrt(_array(cycles)) / 100.0


def lg_m50_calendar(days: ArrayLike, temperature_c: ArrayLike, soc: ArrayLike) -> Floats:
    """Calendar loss of the LG M50 as NREL fitted it."""
    c = _constants("lg_m50_calendar")
    warmth = (_array(temperature_c) + ZERO_C_K) / NORMAL_K
    potential = graphite_potential_v(soc) / NORMAL_V
    full = _array(soc)
    rate = (
        c["k0"]
        + c["k1"] * np.exp(warmth**3 / np.cbrt(potential))
        + c["k2"] * warmth**3 / np.sqrt(potential)
        + c["k3"] * np.exp(np.sqrt(full) / warmth**2)
        + c["k4"] * np.exp(full**3)
    )
    return rate * (_array(days) / 1e4) ** c["power"]


def lg_m50_cycle(cycles: ArrayLike, temperature_c: ArrayLike, c_rate: ArrayLike) -> Floats:
    """Cycle loss of the LG M50 in full cycles as NREL fitted it, besides the calendar loss."""
    c = _constants("lg_m50_cycle")
    rate = _array(c_rate)
    warmth = (_array(temperature_c) + ZERO_C_K) / NORMAL_K
    k = c["k0"] * np.exp(c["k1"] * rate**3 + c["k2"] * warmth**3 * np.sqrt(rate))
    return np.asarray(k * (_array(cycles) / 1e4) ** c["power"])


def schmalstieg_calendar(days: ArrayLike, temperature_c: ArrayLike, voltage_v: ArrayLike) -> Floats:
    """Calendar loss of the NMC 18650 cell of Schmalstieg et al. 2014 at a storage voltage."""
    c = _constants("schmalstieg_calendar")
    rate = (c["a"] * _array(voltage_v) - c["b"]) * 1e6
    return np.asarray(
        rate * np.exp(-c["c"] / (_array(temperature_c) + ZERO_C_K)) * _array(days) ** c["power"]
    )


def schmalstieg_cycle(throughput_ah: ArrayLike, voltage_v: ArrayLike, dod: ArrayLike) -> Floats:
    """Cycle loss of the NMC 18650 cell of Schmalstieg et al. 2014 at a mean voltage."""
    c = _constants("schmalstieg_cycle")
    rate = c["a"] * (_array(voltage_v) - c["v0"]) ** 2 + c["b"] + c["c"] * _array(dod)
    return rate * np.sqrt(_array(throughput_ah))


def lfp_prismatic_calendar(days: ArrayLike, temperature_c: ArrayLike, soc: ArrayLike) -> Floats:
    """Calendar loss of a large prismatic LFP cell as NREL fitted it."""
    c = _constants("lfp_prismatic_calendar")
    kelvin = _array(temperature_c) + ZERO_C_K
    rate = c["k"] * np.exp(-(c["a"] + c["b"] * graphite_potential_v(soc)) / kelvin)
    return np.asarray(rate * _array(days) ** c["power"])


def lfp_prismatic_cycle(
    cycles: ArrayLike, temperature_c: ArrayLike, dod: ArrayLike, c_rate: ArrayLike
) -> Floats:
    """Cycle loss of a large prismatic LFP cell as NREL fitted it, besides the calendar loss."""
    c = _constants("lfp_prismatic_cycle")
    kelvin = _array(temperature_c) + ZERO_C_K
    rate = (c["a"] + c["b"] * _array(dod) + c["c"] * _array(c_rate)) * np.exp(c["d"] / kelvin)
    return np.asarray(rate * _array(cycles) ** c["power"])
