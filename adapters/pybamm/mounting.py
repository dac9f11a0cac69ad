"""How cells are mounted: in the packs of vehicles, or loose in the air of a laboratory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from adapters.pybamm.chemistry import Chemistry
from adapters.pybamm.tick import Floats
from networks import batteries


@dataclass(frozen=True)
class Mounting:
    """What is around each cell.

    Notes
    -----
    A loop runs while the vehicle is on (it drives or holds a port). It takes heat to the air and
    never from it: its share rises from 0 to 1 over `loop_ramp_k` above `loop_from_c`, or above the
    air where that is warmer. No chiller cools below the air, and pumps and chillers take no energy.
    """

    housing_j_k: float
    """Heat capacity of what is warmed along with each cell [J/K]."""
    passive_w_k: float
    """Conductance to the air of each cell, > 0, loop or not [W/K]."""
    loop_w_k: float = 0.0
    """What the loop adds to it when it runs fully [W/K]."""
    loop_from_c: float = 20.0
    """Cell temperature above which it runs [degC]."""
    loop_ramp_k: float = 17.0
    """How much warmer a cell is when it runs fully [K]."""

    @classmethod
    def in_pack(cls, chemistry: Chemistry, cell_wh: float) -> Mounting:
        """Mount cells as in the packs of vehicles (`networks.batteries.pack_heat`).

        Parameters
        ----------
        chemistry
            What the cells are.
        cell_wh
            Energy of a new cell [W h].
        """
        heat = {name: figure.value for name, figure in batteries.pack_heat().items()}
        mass_kg = batteries.cells()[chemistry.cell].value("mass_kg")
        housing_kg = mass_kg * (1 / heat["cell_share_of_mass"] - 1)
        return cls(
            housing_j_k=housing_kg * heat["housing_j_per_kg_k"],
            passive_w_k=heat["passive_w_per_k_kwh"] * cell_wh / 1000,
            loop_w_k=heat["loop_w_per_k_kwh"] * cell_wh / 1000,
            loop_from_c=heat["loop_from_c"],
            loop_ramp_k=heat["loop_full_c"] - heat["loop_from_c"],
        )

    @classmethod
    def loose(cls, constants: Mapping[str, float]) -> Mounting:
        """Leave cells alone with all their surface in the air, as ageing is measured.

        Parameters
        ----------
        constants
            Those of the kernel.
        """
        return cls(housing_j_k=0.0, passive_w_k=constants["cooling_w_k"])

    def cooling_w_k(self, temperature_c: Floats, ambient_c: ArrayLike) -> Floats:
        """Conductance of each cell to the air while the vehicle is on [W/K].

        Parameters
        ----------
        temperature_c
            Of the cells [degC], shape (cell,).
        ambient_c
            Of the air [degC].
        """
        above_k = temperature_c - np.maximum(self.loop_from_c, ambient_c)
        return self.passive_w_k + self.loop_w_k * np.clip(above_k / self.loop_ramp_k, 0, 1)
