"""Cell chemistries: parameter set, ageing mechanisms, limits, and what each set borrows.

A body type says its chemistry (`networks.vehicles`); this is the one place that says what a
chemistry is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from networks import batteries

OKANE = "PyBaMM set OKane2022 (O'Kane et al. 2022, doi:10.1039/D2CP00417H)"


@dataclass(frozen=True)
class Borrowed:
    """One value that a parameter set lacks, or that is not used, and what stands in for it."""

    parameter: str
    """PyBaMM's name of the parameter, unit in brackets."""
    value: float | str
    """The number, or the name of the set whose entry is taken."""
    source: str
    """Where it comes from."""
    reason: str
    """Why the set's own value is not used."""


@dataclass(frozen=True)
class Activated:
    """A value of the set that has no temperature dependence, and is given one."""

    parameter: str
    """PyBaMM's name of the parameter; its value holds at the reference temperature."""
    energy_j_mol: float
    """Activation energy [J/mol]."""
    source: str
    """Where it comes from."""


@dataclass(frozen=True)
class Calibrated:
    """A value that is scaled so that the model ages as published."""

    parameter: str
    """PyBaMM's name of the parameter."""
    factor: float
    """What the set's value (or the borrowed one) is multiplied by."""
    target: str
    """Published figure that is met, by SPMe cells."""


Curve = tuple[tuple[float, float], ...]
"""Corners (x, y) of a piecewise-linear function, constant outside."""
UNDERATED: Curve = ((0.0, 1.0),)
"""The derating of a rating that temperature does not lower."""


@dataclass(frozen=True)
class Chemistry:
    """What a cell is made of and how it may be used."""

    name: str
    label: str
    """In words."""
    cell: str
    """Its cell in `networks.batteries`."""
    parameter_set: str
    """PyBaMM parameter set; its literature is in `literature`."""
    literature: str
    mechanisms: Mapping[str, str | tuple[str, str]]
    """PyBaMM options of the ageing mechanisms; a pair for the negative and positive electrode."""
    charge_c_rate: float
    """Largest rated charging current that the model is used at, over the new capacity [1/h]."""
    discharge_c_rate: float
    """Largest rated discharging current that the model is used at, likewise [1/h]."""
    power_margin: float
    """Share by which the power foreseen for a tick is lowered, for the error of foreseeing."""
    limit_iterations: int
    """Newton iterations for the current that reaches the voltage limit at the end of a tick."""
    limit_chords: int
    """Chords to the current that reaches it at the end of a step."""
    charge_derating: Curve
    """Cell temperature [degC] to the share of the charging current that is allowed."""
    discharge_derating: Curve
    """Cell temperature [degC] to the share of the discharging current that is allowed."""
    borrowed: tuple[Borrowed, ...]
    activated: tuple[Activated, ...]
    calibrated: tuple[Calibrated, ...]
    ageing_range: str
    """At which temperatures the model ages as published, and where that is extrapolated."""


def _of_okane(reason: str, *parameters: str) -> tuple[Borrowed, ...]:
    return tuple(Borrowed(name, "OKane2022", OKANE, reason) for name in parameters)


