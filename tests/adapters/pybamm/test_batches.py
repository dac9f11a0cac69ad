"""Operations done together against the same ones done one by one."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from numpy.typing import NDArray

from adapters.pybamm import kernel as kernels
from adapters.pybamm.batches import Batch, batched
from adapters.pybamm.kernel import Kernel
from adapters.pybamm.numpy_batches import BatchedFunction, Scratch
from adapters.pybamm.numpy_code import WIDE, NumpyFunction, RowFunction
from adapters.pybamm.slots import allotted
from adapters.pybamm.tape import BINARY, INPUT, UNARY, Constant, Operand, Operation, Tape
from tests.adapters.pybamm.fleets import random_ticks, single_cells

Floats = NDArray[np.float64]
STATES, ASKED, RESULTS = 7, 3, 5


def _random_tape(seed: int, length: int = 300) -> Tape:
    """Many operations alike, on values old and new, that write results and states."""
    rng = np.random.default_rng(seed)
    operations = [Operation(INPUT, (0, int(row))) for row in rng.permutation(STATES)]
    operations += [Operation(INPUT, (1, int(row))) for row in rng.permutation(ASKED)]
    names = rng.choice([*UNARY, *BINARY], 4)
    for place in range(len(operations), length):
        name = str(rng.choice(names))
        operands: list[Operand] = [int(rng.integers(max(0, place - 60), place)) for _ in range(2)]
        if rng.random() < 0.3:
            operands[1] = Constant(float(rng.choice([0.5, 2.0])))
        operations.append(Operation(name, tuple(operands[: 1 if name in UNARY else 2])))
    outputs: dict[tuple[int, int], Operand] = {
        (output, row): int(rng.integers(STATES + ASKED, length))
        for output, rows in enumerate((RESULTS, STATES))
        for row in range(rows)
        if output == 0 or rng.random() < 0.7
    }
    outputs[0, 1] = Constant(1.5)
    return Tape((("x", STATES), ("q", ASKED)), RESULTS, tuple(operations), outputs)


def _both(tape: Tape, *arguments: Floats) -> list[list[Floats]]:
    """Return arguments and results after the work, done together and done one by one."""
    found: list[list[Floats]] = []
    for function in (BatchedFunction("f", tape, Scratch()), RowFunction("f", tape)):
        copies = [np.array(argument) for argument in arguments]
        copies.append(np.full((tape.results, arguments[0].shape[1]), 7.0))
        function(*copies)
        found.append(copies)
    return found


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("seed", range(40))
def test_batches_change_no_bit(seed: int) -> None:
    tape = _random_tape(seed)
    rng = np.random.default_rng(seed)
    for cells in (8, 24):
        arguments = rng.uniform(0.5, 2, (STATES, cells)), rng.uniform(-1, 1, (ASKED, cells))
        for together, alone in zip(*_both(tape, *arguments), strict=True):
            np.testing.assert_array_equal(together, alone)


@pytest.mark.parametrize("seed", range(10))
def test_batches_hold_every_operation_behind_what_it_reads(seed: int) -> None:
    tape = _random_tape(seed)
    done = {place for place, op in enumerate(tape.operations) if op.name == INPUT}
    for batch in batched(tape):
        assert {tape.operations[lane].name for lane in batch.lanes} == {batch.name}
        assert {v for values in batch.operands for v in values if isinstance(v, int)} <= done
        assert done.isdisjoint(batch.lanes)
        done |= set(batch.lanes)
        for lane, *operands in zip(batch.lanes, *batch.operands, strict=True):
            assert Counter(operands) == Counter(tape.operations[lane].operands)
    assert done == set(range(len(tape.operations)))


def test_rows_side_by_side_are_one_call() -> None:
    inputs = tuple(Operation(INPUT, (0, row)) for row in range(6))
    sums = tuple(Operation("add", (row, row + 3)) for row in range(3))
    doubled = tuple(Operation("multiply", (6 + row, Constant(2.0))) for row in range(3))
    outputs: dict[tuple[int, int], Operand] = {(0, row): 9 + row for row in range(3)}
    tape = Tape((("q", 6),), 3, (*inputs, *sums, *doubled), outputs)
    found = batched(tape)
    assert [(batch.name, batch.gathered) for batch in found] == [
        ("add", (False, False)),
        ("multiply", (False, False)),
    ]
    rows = allotted(tape, found).of
    assert [rows[7] - rows[6], rows[8] - rows[7]] == [1, 1]


def test_a_row_that_many_share_is_copied_for_one_call() -> None:
    inputs = tuple(Operation(INPUT, (0, row)) for row in range(13))
    factors = tuple(Operation("multiply", (row, 12)) for row in range(12))
    means = tuple(Operation("sqrt", (13 + row,)) for row in range(12))
    outputs: dict[tuple[int, int], Operand] = {(0, row): 25 + row for row in range(12)}
    tape = Tape((("q", 13),), 12, (*inputs, *factors, *means), outputs)
    assert len(batched(tape)) <= len(factors) + 1
    apart = Batch("multiply", (13, 14), ((0, 1), (12, 12)), (False, True))
    assert list(apart.neighbours()) == [(13, 14), (0, 1)]
    together, alone = _both(tape, np.random.default_rng(1).uniform(1, 2, (13, 16)))
    np.testing.assert_array_equal(together[1], alone[1])


def test_cells_step_as_one_by_one(kernel: Kernel) -> None:
    """Every bit of a day's functions, with fewer than 0.7 of the calls."""
    numpy = kernels.load(kernel.options, "numpy")
    packs = single_cells(numpy, np.random.default_rng(4).uniform(0.1, 0.9, 24))
    random_ticks(packs, 3, seed=2)
    x = packs.state()["states"]
    assert isinstance(numpy.step, NumpyFunction)
    tape = numpy.step._tape
    rng = np.random.default_rng(3)
    asked = (1.0, 5.0, 290.0, 2.5, -20.0, 20.0, 20.0, 20.0, 0.0, 0.02, 90.0, 60.0)
    q = rng.uniform(0.9, 1.1, (12, 24)) * np.array(asked)[:, None]
    together, alone = _both(tape, x, q)
    for ours, theirs in zip(together, alone, strict=True):
        np.testing.assert_array_equal(ours, theirs)
        assert np.isfinite(ours).all()
    operations = sum(op.name != INPUT for op in tape.operations)
    batches = batched(tape)
    assert sum(1 + sum(batch.gathered) for batch in batches) < 0.7 * operations


def test_wide_arrays_are_done_one_by_one() -> None:
    tape = _random_tape(1)
    function = NumpyFunction("f", tape)
    for cells in (WIDE, WIDE - 8):
        with np.errstate(all="ignore"):
            x = np.random.default_rng(5).uniform(0.5, 2, (STATES, cells))
            wide = [x, x[:ASKED].copy(), np.empty((RESULTS, cells))]
            narrow = [np.array(array[:, :16]) for array in wide]
            function(*wide)
            function(*narrow)
        for one, other in zip(wide, narrow, strict=True):
            np.testing.assert_array_equal(one[:, :16], other)
