"""The tape of a cell model: scalar operations in single assignments, as plain arrays in the cache.

Both backends write their code from it, ``numpy_code`` and ``c_code``, so nothing that is read from
the cache is code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cosim.errors import BatteryError

INPUT = "input"
UNARY = (
    "negative", "exp", "log", "expm1", "log1p", "sqrt", "square", "absolute", "tanh", "sinh",
    "cosh", "sin", "cos", "arctan", "arcsinh", "sign", "reciprocal", "floor", "ceil",
)  # fmt: skip
BINARY = (
    "add", "subtract", "multiply", "divide", "power", "minimum", "maximum", "less", "less_equal",
    "equal", "not_equal",
)  # fmt: skip
"""Named as numpy's elementwise functions. Comparisons give 1 or 0; minimum and maximum give NaN if
either operand is one, so that it reaches the checks."""
_NAMES = (INPUT, *UNARY, *BINARY)


@dataclass(frozen=True)
class Constant:
    """A number as operand; a type of its own because the float 1.0 equals the place 1."""

    value: float


Operand = int | Constant
"""Place of an earlier operation, or a constant."""


@dataclass(frozen=True)
class Operation:
    """One elementwise operation; its value is known by its place in the list."""

    name: str
    """Name in `UNARY` or `BINARY`, or `INPUT`."""
    operands: tuple[Operand, ...]
    """What it works on; of an input, the indices of its argument and row."""


@dataclass(frozen=True)
class Tape:
    """A function of a cell model, over rows of quantities."""

    arguments: tuple[tuple[str, int], ...]
    """Name and number of rows of each argument."""
    results: int
    """Rows of the first output, ``r``."""
    operations: tuple[Operation, ...]
    outputs: Mapping[tuple[int, int], Operand]
    """Value of each (output, row). Output 0 goes to ``r``; output 1 is the new value of the
    argument ``x``."""

    def places(self, operation: Operation) -> tuple[int, ...]:
        """Return the earlier operations that this one reads."""
        if operation.name == INPUT:
            return ()
        return tuple(operand for operand in operation.operands if isinstance(operand, int))

    def target(self, output: int) -> str:
        """Name of the array that an output is written to."""
        return "x" if output else "r"

    def arrays(self, name: str) -> dict[str, NDArray[Any]]:
        """Return the tape as arrays, see `from_arrays`."""
        constants: dict[Constant, int] = {}

        def number(operand: Operand) -> int:
            if isinstance(operand, Constant):
                return ~constants.setdefault(operand, len(constants))
            return operand

        rows = [
            (_NAMES.index(op.name), number(op.operands[0]), number(op.operands[-1]))
            for op in self.operations
        ]
        outputs = [(output, row, number(value)) for (output, row), value in self.outputs.items()]
        return {
            f"{name}.arguments": np.array([argument for argument, _ in self.arguments]),
            f"{name}.sizes": np.array([size for _, size in self.arguments] + [self.results]),
            f"{name}.operations": np.array(rows, dtype=np.int32).reshape(-1, 3),
            f"{name}.outputs": np.array(outputs, dtype=np.int32).reshape(-1, 3),
            f"{name}.constants": np.array([constant.value for constant in constants], dtype=float),
        }


def from_arrays(name: str, arrays: Mapping[str, NDArray[Any]]) -> Tape:
    """Return the tape that `Tape.arrays` put down.

    Parameters
    ----------
    name
        Name of the function.
    arrays
        Holds ``name.operations`` (operation, 3): kind, first and last operand, a constant k as
        ``~k``; ``name.outputs`` (value, 3): output, row, operand; ``name.constants``,
        ``name.arguments`` and ``name.sizes`` (rows of the arguments and of the results).

    Raises
    ------
    KeyError
        If an array is missing.
    ValueError
        If an array is no tape.
    """
    constants = [Constant(value) for value in arrays[f"{name}.constants"].tolist()]
    *sizes, results = arrays[f"{name}.sizes"].tolist()
    names = [str(argument) for argument in arrays[f"{name}.arguments"]]
    if len(names) != len(sizes) or not all(argument.isidentifier() for argument in names):
        raise ValueError(f"{name} has the arguments {names} of {sizes} rows")

    def operand(number: int, limit: int) -> Operand:
        if not -len(constants) <= number < limit:
            raise ValueError(f"{name} reads the operand {number}")
        return number if number >= 0 else constants[~number]

    operations: list[Operation] = []
    for place, (kind, first, last) in enumerate(arrays[f"{name}.operations"].tolist()):
        if kind == 0:
            if not (0 <= first < len(sizes) and 0 <= last < sizes[first]):
                raise ValueError(f"{name} reads row {last} of argument {first}")
            operations.append(Operation(INPUT, (first, last)))
        else:
            if not 0 < kind < len(_NAMES):
                raise ValueError(f"{name} has operations of kind {kind}")
            operands = (first,) if kind <= len(UNARY) else (first, last)
            operations.append(
                Operation(_NAMES[kind], tuple(operand(number, place) for number in operands))
            )
    rows = {"x": dict(zip(names, sizes, strict=True)).get("x", 0), "r": results}
    outputs = {
        (output, row): operand(value, len(operations))
        for output, row, value in arrays[f"{name}.outputs"].tolist()
    }
    tape = Tape(tuple(zip(names, sizes, strict=True)), results, tuple(operations), outputs)
    if any(not 0 <= row < rows[tape.target(output)] for output, row in outputs):
        raise ValueError(f"{name} writes outside its outputs")
    return tape


def check_rows(tape: Tape, arrays: tuple[NDArray[np.float64], ...]) -> int:
    """Return the number of cells of the arguments and results of a call.

    Raises
    ------
    cosim.errors.BatteryError
        If they are not float64 arrays (rows, cell) of the tape's rows, contiguous over cells.
    """
    sizes = [*(size for _, size in tape.arguments), tape.results]
    cells = arrays[0].shape[-1]
    if len(arrays) != len(sizes) or not all(
        array.dtype == np.float64
        and array.shape == (size, cells)
        and (array.strides[1] == array.itemsize or cells <= 1)
        for array, size in zip(arrays, sizes, strict=False)
    ):
        shapes = [array.shape for array in arrays]
        raise BatteryError(f"arrays of {shapes} given, ({sizes}, {cells}) float64 needed")
    return cells