_SIDE = (
    "SEI solvent diffusivity [m2.s-1]",
    "Bulk solvent concentration [mol.m-3]",
    "Ratio of lithium moles to SEI moles",
    "SEI partial molar volume [m3.mol-1]",
    "SEI resistivity [Ohm.m]",
    "SEI growth activation energy [J.mol-1]",
    "SEI open-circuit potential [V]",
    "SEI reaction exchange current density [A.m-2]",
    "Initial SEI thickness [m]",
    "Initial SEI on cracks thickness [m]",
    "Lithium metal partial molar volume [m3.mol-1]",
    "Lithium plating kinetic rate constant [m.s-1]",
    "Exchange-current density for plating [A.m-2]",
    "Exchange-current density for stripping [A.m-2]",
    "Initial plated lithium concentration [mol.m-3]",
    "Typical plated lithium concentration [mol.m-3]",
    "Lithium plating transfer coefficient",
    "Dead lithium decay constant [s-1]",
    "Dead lithium decay rate [s-1]",
)
_MECHANICS = (
    "{} electrode Poisson's ratio",
    "{} electrode Young's modulus [Pa]",
    "{} electrode reference concentration for free of deformation [mol.m-3]",
    "{} electrode partial molar volume [m3.mol-1]",
    "{} electrode volume change",
)
_CRACKS = (
    "Negative electrode initial crack length [m]",
    "Negative electrode initial crack width [m]",
    "Negative electrode number of cracks per unit area [m-2]",
    "Negative electrode Paris' law constant b",
    "Negative electrode Paris' law constant m",
    "Negative electrode cracking rate",
    "Negative electrode critical stress [Pa]",
    "Negative electrode LAM constant proportional term [s-1]",
    "Negative electrode LAM constant exponential term",
    "Negative electrode reaction-driven LAM factor [m3.mol-1]",
)
_COLLECTORS = (
    "Negative current collector thickness [m]",
    "Positive current collector thickness [m]",
    "Negative current collector conductivity [S.m-1]",
    "Positive current collector conductivity [S.m-1]",
)

_CRACK_START = Borrowed(
    "Initial SEI on cracks thickness [m]",
    5e-9 * 2 * 2e-8 * 1.5e-8 * 3.18e15,
    "as thick as elsewhere: 5 nm times the faces of the first cracks over the particles' area, "
    "which PyBaMM leaves to the user",
    "the set has 5e-13 m, on which growth limited by diffusion starts at a singularity",
)
_DERATING = {name: batteries.derating(name) for name in ("NMC", "LFP")}


def _of_cell(cell: str, figure: str, parameter: str, factor: float = 1.0) -> Borrowed:
    found = batteries.cells()[cell].figures[figure]
    return Borrowed(parameter, found.value * factor, found.source, "the set has none")


_SEI = "SEI solvent diffusivity [m2.s-1]"
_LAM = "Negative electrode LAM constant proportional term [s-1]"


NMC = Chemistry(
    name="nmc",
    label="NMC811 against graphite-SiOx, LG M50 21700",
    cell="nmc_21700",
    parameter_set="OKane2022",
    literature="O'Kane et al. 2022, doi:10.1039/D2CP00417H, after Chen et al. 2020, "
    "doi:10.1149/1945-7111/ab9050",
    mechanisms={
        "SEI": "solvent-diffusion limited",
        "SEI on cracks": "true",
        "lithium plating": "partially reversible",
        "particle mechanics": ("swelling and cracking", "swelling only"),
        "loss of active material": "stress-driven",
    },
    charge_c_rate=4.0,
    discharge_c_rate=6.0,
    power_margin=0.02,
    limit_iterations=3,
    limit_chords=1,
    charge_derating=_DERATING["NMC"].charge,
    discharge_derating=_DERATING["NMC"].discharge,
    borrowed=(
        Borrowed(
            "Negative electrode OCP [V]",
            "Chen2020",
            "PyBaMM set Chen2020 (doi:10.1149/1945-7111/ab9050), same cell",
            "OKane2022 has an interpolated table, which has no closed form",
        ),
        _CRACK_START,
    ),
    activated=(
        Activated(
            _LAM,
            33_000,
            "fitted with its factor to cycles at 10, 25 and 40 degC (LG M50T, Kirkaldy et al. 2024 "
            "by networks.batteries); without it all wear of the cold is stress, which falls with "
            "the square of the diffusivity",
        ),
    ),
    calibrated=(
        Calibrated(
            _SEI,
            1.68,
            "calendar: 4.1 % of the capacity in the first year at 25 degC and 50 % (law "
            "lg_m50_calendar of networks.batteries)",
        ),
        Calibrated(
            _LAM,
            62.0,
            "cycles, 0.3C in and 1C out: 10 % of the capacity after 157 full cycles at 10 degC, "
            "242 at 25 degC and 257 at 40 degC (LG M50T, Kirkaldy et al. 2024 by "
            "networks.batteries); found: 9.7, 10.3 and 7.6 %",
        ),
    ),
    ageing_range="storage at 25 degC, cycles at 10, 25 and 40 degC; colder than 10 degC is "
    "extrapolation",
)

