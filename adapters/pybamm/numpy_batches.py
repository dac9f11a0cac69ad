"""A batched tape as calls of numpy's functions, for few cells."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adapters.pybamm.batches import Batch, batched
from adapters.pybamm.slots import Slots, allotted
from adapters.pybamm.tape import BINARY, INPUT, UNARY, Constant, Tape

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]
_VALUES = 2**20
"""Memory asked for at first: enough that the functions of a model share one block, of which the
system backs what is used."""
_WIDTHS = 4
"""Numbers of cells for which arrays are kept ready."""
_ALIGNMENT = 8
"""Values in a cache line."""


class Scratch:
    """Memory that functions share, one after the other; so it stays in the processor's cache."""

    def __init__(self) -> None:
        self._values = np.empty(0)

    def take(self, count: int) -> Floats:
        """Return that many values, aligned; whatever anyone else has of them is overwritten."""
        if self._values.size < count + _ALIGNMENT:
            self._values = np.empty(max(_VALUES, count) + _ALIGNMENT)
        first = -self._values.ctypes.data // self._values.itemsize % _ALIGNMENT
        return self._values[first : first + count]


class BatchedFunction:
    """A function of the cell model, done by numpy in batches.

    Parameters
    ----------
    name
        Name of the function.
    tape
        Its operations.
    scratch
        Memory to work in.
    """

    def __init__(self, name: str, tape: Tape, scratch: Scratch) -> None:
        self._scratch = scratch
        batches = batched(tape)
        slots = allotted(tape, batches)
        self._slots = slots.count
        self._reads = [_inputs(tape, slots, i) for i in range(len(tape.arguments))]
        self._results = _outputs(tape, slots, 0)
        self._states = _outputs(tape, slots, 1)
        self._x = [argument for argument, _ in tape.arguments].index("x") if self._states else -1
        self._constants = {k: v.value for k, v in tape.outputs.items() if isinstance(v, Constant)}
        self._widest = max(
            (len(batch.lanes) for batch in batches if any(batch.gathered)), default=0
        )
        source = _Source(name, batches, slots)
        self._views = source.views
        names: dict[str, Any] = {function: getattr(np, function) for function in (*UNARY, *BINARY)}
        # The source is made of the tape's places and of names of this package alone.
        exec(compile(source.text(), f"<{name}>", "exec"), names)  # noqa: S102
        self._function: Callable[..., None] = names[f"cell_{name}"]
        self._ready: dict[int, tuple[Floats, list[Any]]] = {}

    def __call__(self, *arrays: Floats) -> None:
        """Work on the arguments and write the results, arrays (rows, cell), ``r`` last."""
        cells = arrays[0].shape[-1]
        if cells not in self._ready:
            while len(self._ready) >= _WIDTHS:
                del self._ready[next(iter(self._ready))]
            self._ready[cells] = self._arrays(cells)
        rows, views = self._ready[cells]
        for array, (targets, sources) in zip(arrays, self._reads, strict=False):
            rows[targets] = array[sources]
        self._function(rows.take, views)
        for array, written in ((arrays[-1], self._results), (arrays[self._x], self._states)):
            if written is not None:
                targets, sources = written
                array[targets] = rows[sources]
        for (output, row), value in self._constants.items():
            arrays[self._x if output else -1][row] = value

    def _arrays(self, cells: int) -> tuple[Floats, list[Any]]:
        size, gathered = self._slots * cells, self._widest * cells
        memory = self._scratch.take(size + 2 * gathered)
        rows = memory[:size].reshape(-1, cells)
        views: list[Any] = []
        for kind, first, count in self._views:
            if kind == "rows":
                views.append(memory[first * cells : (first + count) * cells])
            elif kind == "constant":
                views.append(np.array(first))
            elif kind == "indices":
                views.append(np.array(first, dtype=np.intp))
            else:
                begin = size + first * gathered
                view = memory[begin : begin + count * cells]
                views.append(view if kind == "gathered" else view.reshape(-1, cells))
        return rows, views


class _Source:
    """Python source of a function that does batches, and the arrays that it works on."""

    def __init__(self, name: str, batches: list[Batch], slots: Slots) -> None:
        self.views: list[tuple[str, Any, int]] = []
        """Kind, first row or value, and number of rows of each array."""
        self._name = name
        self._slots = slots
        self._numbers: dict[tuple[str, Any, int], int] = {}
        self._body = [line for batch in batches for line in self._lines(batch)]

    def text(self) -> str:
        """``def cell_name(take, views)``, every view a local name."""
        names = ", ".join(f"v{i}" for i in range(len(self.views)))
        lines = [f"def cell_{self._name}(take, views):", f"    [{names}] = views"]
        return "\n".join([*lines, *(f"    {line}" for line in self._body)]) + "\n"

    def _view(self, kind: str, first: Any, count: int) -> str:
        key = (kind, first, count)
        if key not in self._numbers:
            self._numbers[key] = len(self.views)
            self.views.append(key)
        return f"v{self._numbers[key]}"

    def _lines(self, batch: Batch) -> list[str]:
        count = len(batch.lanes)
        lines: list[str] = []
        texts: list[str] = []
        for i, (operands, gathered) in enumerate(zip(batch.operands, batch.gathered, strict=True)):
            first = operands[0]
            if isinstance(first, Constant):
                texts.append(self._view("constant", first.value, 1))
            elif gathered:
                rows = tuple(self._slots.of[value] for value in operands if isinstance(value, int))
                indices = self._view("indices", rows, count)
                block = self._view("block", i, count)
                # To clip spares numpy a copy; no row is outside.
                lines.append(f"take({indices}, 0, {block}, 'clip')")
                texts.append(self._view("gathered", i, count))
            else:
                texts.append(self._view("rows", self._slots.of[first], count))
        # numpy deprecates the positional output of these two alone; the keyword costs time.
        out = "out=" if batch.name in ("minimum", "maximum") else ""
        target = self._view("rows", self._slots.of[batch.lanes[0]], count)
        return [*lines, f"{batch.name}({', '.join(texts)}, {out}{target})"]


def _inputs(tape: Tape, slots: Slots, argument: int) -> tuple[Rows, Rows]:
    """Rows of the buffer and rows of an argument that go there."""
    pairs = [
        (slots.of[place], op.operands[1])
        for place, op in enumerate(tape.operations)
        if op.name == INPUT and op.operands[0] == argument
    ]
    found = np.array(pairs, dtype=np.intp).reshape(-1, 2)
    return found[:, 0], found[:, 1]


def _outputs(tape: Tape, slots: Slots, output: int) -> tuple[Rows, Rows] | None:
    """Rows of an output and rows of the buffer that go there, None if there are none."""
    pairs = [
        (row, slots.of[value])
        for (of, row), value in sorted(tape.outputs.items(), key=lambda item: item[0])
        if of == output and isinstance(value, int)
    ]
    found = np.array(pairs, dtype=np.intp).reshape(-1, 2)
    return (found[:, 0], found[:, 1]) if pairs else None
