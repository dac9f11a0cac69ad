"""The residential feeder: homes behind service transformers, and their chargers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import networks.loads
from adapters.opendss.circuit import Circuit, layout_of
from adapters.opendss.feeder import Feeder
from adapters.opendss.feeders import Feeders
from adapters.opendss.linear import LinearFeeder
from adapters.opendss.service import connect_stations
from adapters.opendss.simulator import Grid, LinearGrid
from cosim import loading
from cosim.assets import Assets
from networks import feeders

DATA = feeders.load("suburb")
LAYOUT = layout_of(DATA)
HOMES = 60
SHAPE = networks.loads.load_shape("opendss_default")


def built(make: Any = Feeder, **options: Any) -> Any:
    """Return the feeder with a charger at each of the first homes and one public station."""
    rating_kw = np.append(np.full(HOMES, 7.2), 50.0)
    home = np.arange(HOMES + 1) < HOMES
    service, _ = connect_stations(LAYOUT, rating_kw, ~home, 0.99, home=home)
    return make(Circuit(DATA), service, 0.99, **options)


@pytest.fixture(scope="module")
def feeder() -> Iterator[Feeder]:
    feeder = built()
    yield feeder
    feeder.close()


def test_every_home_is_a_place_for_a_charger() -> None:
    assert len(LAYOUT.homes) == 162
    by_transformer = dict.fromkeys(LAYOUT.transformer_ids, 0)
    for home in LAYOUT.homes:
        by_transformer[home.transformer] += 1
        # t23 stands at the third pole of the lateral on phase 2.
        assert home.transformer[1:] == home.bus[1:3]
        assert home.phases == (int(home.bus[1]),)
        assert home.kv == pytest.approx(0.24)
    assert set(by_transformer.values()) == {18}
    # All else joins in front of the transformers.
    assert [place.bus for place in LAYOUT.places[:4]] == ["main", "p11", "p21", "p31"]
    assert not layout_of(feeders.load("ieee13")).homes


def test_homes_alone_stay_within_ratings_and_voltage_limits(feeder: Feeder) -> None:
    solved = feeder.solve(1.0, np.zeros(len(feeder.service)))
    # ANSI C84.1, range A.
    assert 0.95 < solved.bus_voltage_pu.min() < 1.01 < solved.bus_voltage_pu.max() < 1.05
    own = solved.transformer_loading_pct[: feeder.first_service]
    # 18 homes of 2.5 kVA on 50 kVA, and what the lines and the transformer lose.
    assert own == pytest.approx(18 * 2.5 / 50 * 100, rel=0.03)
    assert solved.line_loading_pct.max() < 60


def test_a_charger_at_home_draws_through_its_drop_and_transformer(feeder: Feeder) -> None:
    charger_kw = np.zeros(len(feeder.service))
    idle = feeder.solve(0.0, charger_kw)
    first = feeder.service.own
    charger_kw[first] = 7.2
    solved = feeder.solve(0.0, charger_kw)
    bus, transformer = feeder.service.bus[first], feeder.service.fed_by[0]
    at = {name: i for i, name in enumerate(feeder.transformer_ids)}[transformer]
    expected = np.zeros(len(feeder.transformer_ids))
    expected[at] = 7.2
    assert solved.transformer_ev_kw == pytest.approx(expected, abs=1e-4)
    rise = solved.transformer_loading_pct[at] - idle.transformer_loading_pct[at]
    assert rise == pytest.approx(100 * 7.2 / 0.99 / 50, rel=0.06)
    drop = next(row for row in DATA.lines if row.to_bus == bus)
    configuration = next(row for row in DATA.configurations if row.id == drop.configuration)
    ohm = configuration.r_ohm_per_mile[0, 0] * drop.length_ft / 5280
    voltage = dict(zip(feeder.bus_ids, solved.bus_voltage_pu, strict=True))
    phase = feeder.service.phases[first][0]
    fall_v = 240 * (voltage[f"{drop.from_bus}.{phase}"] - voltage[f"{bus}.{phase}"])
    assert fall_v == pytest.approx(7200 / (240 * voltage[f"{bus}.{phase}"]) * ohm, rel=0.03)


def test_more_chargers_than_homes_share_them_in_turns() -> None:
    count = 170
    service, at = connect_stations(
        LAYOUT, np.full(count, 7.2), np.zeros(count, bool), 1.0, home=np.ones(count, bool)
    )
    assert (len(service), service.own) == (162, 0)
    assert at[162:].tolist() == at[:8].tolist()
    assert service.rating_kva.sum() == pytest.approx(7.2 * count)
    # The first ones are spread over transformers and phases.
    assert len(set(service.fed_by[:9])) >= 6
    assert {phases[0] for phases in service.phases[:4]} == {1, 2, 3}


def test_homes_of_a_feeder_without_homes_get_service_transformers() -> None:
    plain = layout_of(feeders.load("ieee13"))
    one, three = np.full(4, 7.2), np.zeros(4, bool)
    with_homes, _ = connect_stations(plain, one, three, home=np.ones(4, bool))
    without, _ = connect_stations(plain, one, three)
    assert with_homes.ids == without.ids
    assert with_homes.own == 4


def test_marginal_losses_at_homes_equal_central_differences(feeder: Feeder) -> None:
    charger_kw = np.full(len(feeder.service), 3.0)
    feeder._dss.Text.Command("set tolerance=1e-11")
    priced = feeder.solve(0.8, charger_kw).charger_marginal_loss
    for one in (0, 1, 17, HOMES):
        step = np.zeros(len(charger_kw))
        step[one] = 0.1
        up = feeder.solve(0.8, charger_kw + step).feeder_power_kw
        down = feeder.solve(0.8, charger_kw - step).feeder_power_kw
        assert priced[one] == pytest.approx((up - down) / 0.2 - 1, abs=1e-5)
    assert priced[feeder.service.own :].min() > 0.02


def test_the_linear_kind_follows_the_evening() -> None:
    exact, linear = built(), built(LinearFeeder, refresh_ticks=12)
    rng = np.random.default_rng(2)
    power_kw = np.zeros(len(exact.service))
    worst: dict[str, float] = {}
    for k in range(216, 240):
        power_kw = np.clip(power_kw + rng.normal(0.2, 1.0, len(power_kw)), -2, 7.2)
        one, other = (f.solve(float(SHAPE[k]), power_kw) for f in (exact, linear))
        for key in ("bus_voltage_pu", "transformer_loading_pct", "transformer_ev_kw"):
            found = float(np.abs(getattr(one, key) - getattr(other, key)).max())
            worst[key] = max(worst.get(key, 0.0), found)
    exact.close()
    linear.close()
    assert worst["bus_voltage_pu"] < 1e-3
    assert worst["transformer_loading_pct"] < 1.0
    assert worst["transformer_ev_kw"] < 1e-5


def test_several_feeders_have_homes_of_their_own() -> None:
    three_phase, home = np.array([False, False, True]), np.array([True, True, False])
    several = Feeders(DATA, 2, np.array([0, 1, 1]), np.full(3, 7.2), three_phase, home)
    solved = several.solve(0.5, np.array([7.0, 5.0, 6.0]))
    found = dict(zip(several.transformer_ids, solved.transformer_ev_kw, strict=True))
    several.close()
    assert several.feeding_ids[0][:4] == "f00."
    assert found[several.feeding_ids[0]] == pytest.approx(7.0, abs=1e-4)
    # Connections of a feeder begin with the service transformers.
    assert sorted(several.feeding_ids[1:]) == ["f01.stmain", "f01.t11"]
    assert found["f01.stmain"] + found["f01.t11"] == pytest.approx(11.0, abs=1e-4)


@pytest.mark.parametrize("kind", [Grid, LinearGrid])
def test_a_fleet_of_consumers_charges_at_its_homes(kind: type[Grid]) -> None:
    scenario = loading.load(
        "siouxfalls_day",
        settings=["grid.feeder=suburb", "fleet.vehicles=40", "fleet.segments={consumer: 1}",
                  "fleet.stations={count: 4}"],
    )  # fmt: skip
    grid = kind()
    assets = Assets.of(scenario)
    grid.prepare(scenario, assets)
    at_home = assets.stations.kind == assets.stations.kinds.index("home")
    names = np.array(grid.facts()["station_transformer"][1])
    grid.close()
    assert at_home.sum() > 10
    assert all(name in LAYOUT.transformer_ids for name in names[at_home])
    assert all(name.startswith("st") for name in names[~at_home])
