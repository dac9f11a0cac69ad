"""Where the values of a batched tape lie: rows of one buffer, used again when nobody reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from adapters.pybamm.batches import Batch
from adapters.pybamm.tape import INPUT, Tape


@dataclass(frozen=True)
class Slots:
    """Rows of values."""

    of: dict[int, int]
    """Row of every value, known by its place on the tape."""
    count: int
    """Rows needed."""


def allotted(tape: Tape, batches: Sequence[Batch]) -> Slots:
    """Return rows such that what batches need side by side is, and nothing is overwritten early."""
    born = {place: 0 for place, op in enumerate(tape.operations) if op.name == INPUT}
    last = dict.fromkeys(born, 0)
    for number, batch in enumerate(batches):
        time = 2 * number + 2
        for values in batch.operands:
            last |= dict.fromkeys((v for v in values if isinstance(v, int)), time)
        # One row may replace what it is made of; blocks of rows could be shifted against it.
        begin = time + (len(batch.lanes) == 1)
        born |= dict.fromkeys(batch.lanes, begin)
        last |= dict.fromkeys(batch.lanes, begin)
    end = 2 * len(batches) + 3
    last |= {value: end for value in tape.outputs.values() if isinstance(value, int)}
    chains = _chains(born, batches)
    free_from: list[int] = []
    of: dict[int, int] = {}
    for chain in sorted(chains, key=lambda chain: (min(born[v] for v in chain), chain[0])):
        births = [born[value] for value in chain]
        row = _first_free(free_from, births)
        free_from += [0] * (row + len(chain) - len(free_from))
        for offset, value in enumerate(chain):
            free_from[row + offset] = last[value] + 1
            of[value] = row + offset
    return Slots(of, len(free_from))


def _first_free(free_from: Sequence[int], births: Sequence[int]) -> int:
    """Return the first of as many rows as there are births, each free from then on."""
    earliest = births[0]
    for row, time in enumerate(free_from):
        if time <= earliest and all(
            time <= birth
            for time, birth in zip(free_from[row : row + len(births)], births, strict=False)
        ):
            return row
    return len(free_from)


def _chains(born: dict[int, int], batches: Sequence[Batch]) -> list[list[int]]:
    following = dict(pair for batch in batches for pair in batch.neighbours())
    chains: list[list[int]] = []
    for head in sorted(born.keys() - set(following.values())):
        chain = [head]
        while chain[-1] in following:
            chain.append(following[chain[-1]])
        chains.append(chain)
    return chains
