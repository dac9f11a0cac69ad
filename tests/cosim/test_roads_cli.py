"""``cosim roads`` as a user meets it: exit codes, messages, what is left behind."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cosim import cli

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def cosim(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Command:
    """Return a function that runs ``cosim roads`` in an empty folder: (exit code, out, err)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("VOLTSTEP_DATA_DIR", str(tmp_path / "data"))

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["cosim", "roads", *arguments])
        code = 0
        try:
            cli.main()
        except SystemExit as end:
            code = int(end.code or 0)
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return code, captured.out, captured.err

    return call


def test_what_ships_is_listed(cosim: Command) -> None:
    for arguments in ((), ("list",)):
        code, out, _ = cosim(*arguments)
        assert code == 0
        rows = [line.split()[:3] for line in out.splitlines()]
        assert ["metro", "6,704", "3,242"] in rows
        assert ["siouxfalls", "124", "324"] in rows


def test_help_shows_an_example(cosim: Command) -> None:
    for command in ("list", "show", "import", "generate"):
        code, out, _ = cosim(command, "--help")
        assert code == 0
        assert f"Example: cosim roads {command}" in out


def test_generate_show_list_import(cosim: Command, tmp_path: Path) -> None:
    code, out, _ = cosim("generate", "grid", "--size", "4x3", "--seed", "2", "--name", "town")
    assert code == 0
    assert "town: 34 edges" in out
    assert "nothing was dropped" in out
    assert "traffic: {roads: town}" in out
    assert ["town", "34"] in [line.split()[:2] for line in cosim()[1].splitlines()]
    code, out, _ = cosim("show", "town")
    assert code == 0
    assert "--grid.x-number 4" in out
    assert "12, 12 with signals" in out
    net = tmp_path / "data" / "roads" / "town" / "roads.net.xml.gz"
    (tmp_path / "city.net.xml.gz").write_bytes(net.read_bytes())
    code, out, _ = cosim("import", "city.net.xml.gz")
    assert code == 0
    assert "city: 34 edges" in out
    code, _, err = cosim("import", "city.net.xml.gz")
    assert code == 2
    assert "--force replaces it" in err
    assert cosim("import", "city.net.xml.gz", "--force")[0] == 0


def test_show_what_ships(cosim: Command) -> None:
    code, out, _ = cosim("show", "siouxfalls")
    assert code == 0
    assert "24, 360,600 trips between them" in out
    assert "deg N" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("show", "siouxfals"), "Did you mean siouxfalls?"),
        (("import", "no.osm"), "no.osm does not exist"),
        (("import", "city.osm.pbf"), "osmium cat"),
        (("import", "[bold]city.txt"), "[bold]city.txt must end in"),
        (("generate", "gird"), "Did you mean grid?"),
        (("generate", "grid", "--size", "1x1"), "must be 2 to 200"),
        (("generate", "grid", "--name", "a/b"), "cannot name a network"),
    ],
)
def test_mistakes_end_in_one_message(
    cosim: Command, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    code, _, err = cosim(*arguments)
    assert code == 2
    assert message in err
    assert len(err.strip().splitlines()) == 1
    assert not (tmp_path / "data").exists()


def test_a_net_of_which_little_is_left(cosim: Command, tmp_path: Path) -> None:
    """One street in two directions, and a long way out of it."""
    edge = (
        "<edge id='{0}' from='{1}' to='{2}'><lane id='{0}_0' length='{3}' speed='14' {4}/></edge>"
    )
    (tmp_path / "thin.net.xml").write_text(
        "<net version='1.20'><location netOffset='0,0' convBoundary='0,0,1,1'"
        " origBoundary='0,0,1,1' projParameter='!'/>"
        + edge.format("go", "a", "b", 100, "index='0' shape='0,0 100,0'")
        + edge.format("back", "b", "a", 100, "index='0' shape='100,4 0,4'")
        + edge.format("out", "b", "c", 900, "index='0' shape='100,0 1000,0'")
        + "<junction id='a' type='priority' x='0' y='0' incLanes='back_0' intLanes='' shape='0,0'/>"
        "<junction id='b' type='priority' x='100' y='0' incLanes='go_0' intLanes='' shape='0,0'/>"
        "<junction id='c' type='dead_end' x='1000' y='0' incLanes='out_0' intLanes='' shape='0,0'/>"
        "<connection from='go' to='back' fromLane='0' toLane='0' dir='t' state='M'/>"
        "<connection from='back' to='go' fromLane='0' toLane='0' dir='t' state='M'/>"
        "<connection from='go' to='out' fromLane='0' toLane='0' dir='s' state='M'/></net>"
    )
    code, out, err = cosim("import", "thin.net.xml")
    assert (code, err) == (0, "")
    assert "entered but never left" in out
    assert "only 18 % of the road length is left" in out


def test_a_network_is_calibrated_once(
    cosim: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("VOLTSTEP_CACHE_DIR", str(tmp_path / "cache"))
    assert cosim("generate", "grid", "--size", "5x5", "--name", "town")[0] == 0
    code, out, err = cosim("calibrate", "town")
    assert code == 0
    assert "kWh/100 km" in out
    assert "consumption on town: light traffic" in err
    assert cosim("calibrate", "town") == (0, out, "")


def test_an_unknown_network_is_not_calibrated(cosim: Command) -> None:
    code, _, err = cosim("calibrate", "siouxfall")
    assert code == 2
    assert "Did you mean siouxfalls?" in err


def test_ways_between_two_places_with_time_and_energy(cosim: Command) -> None:
    code, out, err = cosim("ways", "siouxfalls", "--from", "in_1", "--to", "in_20")
    assert (code, err) == (0, "")
    rows = [line.split() for line in out.splitlines()]
    assert rows[0][:3] == ["way", "km", "min"]
    assert len(rows) == 4
    minutes, sedan, suv = (np.array([float(row[i]) for row in rows[1:]]) for i in (2, 3, 4))
    assert (np.diff(minutes) > 0).all()
    assert minutes[-1] < 1.5 * minutes[0]
    assert (sedan < suv).all()
    assert [len(row) for row in rows[1:]] == [8, 9, 9], "the fastest leads through no edge"


def test_places_are_edges_or_points_on_the_map(cosim: Command) -> None:
    here = "-96.7700,43.6120"
    code, out, _ = cosim("ways", "siouxfalls", f"--from={here}", "--to", "in_20", "--count", "1")
    assert code == 0
    assert len(out.splitlines()) == 2
    for place, message in (
        ("in_200", "Did you mean in_20?"),
        ("6.1,49.6", "is not on siouxfalls, which lies in -96.7"),
        ("nan,43.6", "is not on siouxfalls"),
    ):
        code, _, err = cosim("ways", "siouxfalls", f"--from={place}", "--to", "in_20")
        assert code == 2
        assert message in err.replace("\n", " ")
