"""The road networks that ship: recipes with sources, made into SUMO nets at first use.

A folder beside this file is one of them. Its ``roads.toml`` says what it is; ``nodes.csv`` and the
other tables there make it a network from tables, a section ``[city]`` a city that is drawn.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from networks.roads import city, city_demand
from networks.roads.city_expressways import add_expressways
from networks.roads.city_streets import draw_streets
from networks.roads.convert import cached_net
from networks.roads.netfile import read_net
from networks.roads.network import RoadNetwork
from networks.roads.tables import read_tables

_HERE = Path(__file__).parent
_PROJECTION = ("--proj.utm", "true")


@dataclass(frozen=True)
class Recipe:
    """A network that ships."""

    name: str
    description: str
    source: str
    edges: int
    km: float
    """Length of its edges together [km]."""
    drawn: bool
    """Whether it is a city that is drawn, not tables."""


def recipes() -> dict[str, Recipe]:
    """Return the networks that ship, by name in alphabetical order."""
    found: dict[str, Recipe] = {}
    for file in sorted(_HERE.glob("*/roads.toml")):
        rule = tomllib.loads(file.read_text(encoding="utf-8"))
        name = file.parent.name
        found[name] = Recipe(
            name,
            rule["description"],
            rule["source"],
            int(rule["edges"]),
            float(rule["km"]),
            "city" in rule,
        )
    return found


def load(recipe: Recipe) -> RoadNetwork:
    """Return the network that a recipe makes; TrafficError if netconvert fails."""
    return _drawn(recipe) if recipe.drawn else _from_tables(recipe)


def drawing_of(plan: city.Plan) -> city.Drawing:
    """Return the city that a plan gives."""
    drawing = draw_streets(plan, np.random.default_rng(int(plan.figures["seed"])))
    add_expressways(plan, drawing)
    return drawing


def _from_tables(recipe: Recipe) -> RoadNetwork:
    tables = read_tables(_HERE / recipe.name)
    nodes, edges, turns = tables.plain_xml()
    options = ["--node-files", "n.xml", "--edge-files", "e.xml", "--connection-files", "c.xml"]
    options += [*_PROJECTION, "--precision", "4", "--no-warnings", "true"]
    options += ["--no-internal-links", str(not tables.internal_links).lower()]
    net_file = cached_net(recipe.name, {"n.xml": nodes, "e.xml": edges, "c.xml": turns}, options)
    return read_net(
        net_file,
        name=recipe.name,
        node_lonlat=tables.lonlat(),
        zone_ids=tables.zone_ids,
        zone_edge_ids=tables.zone_edge_ids,
        trip_table=tables.trips,
        source=tables.source,
        source_sha256=tables.sha256,
    )


def _drawn(recipe: Recipe) -> RoadNetwork:
    plan = city.read_plan(_HERE / recipe.name / "roads.toml")
    nodes, edges = city.plain_xml(drawing_of(plan))
    options = ["--node-files", "n.xml", "--edge-files", "e.xml", "--no-warnings", "true"]
    options += ["--no-turnarounds.except-deadend", "true"]
    options += ["--offset.disable-normalization", "true"]
    net_file = cached_net(recipe.name, {"n.xml": nodes, "e.xml": edges}, options)
    streets = read_net(net_file, name=recipe.name, source=recipe.source, source_sha256=plan.sha256)
    return city_demand.with_zones(streets, plan)
