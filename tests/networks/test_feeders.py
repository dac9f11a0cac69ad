"""Tables of the feeders against figures published beside them."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from cosim.errors import UserError
from networks import feeders, loads

PUBLISHED = Path(__file__).parent / "data" / "ieee123_published_voltages.csv"


def test_published_totals_of_the_123_node_feeder() -> None:
    data = feeders.load("ieee123")
    assert data.load_kw == 3490
    assert data.load_kvar == 1920
    assert (len(data.lines), len(data.regulators), len(data.capacitors)) == (118, 7, 4)
    assert sum(row.q_kvar for row in data.capacitors) == 750


def test_published_totals_of_the_13_node_feeder() -> None:
    data = feeders.load("ieee13")
    assert (data.load_kw, data.load_kvar) == (3466, 2102)
    assert sum(row.q_kvar for row in data.capacitors) == 700
    assert sum(row.length_ft for row in data.lines) == 8200


def test_line_lengths_add_up_to_the_published_distances() -> None:
    # The published solution prints the distance of every bus from the source in miles.
    data = feeders.load("ieee123")
    upstream = {row.to_bus: (row.from_bus, row.length_ft) for row in data.lines}
    closed = [switch for switch in data.switches if switch.closed]
    for link in (*closed, *data.regulators, *data.transformers):
        upstream.setdefault(link.to_bus, (link.from_bus, 0.0))

    def miles(bus: str) -> float:
        if bus == data.source.bus:
            return 0.0
        parent, length_ft = upstream[bus]
        return miles(parent) + length_ft / 5280

    with PUBLISHED.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 274
    for row in rows:
        # Miles are printed with three decimals, each section rounded up.
        assert miles(row["bus"]) == pytest.approx(float(row["miles_to_source"]), abs=0.0021), row


def test_matrices_are_symmetric_and_passive() -> None:
    for row in (*feeders.load("ieee123").configurations, *feeders.load("ieee13").configurations):
        for matrix in (row.r_ohm_per_mile, row.x_ohm_per_mile, row.b_us_per_mile):
            assert (matrix == matrix.T).all()
            assert (np.linalg.eigvalsh(matrix) > 0).all()


def test_configuration_12_is_the_concentric_neutral_cable() -> None:
    # Kersting, Distribution System Modeling and Analysis, eq. 5.48 for a 1/0 AA cable, 15 kV,
    # 1.06 in outside, 0.368 in conductor, 6 strands of 14 AWG (0.0641 in).
    strands, conductor, strand, outside = 6, 0.368 / 2, 0.0641 / 2, 1.06
    circle = (outside - 2 * strand) / 2
    formula = 77.3619 / (np.log(circle / conductor) - np.log(strands * strand / circle) / strands)
    row = feeders.load("ieee123").configurations[11]
    assert row.b_us_per_mile[0, 0] == pytest.approx(formula, rel=0.005)
    assert row.rating_a == 175


@pytest.mark.parametrize("name", feeders.names())
def test_every_bus_of_every_element_has_coordinates(name: str) -> None:
    data = feeders.load(name)
    known = {row.id for row in data.buses}
    for row in (*data.lines, *data.switches, *data.regulators, *data.transformers):
        assert {row.from_bus, row.to_bus} <= known
    for row in (*data.loads, *data.capacitors):
        assert row.bus in known


def test_unknown_feeder_names_the_valid_ones() -> None:
    with pytest.raises(UserError, match=r"'ieee12' is not known.*ieee123.*Did you mean ieee1"):
        feeders.load("ieee12")


def test_load_shape_meets_the_source_at_full_hours() -> None:
    shape = loads.load_shape("opendss_default")
    assert shape.shape == (288,)
    # Multiplier 1 of the source holds for the hour ending at 1, multiplier 24 for midnight.
    assert shape[12] == 0.677
    assert shape[0] == 0.756
    assert shape.max() == 1.0
    assert shape[17 * 12] == 1.0
    assert np.abs(np.diff(shape)).max() < 0.01


def test_unknown_load_shape_names_the_valid_ones() -> None:
    with pytest.raises(UserError, match="opendss_default"):
        loads.load_shape("flat")
