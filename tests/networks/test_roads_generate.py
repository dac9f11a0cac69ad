"""Made-up towns: the same bytes for the same seed, and clear refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cosim.errors import UnknownOptionError, UserError
from networks import roads
from networks.roads import store


@pytest.fixture(autouse=True)
def data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("VOLTSTEP_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data" / "roads"


def content(name: str) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in (store.folder() / name).iterdir()}


@pytest.mark.parametrize(("shape", "size"), [("grid", "6x5"), ("random", "60"), ("spider", "6x4")])
def test_the_same_seed_gives_the_same_bytes(
    shape: str, size: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    about = roads.generate(shape, size, seed=4, name="town")
    first = content("town")
    monkeypatch.setenv("VOLTSTEP_DATA_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.chdir(tmp_path)
    assert roads.generate(shape, size, seed=4, name="town") == about
    assert content("town") == first
    other = roads.generate(shape, size, seed=5, name="other")
    # A web is drawn by rule alone.
    assert (other.net_sha256 == about.net_sha256) == (shape == "spider")


def test_a_grid_is_one(data: Path) -> None:
    about = roads.generate("grid", "6x5", seed=4, block_m=300, lanes=2)
    assert about.name == "grid-6x5-4"
    assert about.nodes == 30
    assert about.edges == 2 * (5 * 5 + 6 * 4)
    assert about.km == pytest.approx(about.edges * 0.3, rel=0.1)
    assert about.lane_km == pytest.approx(2 * about.km)
    net = roads.load("grid-6x5-4")
    assert np.isnan(net.end_lon_deg).all()
    assert np.ptp(net.end_x_m) == pytest.approx(5 * 300, rel=0.1)
    assert np.ptp(net.end_y_m) == pytest.approx(4 * 300, rel=0.1)
    assert "grid 6x5, seed 4" in net.source


@pytest.mark.parametrize(
    ("shape", "settings", "message"),
    [
        ("grid", {"size": "1"}, "must be 2 to 200"),
        ("grid", {"size": "20x"}, "must be junctions across x junctions down"),
        ("grid", {"size": "500x2"}, "must be 2 to 200"),
        ("spider", {"size": "8"}, "must be arms x rings"),
        ("random", {"size": "8x8"}, "must be streets to add"),
        ("grid", {"lanes": 0}, "must be 1 to 6"),
        ("grid", {"block_m": 1.0}, "must be 20 to 5000"),
        ("grid", {"seed": -1}, "the seed is -1"),
        ("grid", {"name": "metro"}, "ships"),
    ],
)
def test_what_cannot_be_made(
    shape: str, settings: dict[str, int], message: str, data: Path
) -> None:
    with pytest.raises(UserError, match=message):
        roads.generate(shape, **settings)  # pyright: ignore[reportArgumentType]
    assert not data.exists()


def test_an_unknown_shape() -> None:
    with pytest.raises(UnknownOptionError) as caught:
        roads.generate("gird")
    assert caught.value.nearest == "grid"
