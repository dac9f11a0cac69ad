"""CasADi function to array code: the tape of scalar operations, written out for a backend.

`operations` reads the tape into single assignments; `numpy_source` writes them as calls of numpy's
elementwise functions with given output arrays, so that nothing is allocated in a step. A compiled
backend would start from the same list.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import casadi as ca

from cosim.errors import BatteryError


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
    """Name in `UNARY` or `BINARY`, or ``input``."""
    operands: tuple[Operand, ...]
    """What it works on; of an input, its two indices."""


UNARY = {
    ca.OP_NEG: "negative",
    ca.OP_EXP: "exp",
    ca.OP_LOG: "log",
    ca.OP_SQRT: "sqrt",
    ca.OP_SQ: "square",
    ca.OP_FABS: "absolute",
    ca.OP_TANH: "tanh",
    ca.OP_SINH: "sinh",
    ca.OP_COSH: "cosh",
    ca.OP_SIN: "sin",
    ca.OP_COS: "cos",
    ca.OP_ASINH: "arcsinh",
    ca.OP_SIGN: "sign",
    ca.OP_INV: "reciprocal",
}
BINARY = {
    ca.OP_ADD: "add",
    ca.OP_SUB: "subtract",
    ca.OP_MUL: "multiply",
    ca.OP_DIV: "divide",
    ca.OP_POW: "power",
    ca.OP_CONSTPOW: "power",
    # The propagating forms: a NaN must reach the checks, not be dropped by fmin.
    ca.OP_FMIN: "minimum",
    ca.OP_FMAX: "maximum",
    ca.OP_LT: "less",
    ca.OP_LE: "less_equal",
    ca.OP_EQ: "equal",
    ca.OP_NE: "not_equal",
    ca.OP_IF_ELSE_ZERO: "multiply",
}
COMMUTATIVE = {"add", "multiply", "minimum", "maximum", "equal", "not_equal"}


def operations(function: Any) -> tuple[list[Operation], dict[tuple[int, int], Operand]]:
    """Tape of an SX function in single-assignment form.

    Parameters
    ----------
    function
        A casadi.Function in SX form.

    Returns
    -------
    tuple
        The operations in order, and for each output (argument, index) the place of its value, or
        the value itself if it is constant.

    Raises
    ------
    cosim.errors.BatteryError
        If the tape holds an operation that no backend writes.
    """
    tape = _Tape()
    outputs: dict[tuple[int, int], Operand] = {}
    slots: dict[int, Operand] = {}
    for k in range(function.n_instructions()):
        code = function.instruction_id(k)
        read, written = function.instruction_input(k), function.instruction_output(k)
        if code == ca.OP_OUTPUT:
            outputs[(written[0], written[1])] = slots[read[0]]
        elif code == ca.OP_CONST:
            slots[written[0]] = Constant(float(function.instruction_constant(k)))
        elif code == ca.OP_INPUT:
            slots[written[0]] = tape.place("input", read[0], read[1])
        else:
            slots[written[0]] = _lower(tape, code, [slots[i] for i in read], str(function))
    return _alive(tape.operations, outputs)


def _operand_order(operand: Operand) -> tuple[bool, float]:
    constant = isinstance(operand, Constant)
    return constant, operand.value if constant else operand


class _Tape:
    """Operations so far; the same operation on the same operands is done once."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []
        self._places: dict[Operation, int] = {}

    def place(self, name: str, *operands: Operand) -> int:
        if name in COMMUTATIVE:
            operands = tuple(sorted(operands, key=_operand_order))
        operation = Operation(name, operands)
        if operation not in self._places:
            self._places[operation] = len(self.operations)
            self.operations.append(operation)
        return self._places[operation]


def _lower(tape: _Tape, code: int, operands: list[Operand], where: str) -> Operand:
    if code == ca.OP_ASSIGN:
        return operands[0]
    if code == ca.OP_TWICE:
        return tape.place("multiply", operands[0], Constant(2.0))
    if code == ca.OP_HYPOT:
        squares = [
            Constant(o.value**2) if isinstance(o, Constant) else tape.place("square", o)
            for o in operands
        ]
        return tape.place("sqrt", tape.place("add", *squares))
    name = UNARY.get(code) or BINARY.get(code)
    if name is None:
        raise BatteryError(f"no array code for CasADi operation {code} of {where}")
    return tape.place(name, *operands)


