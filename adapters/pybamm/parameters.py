"""Parameter values that are not PyBaMM's own for the set, each with its source."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Borrowed:
    """One value that a parameter set lacks and takes from elsewhere."""

    parameter: str
    """PyBaMM's name of the parameter, unit in brackets."""
    value: float
    """The value used."""
    source: str
    """Where it comes from."""
    reason: str
    """Why the set's own value is not used."""


BORROWED: dict[str, tuple[Borrowed, ...]] = {
    "Chen2020": (
        Borrowed(
            "SEI growth activation energy [J.mol-1]",
            38_000.0,
            "PyBaMM parameter set OKane2022 (O'Kane et al. 2022, doi:10.1039/D2CP00417H), "
            "same LG M50 cell",
            "Chen2020 has 0, so that temperature would not age the cell",
        ),
    ),
}
"""By parameter set. Everything else is PyBaMM's own value of the set.

Notes
-----
Chen2020 is Chen et al. 2020, doi:10.1149/1945-7111/ab9050. It measured no ageing: PyBaMM adds
"example parameters for SEI growth" (its words) from Ramadass 2004, Ploehn 2004, Single 2018, Safari
2008 and Yang 2017 and says that they do not claim to be representative. The SEI solvent diffusivity
2.5e-22 m2/s, the bulk solvent concentration 2636 mol/m3 and the initial thickness 5 nm are of this
kind; OKane2022 carries the same three values but one mole of lithium per mole of SEI where
Chen2020 has two.
"""
