"""Consumption fitted on a network, its errors and its place in the cache."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from networks import roads, vehicles
from networks.roads import shipped as shipped_roads
from networks.roads.programs import run_program
from networks.vehicles import calibration
from networks.vehicles.curves import EnergyCurve, shipped
from networks.vehicles.store import Calibration, cached, digest

SPECS = [vehicles.model("sedan"), vehicles.model("bus")]
SMALL = (
    calibration.Level("light", 60, 300.0, 1.0),
    calibration.Level("crowded", 160, 300.0, 15.0),
)


def make_town(folder: Path) -> roads.RoadNetwork:
    options = ["--grid", "--grid.number", "5", "--grid.length", "400", "-L", "2"]
    options += ["--default-junction-type", "traffic_light", "--default.speed", "13.9"]
    run_program("netgenerate", [*options, "-o", "town.net.xml"], folder)
    return roads.read_net(folder / "town.net.xml", name="town")


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> roads.RoadNetwork:
    return make_town(tmp_path_factory.mktemp("town"))


@pytest.fixture(scope="module")
def done(
    town: roads.RoadNetwork, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Calibration, Path, list[tuple[float, str]]]:
    folder, told = tmp_path_factory.mktemp("cache"), []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VOLTSTEP_CACHE_DIR", str(folder))
        patch.setattr(calibration, "LEVELS", SMALL)
        found = vehicles.calibrate(
            town, SPECS, seed=3, progress=lambda share, what: told.append((share, what))
        )
    return found, folder, told


def test_errors_are_those_of_vehicles_held_out(
    done: tuple[Calibration, Path, list[tuple[float, str]]],
) -> None:
    found, _, told = done
    assert list(found.models) == ["sedan", "bus"]
    assert [what.rpartition(": ")[2] for _, what in told] == [
        "light traffic",
        "crowded traffic",
        "fit",
    ]
    assert told[0][0] == 0.0
    assert told[-1][0] == 1.0
    for name, fit in found.models.items():
        assert fit.curve.name == name
        assert 0 < fit.held_out_ticks < fit.ticks / 3
        assert 0 < fit.held_out_trips < fit.trips
        assert abs(fit.curve.bias_pct) < 8
        assert fit.trip_rms_pct < 25
        assert set(fit.situation_pct) == {"light", "crowded"}
        assert fit.curve.worst_situation_pct == max(abs(x) for x in fit.situation_pct.values())
        assert 0 < fit.regenerated_kwh < 0.6 * fit.gross_kwh
        assert fit.shipped_bias_pct is not None
        assert abs(fit.shipped_bias_pct) < 15, "the shipped curves come from streets like these"
    assert "crowded" in found.report()
    assert len(found.report().splitlines()) == 5
    assert found.report().splitlines()[-1].startswith("not fitted, the curve that ships: ford_suv")


def test_curves_stay_those_of_vehicles(
    done: tuple[Calibration, Path, list[tuple[float, str]]],
) -> None:
    for fit in done[0].models.values():
        at = fit.curve.kwh_per_km(np.arange(5.0, 100, 5))
        assert (at > 0.05).all()
        ships = shipped()[fit.curve.name].kwh_per_km(np.arange(10.0, 90, 5))
        own = fit.curve.kwh_per_km(np.arange(10.0, 90, 5))
        assert (np.abs(own / ships - 1) < 0.6).all(), "speeds that the town lacks keep the shape"


def test_runs_take_the_calibration_from_the_cache(
    town: roads.RoadNetwork,
    done: tuple[Calibration, Path, list[tuple[float, str]]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    found, folder, _ = done
    monkeypatch.setenv("VOLTSTEP_CACHE_DIR", str(folder))
    assert found.curves["sedan"] != shipped()["sedan"]
    assert cached(town, SPECS, seed=3) == found
    assert cached(town, SPECS, seed=4) is None
    assert cached(town, SPECS[:1], seed=3) is None, "they had the roads to themselves"
    (file,) = (folder / "energy").iterdir()
    whole = file.read_text(encoding="utf-8")
    file.write_text(whole[: len(whole) // 2], encoding="utf-8")
    assert cached(town, SPECS, seed=3) is None, "half a file is none"
    file.write_text(whole, encoding="utf-8")
    monkeypatch.setenv("VOLTSTEP_CACHE_DIR", str(tmp_path))
    assert cached(town, SPECS, seed=3) is None


def test_a_calibration_is_made_once_and_says_how_far_it_is(
    town: roads.RoadNetwork, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("VOLTSTEP_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(calibration, "LEVELS", SMALL)
    monkeypatch.setattr(calibration, "models", lambda: tuple(SPECS))
    told: list[str] = []
    first = vehicles.calibrated(town, lambda _, what: told.append(what))
    assert [what.rpartition(": ")[2] for what in told] == [
        "light traffic",
        "crowded traffic",
        "fit",
    ]
    told.clear()
    assert vehicles.calibrated(town, lambda _, what: told.append(what)) == first
    assert not told


def test_same_seed_gives_the_same_result(
    town: roads.RoadNetwork,
    done: tuple[Calibration, Path, list[tuple[float, str]]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("VOLTSTEP_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(calibration, "LEVELS", SMALL)
    assert vehicles.calibrate(town, SPECS, seed=3) == done[0]


def test_digest_knows_net_and_figures(town: roads.RoadNetwork, tmp_path: Path) -> None:
    sedan, bus = SPECS
    assert digest(town, [sedan], 0) != digest(town, [bus], 0)
    assert digest(town, [sedan], 0) == digest(make_town(tmp_path), [sedan], 0)
    (tmp_path / "town.net.xml").write_text(
        (tmp_path / "town.net.xml").read_text().replace('speed="13.90"', 'speed="13.91"')
    )
    other = roads.read_net(tmp_path / "town.net.xml")
    assert digest(town, [sedan], 0) != digest(other, [sedan], 0)


def made_up(number: int, per_km: float) -> calibration.Points:
    rng = np.random.default_rng(0)
    speed = rng.uniform(3, 90, number)
    hours = rng.uniform(100, 300, number) / 3600
    way = speed * hours
    net = (0.7 / speed + per_km - 5e-4 * speed + 1e-5 * speed**2) * way
    return calibration.Points(
        vehicle=np.repeat(np.arange(number // 5), 5),
        level=np.zeros(number, np.int64),
        distance_km=way,
        moving_h=hours,
        gross_kwh=1.4 * net,
        regenerated_kwh=0.4 * net,
        arrived=np.ones(number, np.bool_),
    )


def test_fit_finds_a_curve_again() -> None:
    spec = vehicles.model("sedan")
    points = made_up(2000, 0.12)
    found = calibration.fit(spec, points, 0, 1, None)
    assert found is not None
    assert found.curve.a_kw == pytest.approx(0.7)
    assert found.curve.d_kwh_h2_per_km3 == pytest.approx(1e-5)
    assert found.curve.rms_kwh_per_km < 1e-9
    assert found.trip_rms_pct < 1e-6
    assert found.shipped_bias_pct is None
    assert found.gross_kwh / found.regenerated_kwh == pytest.approx(3.5)
    assert found.net_kwh_per_km * found.distance_km == pytest.approx(points.net_kwh.sum())
    usual = EnergyCurve("sedan", 0.7, 0.24, -1e-3, 2e-5, 8.0, 120.0, 0.0, 0.0, 0.0)
    near = calibration.fit(spec, points, 0, 1, usual)
    assert near is not None
    assert abs(near.curve.bias_pct) < 1.5, "the shape of another curve does not move the total"
    assert near.shipped_bias_pct is not None
    assert near.shipped_bias_pct > 40


def test_on_too_small_a_network_the_curves_that_ship_stand(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert calibration.fit(vehicles.model("sedan"), made_up(15, 0.12), 0, 1, None) is None
    monkeypatch.setenv("VOLTSTEP_CACHE_DIR", str(tmp_path))
    options = ["--grid", "--grid.number", "2", "--grid.length", "100"]
    run_program("netgenerate", [*options, "-o", "tiny.net.xml"], tmp_path)
    found = vehicles.calibrate(roads.read_net(tmp_path / "tiny.net.xml"), SPECS)
    assert not found.models
    assert found.curves == shipped()
    assert "the curve that ships: bus" in found.report()


@pytest.mark.parametrize("name", sorted(shipped_roads.recipes()))
def test_networks_that_ship_are_calibrated(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Made for this net, these models and this version of SUMO: no first run has to fit them."""
    net = roads.load(name)
    monkeypatch.setenv("VOLTSTEP_CACHE_DIR", str(tmp_path))
    found = cached(net, list(vehicles.models()), seed=0)
    assert found is not None, "run python -m networks.vehicles.fit_networks"
    for fit in found.models.values():
        assert abs(fit.curve.bias_pct) < 3
    assert found.models.keys() == shipped().keys()


@pytest.mark.slow
def test_sioux_falls_with_all_body_types(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its streets have no signals and long blocks: totals within 3 % for vehicles held out."""
    monkeypatch.setenv("VOLTSTEP_CACHE_DIR", str(tmp_path))
    found = vehicles.calibrate(
        roads.load("siouxfalls"), [*vehicles.load().values(), vehicles.model("bus")]
    )
    for fit in found.models.values():
        assert abs(fit.curve.bias_pct) < 3
        assert fit.curve.worst_situation_pct < 6
        assert fit.trip_rms_pct < 10
