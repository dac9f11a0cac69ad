"""Made-up towns: netgenerate's grids, spiders' webs and random nets, the same for a seed."""

from __future__ import annotations

import re

from cosim.errors import UnknownOptionError, UserError
from networks.roads import store
from networks.roads.importing import keep_generated

SHAPES = {"grid": "20x20", "spider": "12x8", "random": "400"}
"""What can be made, and the size that it has if none is given."""
MEANING = {
    "grid": "junctions across x junctions down",
    "spider": "arms x rings",
    "random": "streets to add",
}
MOST_SIZE = {"grid": 200, "spider": 100, "random": 20_000}
JITTER = 0.08
"""Standard deviation of a grid's junctions from their places, as a part of the block length."""
_SIZE = re.compile(r"(\d{1,6})(?:x(\d{1,6}))?")


def generate(
    shape: str,
    size: str = "",
    *,
    seed: int = 0,
    name: str = "",
    block_m: float = 200.0,
    lanes: int = 1,
    replace: bool = False,
) -> store.About:
    """Make a network and keep it under a name.

    Parameters
    ----------
    shape
        ``grid``, ``spider`` or ``random``.
    size
        ``ACROSSxDOWN`` junctions of a grid, ``ARMSxRINGS`` of a web, streets of a random net; a
        single number serves both sides of a grid.
    seed
        Seed of netgenerate's random numbers; a spider's web has none.
    name
        Name that scenarios refer to; after shape, size and seed if left out.
    block_m
        Length of a block [m].
    lanes
        Lanes in each direction.
    replace
        Whether a network of that name that was imported or made before gives way.

    Raises
    ------
    UserError
        If a value is out of range or the name is taken; nothing is written then.
    """
    if shape not in SHAPES:
        raise UnknownOptionError("shape", shape, SHAPES)
    first, second = _sides(shape, size or SHAPES[shape])
    if not 20.0 <= block_m <= 5000.0:
        raise UserError(f"the block length is {block_m:g} m: must be 20 to 5000")
    if not 1 <= lanes <= 6:
        raise UserError(f"lanes are {lanes}: must be 1 to 6")
    if not 0 <= seed < 2**31:
        raise UserError(f"the seed is {seed}: must be 0 to {2**31 - 1}")
    options = {
        "grid": [
            *("--grid", "--grid.x-number", str(first), "--grid.y-number", str(second)),
            *("--grid.length", f"{block_m:g}", "--default-junction-type", "traffic_light"),
            *("--perturb-x", f"norm(0,{JITTER * block_m:g})"),
            *("--perturb-y", f"norm(0,{JITTER * block_m:g})"),
        ],
        "spider": [
            *("--spider", "--spider.arm-number", str(first), "--spider.circle-number", str(second)),
            *("--spider.space-radius", f"{block_m:g}", "--spider.omit-center"),
            *("--default-junction-type", "traffic_light"),
        ],
        "random": [
            *("--rand", "--rand.iterations", str(first), "--tls.guess", "true"),
            *("--rand.min-distance", f"{0.6 * block_m:g}", "--rand.max-distance"),
            f"{1.5 * block_m:g}",
        ],
    }[shape]
    options += ["--default.lanenumber", str(lanes), "--seed", str(seed)]
    chosen = name or f"{shape}-{size or SHAPES[shape]}-{seed}"
    said = f"{shape} {size or SHAPES[shape]}, seed {seed}"
    return keep_generated(shape, said, options, chosen, replace=replace)


def _sides(shape: str, size: str) -> tuple[int, int]:
    found = _SIZE.fullmatch(size)
    if not found or (shape == "random" and found[2]) or (shape == "spider" and not found[2]):
        raise UserError(
            f"size {size!r} of a {shape} must be {MEANING[shape]}, such as {SHAPES[shape]}"
        )
    first, second = int(found[1]), int(found[2] or found[1])
    least = 3 if shape == "spider" else 2
    if min(first, second) < min(least, 2) or first < least or max(first, second) > MOST_SIZE[shape]:
        raise UserError(f"size {size} of a {shape} must be {least} to {MOST_SIZE[shape]} each")
    return first, second