def _alive(
    ops: list[Operation], outputs: dict[tuple[int, int], Operand]
) -> tuple[list[Operation], dict[tuple[int, int], Operand]]:
    needed = {value for value in outputs.values() if isinstance(value, int)}
    for place in reversed(range(len(ops))):
        if place in needed and ops[place].name != "input":
            needed |= {o for o in ops[place].operands if isinstance(o, int)}
    new = {old: place for place, old in enumerate(sorted(needed))}

    def renamed(value: Operand) -> Operand:
        return new[value] if isinstance(value, int) else value

    kept = [
        op if op.name == "input" else Operation(op.name, tuple(renamed(o) for o in op.operands))
        for op in (ops[old] for old in new)
    ]
    return kept, {key: renamed(value) for key, value in outputs.items()}


def numpy_source(name: str, function: Any, argument_names: tuple[str, ...]) -> str:
    """Python source of a function that does the tape on whole arrays.

    Parameters
    ----------
    name
        Name of the function written.
    function
        A casadi.Function in SX form.
    argument_names
        Names of its arguments. A second output is the new value of the argument ``x`` and is
        written into its rows.

    Returns
    -------
    str
        Source of ``def name(<arguments>, r, w)``: every parameter a list of equal one-dimensional
        float64 arrays. ``r`` takes the first output; ``w`` is scratch, at least
        ``name_WORK`` arrays. The module names ``name_CONSTANTS`` as zero-dimensional arrays
        because numpy converts a Python float at every call.
    """
    ops, outputs = operations(function)
    last_use = _last_use(ops, outputs)
    rows = {key: f"{'x' if key[0] == 1 else 'r'}{key[1]}" for key in sorted(outputs)}
    constants: dict[float, str] = {}

    def text(operand: Operand) -> str:
        if isinstance(operand, Constant):
            return constants.setdefault(operand.value, f"c{len(constants)}")
        return where[operand]

    direct = _direct_rows(ops, outputs, rows, last_use, argument_names)
    where: dict[int, str] = {}
    free: list[int] = []
    work = 0
    body: list[str] = []
    for place, op in enumerate(ops):
        if op.name == "input":
            where[place] = _row(op, argument_names)
            continue
        texts = [text(operand) for operand in op.operands]
        for operand in {o for o in op.operands if isinstance(o, int)}:
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
    for key, value in outputs.items():
        source = text(value)
        if source != rows[key]:
            body.append(f"copyto({rows[key]}, {source})")
    return _module(name, function, argument_names, body, constants, work)


def _row(op: Operation, argument_names: tuple[str, ...]) -> str:
    argument, index = (operand for operand in op.operands if isinstance(operand, int))
    return f"{argument_names[argument]}{index}"


def _last_use(ops: list[Operation], outputs: dict[tuple[int, int], Operand]) -> dict[int, int]:
    last: dict[int, int] = {}
    for place, op in enumerate(ops):
        if op.name != "input":
            last |= {operand: place for operand in op.operands if isinstance(operand, int)}
    return last | {value: len(ops) for value in outputs.values() if isinstance(value, int)}


def _direct_rows(
    ops: list[Operation],
    outputs: dict[tuple[int, int], Operand],
    rows: dict[tuple[int, int], str],
    last_use: dict[int, int],
    argument_names: tuple[str, ...],
) -> dict[int, str]:
    """Values that may be written straight into their output's row, saving a copy."""
    row_read_until: dict[str, int] = {}
    for place, op in enumerate(ops):
        if op.name == "input":
            row = _row(op, argument_names)
            row_read_until[row] = last_use.get(place, -1)
    direct: dict[int, str] = {}
    for key, value in outputs.items():
        if not isinstance(value, int) or value in direct or ops[value].name == "input":
            continue
        if row_read_until.get(rows[key], -1) <= value:
            direct[value] = rows[key]
    return direct


def _module(
    name: str, function: Any, argument_names: tuple[str, ...], body: list[str],
    constants: dict[float, str], work: int,
) -> str:  # fmt: skip
    results = function.size1_out(0)
    unpack = [
        f"{_names(argument, function.size1_in(i))} = {argument}"
        for i, argument in enumerate(argument_names)
    ]
    unpack += [f"{_names('r', results)} = r", f"{_names('w', work)} = w[:{work}]"]
    unpack += [f"{_names('c', len(constants))} = {name}_CONSTANTS"] if constants else []
    values = ", ".join(repr(value) for value in constants)
    lines = [
        f"{name}_WORK = {work}",
        f"{name}_CONSTANTS = [array(value) for value in [{values}]]",
        f"def {name}({', '.join(argument_names)}, r, w):",
        *(f"    {line}" for line in [*unpack, *body]),
    ]
    return "\n".join(lines) + "\n"


def _names(letter: str, count: int) -> str:
    return "[" + ", ".join(f"{letter}{i}" for i in range(count)) + "]"
