"""Operations of a tape that one call can do: alike, independent, their operands side by side.

A call of numpy costs as much as its work on some thousand cells, so small fleets need few calls.
Values that are wanted next to each other vote for it; what most want becomes the layout.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from adapters.pybamm.simplify import COMMUTATIVE
from adapters.pybamm.tape import INPUT, Constant, Operand, Tape

ROUNDS = 3
"""How often values vote; more find no better layout."""
CALL_COST = 0.26
GATHER_COST = 0.22
GATHERED_ROW_COST = 0.06
"""Microseconds, of 500 cells: a call, a gathering of operands, and each row that it copies."""

Pair = tuple[int, int]
Operands = Mapping[int, tuple[Operand, ...]]


@dataclass(frozen=True)
class Batch:
    """Operations done in one call."""

    name: str
    """Name of the operation."""
    lanes: tuple[int, ...]
    """Their places on the tape, in the order in which their values lie."""
    operands: tuple[tuple[Operand, ...], ...]
    """First operands of all lanes, and second ones. Constants are the same in all lanes."""
    gathered: tuple[bool, ...]
    """Whether these operands are apart from each other and must be copied together."""

    @property
    def cost(self) -> float:
        """Microseconds that its calls take, beside the work itself."""
        gather = GATHER_COST + GATHERED_ROW_COST * len(self.lanes)
        return CALL_COST + sum(self.gathered) * gather

    def neighbours(self) -> Iterable[Pair]:
        """Values that must lie next to each other, first and second."""
        yield from pairwise(self.lanes)
        for values, gathered in zip(self.operands, self.gathered, strict=True):
            for one, two in pairwise(values):
                if isinstance(one, int) and isinstance(two, int) and not gathered:
                    yield one, two


def batched(tape: Tape) -> list[Batch]:
    """Return the operations of a tape in batches, each behind what it reads."""
    groups = _independent(tape)
    operands = _turned(tape, groups)
    votes = _first_votes(groups, operands)
    best: list[Batch] = []
    for _ in range(ROUNDS):
        following = _most_wanted(votes, operands)
        found, votes = _in_layout(tape, groups, operands, following, votes)
        if not best or sum(b.cost for b in found) < sum(b.cost for b in best):
            best = found
    return _ordered(best)


def _independent(tape: Tape) -> list[list[int]]:
    """Operations of one kind that do not wait for each other, what most waits for them first."""
    ops = tape.operations
    users: defaultdict[int, list[int]] = defaultdict(list)
    missing: dict[int, int] = {}
    for place, op in enumerate(ops):
        reads = sorted(set(tape.places(op)))
        for operand in reads:
            users[operand].append(place)
        missing[place] = len(reads)
    height = [0] * len(ops)
    for place in reversed(range(len(ops))):
        height[place] = max((height[user] + 1 for user in users[place]), default=0)
    ready: defaultdict[str, list[int]] = defaultdict(list)
    highest: dict[str, int] = {}

    def done(places: Iterable[int]) -> None:
        for place in places:
            for user in users[place]:
                missing[user] -= 1
                if not missing[user]:
                    name = ops[user].name
                    ready[name].append(user)
                    highest[name] = max(highest.get(name, 0), height[user])

    done(place for place, op in enumerate(ops) if op.name == INPUT)
    constant = [place for place, op in enumerate(ops) if op.name != INPUT and not tape.places(op)]
    for place in constant:
        ready[ops[place].name].append(place)
        highest[ops[place].name] = max(highest.get(ops[place].name, 0), height[place])
    groups: list[list[int]] = []
    while highest:
        name = max(highest, key=lambda name: (highest[name], name))
        del highest[name]
        groups.append(sorted(ready.pop(name)))
        done(groups[-1])
    return groups


def _turned(tape: Tape, groups: Sequence[Sequence[int]]) -> dict[int, tuple[Operand, ...]]:
    """Operands of every operation; of two that may change places, the later one first."""
    group = {place: number for number, places in enumerate(groups) for place in places}

    def order(value: int) -> tuple[int, int]:
        return -group.get(value, -1), value

    turned: dict[int, tuple[Operand, ...]] = {}
    for place in group:
        op = tape.operations[place]
        read = sorted(tape.places(op), key=order)
        turned[place] = op.operands
        if len(read) == 2 and op.name in COMMUTATIVE:
            turned[place] = tuple(read)
    return turned


def _first_votes(groups: Sequence[Sequence[int]], operands: Operands) -> dict[Pair, float]:
    """Neighbours on the tape whose operands are of the same groups, if they share none."""
    group = {place: number for number, places in enumerate(groups) for place in places}
    votes: dict[Pair, float] = {}
    for places in groups:
        alike: defaultdict[tuple[Operand, ...], list[int]] = defaultdict(list)
        for place in places:
            key = tuple(group.get(o, -1) if isinstance(o, int) else o for o in operands[place])
            alike[key].append(place)
        for lanes in alike.values():
            for one, two in pairwise(lanes):
                if all(a != b or isinstance(a, Constant) for a, b in _lanes(operands, one, two)):
                    votes[one, two] = 1.0
    return votes


def _lanes(operands: Operands, one: int, two: int) -> Iterable[tuple[Operand, Operand]]:
    return zip(operands[one], operands[two], strict=True)


def _most_wanted(votes: Mapping[Pair, float], operands: Operands) -> dict[int, int]:
    """Who follows each value in memory: chains of the pairs that most operations want."""
    wanted: defaultdict[Pair, float] = defaultdict(float)
    for (one, two), weight in votes.items():
        wanted[one, two] += weight
        for a, b in _lanes(operands, one, two):
            if isinstance(a, int) and isinstance(b, int) and a != b:
                wanted[a, b] += weight
    following: dict[int, int] = {}
    followers: set[int] = set()
    ends: dict[int, int] = {}
    for one, two in sorted(wanted, key=lambda pair: (-wanted[pair], pair)):
        # The other end of a chain is known at both of its ends.
        first, last = ends.get(one, one), ends.get(two, two)
        if one not in following and two not in followers and first != two:
            following[one] = two
            followers.add(two)
            ends[first], ends[last] = last, first
    return following


def _in_layout(
    tape: Tape,
    groups: Sequence[Sequence[int]],
    operands: Operands,
    following: Mapping[int, int],
    votes: Mapping[Pair, float],
) -> tuple[list[Batch], dict[Pair, float]]:
    """Return what a layout lets be done together, and the votes after it."""
    batches: list[Batch] = []
    after: defaultdict[Pair, float] = defaultdict(float)

    def next_of(operand: Operand) -> Operand:
        return following.get(operand, -1) if isinstance(operand, int) else operand

    for places in groups:
        name = tape.operations[places[0]].name
        by_operands: defaultdict[tuple[Operand, ...], list[int]] = defaultdict(list)
        for place in places:
            by_operands[operands[place]].append(place)
        members = set(places)
        behind: dict[int, int] = {}
        for place in places:
            fitting = by_operands.get(tuple(map(next_of, operands[place])), [])
            follower = following.get(place)
            if follower in fitting:
                after[place, follower] += 3
            elif len(fitting) == 1 and fitting[0] != place and tape.places(tape.operations[place]):
                after[place, fitting[0]] += 2
            if follower in members and _same_constants(operands, place, follower):
                behind[place] = follower
        for head in sorted(members - set(behind.values())):
            lanes = [head]
            while lanes[-1] in behind:
                lanes.append(behind[lanes[-1]])
            found = _cheapest(name, lanes, operands, following)
            batches += found
            if len(found) == 1:
                for pair in pairwise(lanes):
                    after[pair] += 1
    for pair, weight in votes.items():
        after.setdefault(pair, weight / 2)
    return batches, after


def _same_constants(operands: Operands, one: int, two: int) -> bool:
    return all(
        a == b if isinstance(a, Constant) else isinstance(b, int)
        for a, b in _lanes(operands, one, two)
    )


def _cheapest(
    name: str, lanes: Sequence[int], operands: Operands, following: Mapping[int, int]
) -> list[Batch]:
    """Return lanes that lie side by side as one batch, or as those that need no gathering."""

    def apart(one: int, two: int) -> list[bool]:
        return [isinstance(a, int) and following.get(a) != b for a, b in _lanes(operands, one, two)]

    def batch(lanes: Sequence[int], gathered: tuple[bool, ...]) -> Batch:
        columns = zip(*(operands[lane] for lane in lanes), strict=True)
        return Batch(name, tuple(lanes), tuple(columns), gathered)

    width = len(operands[lanes[0]])
    if len(lanes) == 1:
        return [batch(lanes, (False,) * width)]
    runs = [[lanes[0]]]
    gathered = [False] * width
    for one, two in pairwise(lanes):
        gaps = apart(one, two)
        gathered = [a or b for a, b in zip(gathered, gaps, strict=True)]
        if any(gaps):
            runs.append([two])
        else:
            runs[-1].append(two)
    whole = batch(lanes, tuple(gathered))
    split = [batch(run, (False,) * width) for run in runs]
    return [whole] if whole.cost < sum(one.cost for one in split) else split


def _ordered(batches: Sequence[Batch]) -> list[Batch]:
    """As near to the order of the tape as can be: there, values are used soon and stay in cache."""
    number = {lane: n for n, batch in enumerate(batches) for lane in batch.lanes}
    reads = [
        sorted({number[v] for o in batch.operands for v in o if isinstance(v, int) and v in number})
        for batch in batches
    ]
    done = [False] * len(batches)
    order: list[Batch] = []
    for wanted in sorted(range(len(batches)), key=lambda n: max(batches[n].lanes)):
        waiting = [wanted]
        while waiting:
            missing = [n for n in reads[waiting[-1]] if not done[n]]
            if missing and not done[waiting[-1]]:
                waiting += reversed(missing)
                continue
            last = waiting.pop()
            if not done[last]:
                done[last] = True
                order.append(batches[last])
    return order
