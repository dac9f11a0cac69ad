"""The page that lists what each chemistry is made of: ``CHEMISTRY.md`` beside this module.

Written by ``python -m adapters.pybamm.chemistry_page``.
"""

from __future__ import annotations

from pathlib import Path

from adapters.pybamm.chemistry import CHEMISTRIES, Chemistry, Curve

PAGE = Path(__file__).with_name("CHEMISTRY.md")


def markdown() -> str:
    """Return the page."""
    head = (
        "# Chemistries\n\nWritten from `chemistry.py` by "
        "`python -m adapters.pybamm.chemistry_page`. Everything that is not here is PyBaMM's own "
        "value of the parameter set.\n"
    )
    return head + "".join(_section(chemistry) for chemistry in CHEMISTRIES.values())


def _section(c: Chemistry) -> str:
    mechanisms = ", ".join(f"{name}: {_words(value)}" for name, value in c.mechanisms.items())
    lines = [
        f"\n## {c.name}: {c.label}\n",
        f"- Parameter set: {c.parameter_set} ({c.literature})",
        f"- Ageing and thermal options: {mechanisms}",
        f"- Rated currents that the model is used at: {c.charge_c_rate:g}C in, "
        f"{c.discharge_c_rate:g}C out",
        f"- Charging current left, by cell temperature: {_curve(c.charge_derating)}",
        f"- Discharging current left: {_curve(c.discharge_derating)}",
        f"- Ageing is calibrated to: {c.ageing_range}; see README.md",
        "\n### Borrowed\n",
        "| parameter | value or set | why | source |",
        "|---|---|---|---|",
        *(f"| {b.parameter} | {_value(b.value)} | {b.reason} | {b.source} |" for b in c.borrowed),
    ]
    if c.activated:
        lines += [
            "\n### Given a temperature dependence\n",
            "| parameter | activation energy [J/mol] | source |",
            "|---|---|---|",
            *(f"| {a.parameter} | {a.energy_j_mol:g} | {a.source} |" for a in c.activated),
        ]
    lines += [
        "\n### Calibrated\n",
        "| parameter | factor | so that |",
        "|---|---|---|",
        *(f"| {k.parameter} | {k.factor:.4g} | {k.target} |" for k in c.calibrated),
    ]
    return "\n".join(lines) + "\n"


def _words(value: str | tuple[str, str]) -> str:
    return value if isinstance(value, str) else f"{value[0]} (negative), {value[1]} (positive)"


def _value(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.4g}"


def _curve(curve: Curve) -> str:
    return ", ".join(f"{100 * y:g} % at {x:g} degC" for x, y in curve)


if __name__ == "__main__":
    PAGE.write_text(markdown(), encoding="utf-8")
