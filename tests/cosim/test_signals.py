"""The wire table is consistent, and its checks name signal, id and tick."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from cosim import signals as wire
from cosim.signals import FIXED_DIMS, RECORD, ROLES, SIGNALS, Role, edges, markdown, read_by
from cosim.simulator import meta_for
from cosim.team import Observation, Plan
from tests.fakes import IDS

KNOWN_DIMS = {*IDS, *FIXED_DIMS, "event"}


def test_every_line_is_complete() -> None:
    for signal in SIGNALS.values():
        assert signal.meaning, signal.name
        assert signal.unit, signal.name
        assert set(signal.dims) <= KNOWN_DIMS, signal.name
        assert signal.producer not in (*signal.readers, *signal.shifted), signal.name
        assert not set(signal.readers) & set(signal.shifted), signal.name


def test_only_time_shifted_edges_run_backwards() -> None:
    order = {role: i for i, role in enumerate(ROLES)}
    for producer, reader, shifted, signals in edges():
        backwards = order[reader] < order[producer]
        assert backwards == shifted, (producer, reader, [s.name for s in signals])


def test_names_that_others_rely_on_are_recorded() -> None:
    names = (
        "vehicle_soc vehicle_power_kw vehicle_soh vehicle_temperature_c vehicle_distance_km "
        "vehicle_traction_kwh station_power_kw bus_voltage_pu transformer_loading_pct "
        "line_loading_pct feeder_power_kw feeder_losses_kw lmp_usd_per_mwh"
    )
    for name in names.split():
        assert SIGNALS[name].recorded, name
        assert not SIGNALS[name].volatile, name


def test_units_stand_in_names() -> None:
    ending = {"kW": "_kw", "kWh": "_kwh", "km": "_km", "s": "_s", "MW": "_mw", "USD": "_usd"}
    for signal in SIGNALS.values():
        if signal.unit in ending:
            assert signal.name.endswith(ending[signal.unit]), signal.name


@pytest.mark.parametrize("role", ROLES)
def test_meta_lists_what_the_role_reads_and_writes(role: Role) -> None:
    first, second = meta_for(role), meta_for(role)
    (model,) = first["models"].values()
    written = [s.name for s in SIGNALS.values() if s.producer == role]
    read = [s.name for s in read_by(role)]
    assert model["attrs"] == ([RECORD] if role == "monitor" else [*written, *read, RECORD])
    assert first is not second
    assert first["models"] is not second["models"]


def test_teams_see_and_decide_what_the_table_says() -> None:
    seen = {f.name for f in fields(Observation)} - {"tick"}
    assert seen == {s.name for s in read_by("agents")}
    decided = {s.name for s in SIGNALS.values() if s.producer == "agents" and s.shifted}
    assert {f.name for f in fields(Plan)} == decided


def test_reference_page_has_a_line_for_every_signal() -> None:
    page = markdown()
    shipped = Path(wire.__file__).with_name("SIGNALS.md").read_text(encoding="utf-8")
    assert shipped == page, "run signals.write_page()"
    assert re.findall(r"^\| `(\w+)`", page, re.M) == list(SIGNALS)
