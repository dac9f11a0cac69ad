"""What a cell has lost before a run begins."""

from __future__ import annotations

import math
from collections.abc import Mapping

from adapters.pybamm.constants import GAS_J_PER_MOL_K, YEAR_S, ZERO_C_K


def sei_after(constants: Mapping[str, float], years: float, temperature_c: float = 25.0) -> float:
    """Thickness of the solid-electrolyte interphase after storage.

    Parameters
    ----------
    constants
        Constants of a `kernel.Kernel`.
    years
        Calendar age [years].
    temperature_c
        Temperature through that time [degC].

    Returns
    -------
    float
        Thickness [m].

    Notes
    -----
    Solvent diffusion through the layer (Ploehn et al. 2004, doi:10.1149/1.1644601; PyBaMM's
    "solvent-diffusion limited") grows it by dL/dt = D c V / (z L), so::

        L(t) = sqrt(L0^2 + 2 D c V / z exp(E / R (1 / T_ref - 1 / T)) t)

    with D and c of the solvent, V the molar volume and z the lithium per mole of SEI. The state of
    charge does not enter.
    """
    c = constants
    warmth = 1 / c["reference_k"] - 1 / (temperature_c + ZERO_C_K)
    arrhenius = math.exp(c["sei_activation_j_mol"] / GAS_J_PER_MOL_K * warmth)
    flux = c["sei_diffusivity_m2_s"] * c["sei_solvent_mol_m3"] * c["sei_molar_volume_m3_mol"]
    growth = 2 * flux / c["sei_lithium_per_sei"] * arrhenius
    return (c["sei_initial_m"] ** 2 + growth * years * YEAR_S) ** 0.5