LFP = Chemistry(
    name="lfp",
    label="LFP against graphite, A123 ANR26650M1",
    cell="lfp_26650",
    parameter_set="Prada2013",
    literature="Prada et al. 2013, doi:10.1149/2.053309jes",
    mechanisms={
        "SEI": "solvent-diffusion limited",
        "SEI on cracks": "true",
        "lithium plating": "partially reversible",
        "particle mechanics": ("swelling and cracking", "none"),
        "loss of active material": ("stress-driven", "none"),
        "use lumped thermal capacity": "true",
    },
    charge_c_rate=4.0,
    discharge_c_rate=6.0,
    # The potential ends steeply: near empty and full a tick is foreseen less well.
    power_margin=0.10,
    limit_iterations=6,
    limit_chords=2,
    charge_derating=_DERATING["LFP"].charge,
    discharge_derating=_DERATING["LFP"].discharge,
    borrowed=(
        *_of_okane("the set has no side reactions", *_SIDE),
        *_of_okane("the set has no mechanics", *(m.format("Negative") for m in _MECHANICS)),
        *_of_okane(
            "PyBaMM asks for them; without mechanics in the electrode they have no effect",
            *(m.format("Positive") for m in _MECHANICS),
        ),
        *_of_okane("the set has no mechanics", *_CRACKS),
        *_of_okane("PyBaMM asks for them; the lumped cell does not use them", *_COLLECTORS),
        _of_cell(
            "lfp_26650", "volumetric_heat_capacity_j_per_m3_k", "Cell heat capacity [J.K-1.m-3]"
        ),
        _of_cell("lfp_26650", "volume_m3", "Cell volume [m3]"),
        _of_cell("lfp_26650", "cooling_area_m2", "Cell cooling surface area [m2]"),
        *_of_okane("the set has none", "Total heat transfer coefficient [W.m-2.K-1]"),
        _CRACK_START,
    ),
    activated=(
        *(
            Activated(
                f"{side} particle diffusivity [m2.s-1]",
                batteries.cells()["lfp_26650"].value(figure),
                batteries.cells()["lfp_26650"].figures[figure].source,
            )
            for side, figure in (
                ("Negative", "negative_diffusion_activation_j_per_mol"),
                ("Positive", "positive_diffusion_activation_j_per_mol"),
            )
        ),
        Activated(
            _LAM,
            70_000,
            "fitted so that cycles wear as much at 25 as at 40 degC, as law naumann_cycle of "
            "networks.batteries, which has no temperature",
        ),
    ),
    calibrated=(
        Calibrated(
            _SEI,
            0.86,
            "calendar: 4.25 % of the capacity in the first year at 25 degC and 50 % (law "
            "naumann_calendar of networks.batteries)",
        ),
        Calibrated(
            "SEI growth activation energy [J.mol-1]",
            34_252 / 38_000,
            "calendar: twice the activation energy of the loss (17126 J/mol, naumann_calendar), "
            "which goes with the root of the diffusivity",
        ),
        Calibrated(
            _LAM,
            0.29,
            "cycles: 3.1 % beyond calendar after 600 full equivalent cycles of half depth at 0.3C, "
            "measured at 40 degC and taken to hold at 25 degC (law naumann_cycle of "
            "networks.batteries)",
        ),
    ),
    ageing_range="storage at 10 to 45 degC, cycles at 25 and 40 degC; colder than 25 degC cycles "
    "are extrapolation",
)

CHEMISTRIES: Mapping[str, Chemistry] = {c.name: c for c in (NMC, LFP)}
"""Every chemistry by name."""
