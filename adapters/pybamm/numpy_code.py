"""The tape as calls of numpy's elementwise functions; nothing is allocated in a step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adapters.pybamm.numpy_batches import BatchedFunction, Scratch
from adapters.pybamm.tape import BINARY, INPUT, UNARY, Constant, Operand, Tape, check_rows

Floats = NDArray[np.float64]


WIDE = 1024
"""Cells from which on operations are done one by one: batches leave the processor's cache there,
and fewer calls save less."""


class NumpyFunction:
    """A function of the cell model, done by numpy.

    Parameters
    ----------
    name
        Name of the function.
    tape
        Its operations.
    scratch
        Memory to work in, shared by the functions of a model; its own if None.
    """

    def __init__(self, name: str, tape: Tape, scratch: Scratch | None = None) -> None:
        self._name = name
        self._tape = tape
        self._scratch = scratch or Scratch()
        # Only what the number of cells asks for is made.
        self._batched: BatchedFunction | None = None
        self._one_by_one: RowFunction | None = None

    def __call__(self, *arrays: Floats) -> None:
        """Work on the arguments and write the results, arrays (rows, cell), ``r`` last."""
        cells = check_rows(self._tape, arrays)
        if cells < WIDE:
            self._batched = self._batched or BatchedFunction(self._name, self._tape, self._scratch)
            self._batched(*arrays)
        else:
            self._one_by_one = self._one_by_one or RowFunction(self._name, self._tape)
            self._one_by_one(*arrays)


class RowFunction:
    """A function of the cell model, done by numpy row by row.

    Parameters
    ----------
    name
        Name of the function.
    tape
        Its operations.
    """

    def __init__(self, name: str, tape: Tape) -> None:
        source, self._work = numpy_source(name, tape)
        names: dict[str, Any] = {
            function: getattr(np, function) for function in ("array", "copyto", *UNARY, *BINARY)
        }
        names |= {"inf": np.inf, "nan": np.nan}
        # The source is made of the tape's places and of names of this package alone.
        exec(compile(source, f"<{name}>", "exec"), names)  # noqa: S102
        self._function: Callable[..., None] = names[f"cell_{name}"]
        self._scratch = np.empty((0, 0))

    def __call__(self, *arrays: Floats) -> None:
        """Work on the arguments and write the results, arrays (rows, cell), ``r`` last."""
        cells = arrays[0].shape[-1]
        if self._scratch.shape[1] < cells:
            self._scratch = np.empty((self._work, cells))
        rows = [list(array) for array in arrays]
        self._function(*rows, [row[:cells] for row in self._scratch])


def load(tapes: Mapping[str, Tape]) -> dict[str, Callable[..., None]]:
    """Return the functions of the tapes."""
    scratch = Scratch()
    return {name: NumpyFunction(name, tape, scratch) for name, tape in tapes.items()}


def numpy_source(name: str, tape: Tape) -> tuple[str, int]:
    """Python source of a function that does the tape on whole arrays.

    Parameters
    ----------
    name
        Name of the function written.
    tape
        What it does.

    Returns
    -------
    tuple
        Source of ``def cell_name(<arguments>, r, w)``, every parameter a list of equal
        one-dimensional float64 arrays, ``w`` scratch; and the number of scratch arrays. The module
        names ``name_CONSTANTS`` as zero-dimensional arrays because numpy converts a Python float
        at every call.
    """
    arguments = [argument for argument, _ in tape.arguments]
    last_use = _last_use(tape)
    rows = {key: f"{tape.target(key[0])}{key[1]}" for key in sorted(tape.outputs)}
    constants: dict[float, str] = {}

    def text(operand: Operand) -> str:
        if isinstance(operand, Constant):
            return constants.setdefault(operand.value, f"c{len(constants)}")
        return where[operand]

    where = {
        place: f"{arguments[argument]}{row}"
        for place, op in enumerate(tape.operations)
        if op.name == INPUT
        for argument, row in [op.operands]
        if isinstance(argument, int)
    }
    direct = _direct_rows(tape, rows, where, last_use)
    free: list[int] = []
    work = 0
    body: list[str] = []
    for place, op in enumerate(tape.operations):
        if op.name == INPUT:
            continue
        texts = [text(operand) for operand in op.operands]
        for operand in set(tape.places(op)):
            row = where[operand]
            if last_use[operand] == place and row[0] == "w":
                free.append(int(row[1:]))
        if place in direct:
            target = direct[place]
        elif free:
            target = f"w{free.pop()}"
        else:
            target, work = f"w{work}", work + 1
        where[place] = target
        # numpy deprecates the positional output of these two alone; the keyword costs time.
        out = "out=" if op.name in ("minimum", "maximum") else ""
        body.append(f"{op.name}({', '.join(texts)}, {out}{target})")
    for key, value in tape.outputs.items():
        source = text(value)
        if source != rows[key]:
            body.append(f"copyto({rows[key]}, {source})")
    return _module(name, tape, body, constants, work), work


def _last_use(tape: Tape) -> dict[int, int]:
    last: dict[int, int] = {}
    for place, op in enumerate(tape.operations):
        last |= dict.fromkeys(tape.places(op), place)
    end = len(tape.operations)
    return last | {value: end for value in tape.outputs.values() if isinstance(value, int)}


def _direct_rows(
    tape: Tape,
    rows: Mapping[tuple[int, int], str],
    where: Mapping[int, str],
    last_use: Mapping[int, int],
) -> dict[int, str]:
    """Values that may be written straight into their output's row, saving a copy."""
    row_read_until = {row: last_use.get(place, -1) for place, row in where.items()}
    direct: dict[int, str] = {}
    for key, value in tape.outputs.items():
        if isinstance(value, Constant) or value in direct or value in where:
            continue
        if row_read_until.get(rows[key], -1) <= value:
            direct[value] = rows[key]
    return direct


def _module(
    name: str, tape: Tape, body: list[str], constants: Mapping[float, str], work: int
) -> str:
    arguments = [argument for argument, _ in tape.arguments]
    unpack = [f"{_names(argument, size)} = {argument}" for argument, size in tape.arguments]
    unpack += [f"{_names('r', tape.results)} = r", f"{_names('w', work)} = w"]
    unpack += [f"{_names('c', len(constants))} = {name}_CONSTANTS"] if constants else []
    values = ", ".join(repr(value) for value in constants)
    lines = [
        f"{name}_CONSTANTS = [array(value) for value in [{values}]]",
        f"def cell_{name}({', '.join(arguments)}, r, w):",
        *(f"    {line}" for line in [*unpack, *body]),
    ]
    return "\n".join(lines) + "\n"


def _names(letter: str, count: int) -> str:
    return "[" + ", ".join(f"{letter}{i}" for i in range(count)) + "]"
