"""What ``cosim doctor`` says of the batteries."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from adapters.pybamm import doctor
from adapters.pybamm.chemistry import CHEMISTRIES
from adapters.pybamm.circuit import Circuit, circuit
from adapters.pybamm.kernel import Kernel
from cosim.errors import BatteryError


def test_all_is_well(kernel_cache: None) -> None:
    rows = doctor.check()
    assert [row.detail for row in rows if not row.ok] == []
    assert len({row.name for row in rows}) == len(rows)
    for chemistry in CHEMISTRIES:
        assert sum(row.name.endswith(f", {chemistry}") for row in rows) == 4


@pytest.mark.parametrize("chemistry", CHEMISTRIES)
def test_a_circuit_that_is_not_its_files_is_found(
    chemistry: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def off(name: str) -> Circuit:
        right = circuit(name)
        return replace(right, resistance_ohm=1.02 * right.resistance_ohm)

    assert doctor._circuit(chemistry)[0].ok
    monkeypatch.setattr(doctor, "circuit", off)
    [row] = doctor._circuit(chemistry)
    assert not row.ok
    assert "mOhm" in row.detail


def test_circuits_are_tested_without_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_engine(options: object) -> Kernel:
        raise BatteryError("there is no engine")

    monkeypatch.setattr(doctor, "load", no_engine)
    rows = [row for row in doctor.check() if row.name != "PyBaMM"]
    assert [row.ok for row in rows] == [False, False, True, True]
    assert rows[0].name == "battery model, nmc"
    assert "there is no engine" in rows[0].detail


def test_a_file_that_is_no_circuit_is_a_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "nmc").write_text("constants = 3")
    (tmp_path / "lfp").write_text("no TOML")
    monkeypatch.setattr(doctor, "path_of", lambda name: tmp_path / name)
    monkeypatch.setattr(doctor, "_cells", lambda name: [])
    rows = doctor.check()[1:]
    assert [row.ok for row in rows] == [False, False]
    assert rows[0].name == "battery circuit, nmc"
