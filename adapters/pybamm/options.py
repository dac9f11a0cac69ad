"""Which cell model is built: options, their valid values, and the check of them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from adapters.pybamm.chemistry import CHEMISTRIES, UNDERATED, Chemistry
from cosim.errors import Problem, ScenarioError, nearest

CHOICES: dict[str, tuple[str, ...]] = {
    "model": ("SPM", "SPMe"),
    "chemistry": tuple(CHEMISTRIES),
}
"""What each named option may be."""

RANGES: dict[str, tuple[float, float]] = {
    "radial_points": (5, 40),
    "radial_stretch": (0.0, 4.0),
    "electrolyte_points": (2, 20),
}
"""What each numeric option may be, both ends included."""


@dataclass(frozen=True)
class CellOptions:
    """The cell model and its discretisation.

    Raises
    ------
    cosim.errors.ScenarioError
        If an option is not supported; every wrong option at once, with the valid ones.

    Notes
    -----
    Mesh error of the voltage against 100 equal radial points, LG M50, 80 ticks of random power,
    one charge at 1.6C and rest (root mean square): 10 equal points 1.3 mV, 20 equal points
    0.32 mV, 10 points clustered towards the surface (stretch 1.5) 0.38 mV. The clustered ten are
    the default: they cost half of twenty, and the single-particle assumption itself is 8 mV away
    from the Doyle-Fuller-Newman model.

    Power jumps where ticks meet, so the steps begin short.

    The heat that warms the cell is PyBaMM's default: kinetics, electrolyte and reversible heat,
    without the heat of mixing in the particles. The energy itself is in ``pack_loss_kwh`` all the
    same.
    """

    model: str = "SPM"
    """Single-particle model, without or with electrolyte."""
    chemistry: str = "nmc"
    """See `chemistry`."""
    radial_points: int = 10
    """Finite volumes along the radius of each particle."""
    radial_stretch: float = 1.5
    """Largest over smallest finite volume is about exp(stretch), fine at the surface; 0 = equal."""
    electrolyte_points: int = 3
    """Finite volumes across each electrode and the separator, with electrolyte."""
    substeps_s: tuple[float, ...] = (10.0, 30.0, 60.0, 100.0, 100.0)
    """Steps of the time integration in a tick [s], short ones first."""
    derated: bool = True
    """Whether temperature lowers what ratings let through; without it circuits are fitted, which
    have deratings of their own."""

    def __post_init__(self) -> None:
        problems = [
            Problem(
                f"battery.{name}",
                repr(value),
                f"must be one of {', '.join(valid)}",
                nearest(str(value), valid),
            )
            for name, valid in CHOICES.items()
            if (value := getattr(self, name)) not in valid
        ]
        problems += [
            Problem(f"battery.{name}", repr(value), f"must lie in {low:g} to {high:g}")
            for name, (low, high) in RANGES.items()
            if not low <= (value := getattr(self, name)) <= high
        ]
        if not self.substeps_s or not all(1 <= step <= 600 for step in self.substeps_s):
            allowed = "must be one or more lengths of 1 to 600 s"
            problems.append(Problem("battery.substeps_s", repr(self.substeps_s), allowed))
        if problems:
            raise ScenarioError("battery options", problems)

    @property
    def of_chemistry(self) -> Chemistry:
        """The chemistry itself."""
        found = CHEMISTRIES[self.chemistry]
        if self.derated:
            return found
        return replace(found, charge_derating=UNDERATED, discharge_derating=UNDERATED)

    @property
    def tick_s(self) -> float:
        """Settlement interval [s]."""
        return sum(self.substeps_s)

    def as_dict(self) -> dict[str, Any]:
        """Return the options as plain values, for a cache key or a manifest."""
        return asdict(self)
