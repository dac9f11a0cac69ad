"""Where the lithium of cells is: in the electrodes, plated, or lost to them."""

from __future__ import annotations

from collections.abc import Mapping

from adapters.pybamm.cells import CellView
from adapters.pybamm.constants import FARADAY_C_PER_MOL
from adapters.pybamm.tick import Floats


def ampere_hours(mol: Floats) -> Floats:
    """Return an amount of lithium [mol] as charge [A h]."""
    return mol * (FARADAY_C_PER_MOL / 3600)


def electrodes_ah(constants: Mapping[str, float], view: CellView) -> tuple[Floats, Floats]:
    """Return the capacities of the electrodes with the material that is left [A h].

    Parameters
    ----------
    constants
        Those of the kernel.
    view
        State of the cells, arrays of shape (cell,).
    """
    c = constants
    return (
        view.negative_fraction / c["negative_fraction"] * c["negative_capacity_ah"],
        view.positive_fraction / c["positive_fraction"] * c["positive_capacity_ah"],
    )


def cyclable_ah(constants: Mapping[str, float], view: CellView) -> Floats:
    """Return the cyclable lithium: in the particles, or plated and to be stripped [A h]."""
    negative_ah, positive_ah = electrodes_ah(constants, view)
    plated = ampere_hours(view.plated_mol)
    return view.negative * negative_ah + view.positive * positive_ah + plated


def lost_mol(view: CellView) -> Floats:
    """Return the lithium that does not cycle any more [mol]."""
    bound = view.side_mol - view.plated_mol
    return bound + view.negative_loss_mol + view.positive_loss_mol
