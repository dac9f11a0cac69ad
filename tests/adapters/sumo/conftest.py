"""A road network with signals, one-lane streets and junction interiors, and fleets on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from adapters.sumo.meso import MesoTraffic
from networks import roads, vehicles
from networks.roads.programs import run_program

Start = Callable[..., MesoTraffic]


@pytest.fixture(scope="session")
def siouxfalls() -> roads.RoadNetwork:
    return roads.load("siouxfalls")


@pytest.fixture(scope="session")
def town(tmp_path_factory: pytest.TempPathFactory) -> roads.RoadNetwork:
    folder = tmp_path_factory.mktemp("town")
    options = ["--grid", "--grid.number", "3", "--grid.length", "120", "-L", "1"]
    run_program("netgenerate", [*options, "-o", "town.net.xml"], folder)
    return roads.read_net(folder / "town.net.xml")


@pytest.fixture(scope="session")
def one_way(tmp_path_factory: pytest.TempPathFactory) -> roads.RoadNetwork:
    """Two streets in a row that cannot be driven back."""
    folder: Path = tmp_path_factory.mktemp("one_way")
    (folder / "n.xml").write_text(
        "<nodes><node id='a' x='0' y='0'/><node id='b' x='500' y='0'/>"
        "<node id='c' x='1000' y='0'/></nodes>"
    )
    (folder / "e.xml").write_text(
        "<edges><edge id='ab' from='a' to='b' speed='15'/>"
        "<edge id='bc' from='b' to='c' speed='15'/></edges>"
    )
    options = ["-n", "n.xml", "-e", "e.xml", "-o", "out.net.xml", "--no-warnings", "true"]
    run_program("netconvert", options, folder)
    return roads.read_net(folder / "out.net.xml")


@pytest.fixture
def start() -> Iterator[Start]:
    """Start fleets that are closed at the end of the test."""
    started: list[MesoTraffic] = []

    def begin(
        network: roads.RoadNetwork,
        home: np.ndarray,
        kind: type[MesoTraffic] = MesoTraffic,
        **settings: object,
    ) -> MesoTraffic:
        specs = list(vehicles.load().values())
        body = np.arange(len(home)) % len(specs)
        settings.setdefault("seed", 1)
        started.append(kind(network, specs, body, home, **settings))  # type: ignore[arg-type]
        return started[-1]

    yield begin
    for traffic in started:
        traffic.close()
