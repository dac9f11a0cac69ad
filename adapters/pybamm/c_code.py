"""The tape as C, over vectors of cells.

A function becomes parts of some hundred operations, each a loop over a group of cells, with the
values that pass between parts in an array. Compilers take more than proportionally long for longer
parts, and shorter ones have more to pass on.
"""

from __future__ import annotations

from math import isfinite, isnan
from pathlib import Path

from adapters.pybamm.tape import INPUT, Constant, Operand, Operation, Tape

PRELUDE = (Path(__file__).parent / "vectors.h").read_text(encoding="utf-8")
GROUP = 64
"""Cells that go through a part together; a multiple of every vector width."""
PART = 500
"""Vector instructions in a part, about."""

_UNARY = {
    "negative": "-({})",
    "exp": "exponential({})",
    "log": "logarithm({})",
    "expm1": "exponential_less_one({})",
    "log1p": "log_of_one_more({})",
    "sqrt": "root({})",
    "square": "{0} * {0}",
    "absolute": "magnitude({})",
    "tanh": "hyperbolic_tangent({})",
    "sinh": "hyperbolic_sine({})",
    "cosh": "hyperbolic_cosine({})",
    "sin": "sine({})",
    "cos": "cosine({})",
    "arctan": "inverse_tangent({})",
    "arcsinh": "inverse_sinh({})",
    "sign": "sign({})",
    "reciprocal": "1.0 / {}",
    "floor": "round_down({})",
    "ceil": "round_up({})",
}
_BINARY = {
    "add": "{} + {}",
    "subtract": "{} - {}",
    "multiply": "{} * {}",
    "divide": "{} / {}",
}
_BOUNDS = {"minimum": "lesser", "maximum": "greater"}
_COST = {"exp": 22, "log": 28, "tanh": 30, "sinh": 30, "cosh": 26, "arcsinh": 38, "power": 40}


def symbol(name: str) -> str:
    """Name of the C function: no name of the C library."""
    return f"cell_{name}"


def c_source(name: str, tape: Tape) -> str:
    """C source of a function that does the tape for all cells.

    Parameters
    ----------
    name
        Name of the function written.
    tape
        What it does.

    Returns
    -------
    str
        A translation unit with ``void cell_name(ptrdiff_t n, double *a, ptrdiff_t a_row, ...)``,
        a pointer and the distance of two rows [doubles] for each argument and for ``r``, ``n`` the
        number of cells.
    """
    parts, slots = _parts(tape)
    arrays = [*(argument for argument, _ in tape.arguments), "r"]
    given = ", ".join(f"double *{a}, ptrdiff_t {a}_row" for a in arrays)
    passed = ", ".join(f"{a}, {a}_row" for a in arrays)
    lines = [PRELUDE]
    for k, part in enumerate(parts):
        lines += [
            f"static __attribute__((noinline)) void part_{k}",
            f"    (ptrdiff_t n, {given}, V (*restrict w)[{GROUP} / WIDTH])",
            "{",
            "    for (ptrdiff_t i = 0; i < n; i += WIDTH) {",
            *(f"        {line}" for line in part),
            "    }",
            "}",
        ]
    lines += [
        f"static void group(ptrdiff_t n, {given})",
        "{",
        f"    V w[{max(slots, 1)}][{GROUP} / WIDTH];",
        *(f"    part_{k}(n, {passed}, w);" for k in range(len(parts))),
        "}",
        *_entry(name, tape, given),
    ]
    return "\n".join(lines) + "\n"


def _entry(name: str, tape: Tape, given: str) -> list[str]:
    """Whole groups in place; cells that do not fill vectors in copies that do."""
    sizes = [*tape.arguments, ("r", tape.results)]
    written = {tape.target(output) for output, _ in tape.outputs}
    lines = [f"void {symbol(name)}(ptrdiff_t n, {given})", "{"]
    lines += ["    ptrdiff_t whole = n / WIDTH * WIDTH, i = 0, left = n - whole;"]
    lines += [f"    for (; i < whole; i += {GROUP})"]
    at = ", ".join(f"{a} + i, {a}_row" for a, _ in sizes)
    lines += [f"        group(whole - i < {GROUP} ? whole - i : {GROUP}, {at});"]
    lines += ["    if (!left) return;"]
    for a, size in sizes:
        lines += [f"    double {a}_copy[{size}][WIDTH];"]
        lines += [f"    for (int row = 0; row < {size}; row++)"]
        lines += ["        for (int lane = 0; lane < WIDTH; lane++)"]
        value = f"{a}[row * {a}_row + whole + (lane < left ? lane : 0)]"
        lines += [f"            {a}_copy[row][lane] = {value if a != 'r' else '0'};"]
    lines += [f"    group(WIDTH, {', '.join(f'{a}_copy[0], WIDTH' for a, _ in sizes)});"]
    for a, size in sizes:
        if a in written:
            lines += [f"    for (int row = 0; row < {size}; row++)"]
            lines += ["        for (int lane = 0; lane < left; lane++)"]
            lines += [f"            {a}[row * {a}_row + whole + lane] = {a}_copy[row][lane];"]
    return [*lines, "}"]


def _parts(tape: Tape) -> tuple[list[list[str]], int]:
    """Statements of each part, the last of which writes the outputs; and the values in `w`."""
    part_of = _part_of(tape)
    count = max(part_of.values(), default=-1) + 1
    last = {
        place: part_of[reader]
        for reader in part_of
        for place in tape.places(tape.operations[reader])
    }
    last |= {value: count for value in tape.outputs.values() if isinstance(value, int)}
    members: list[list[int]] = [[] for _ in range(count)]
    for place, part in part_of.items():
        members[part].append(place)
    freed: list[list[int]] = [[] for _ in range(count + 1)]
    slot: dict[int, int] = {}
    free: list[int] = []
    slots = 0

    def fetch(place: int) -> str:
        op = tape.operations[place]
        source = _row(tape, op) if op.name == INPUT else f"w[{slot[place]}][i / WIDTH]"
        return f"const V t{place} = {source};"

    parts: list[list[str]] = []
    for part, places in enumerate(members):
        lines: list[str] = []
        known: set[int] = set()
        for place in places:
            op = tape.operations[place]
            lines += [fetch(read) for read in dict.fromkeys(tape.places(op)) if read not in known]
            lines.append(f"const V t{place} = {_expression(op)};")
            known |= {place, *tape.places(op)}
        for place in places:
            if last[place] > part:
                if not free:
                    free.append(slots)
                    slots += 1
                slot[place] = free.pop()
                freed[last[place]].append(slot[place])
                lines.append(f"w[{slot[place]}][i / WIDTH] = t{place};")
        free += freed[part]
        parts.append(lines)
    kept = dict.fromkeys(value for value in tape.outputs.values() if isinstance(value, int))
    ending = [fetch(place) for place in kept]
    for (output, row), value in tape.outputs.items():
        target = tape.target(output)
        ending.append(f"*(U *)({target} + {row} * {target}_row + i) = {_text(value)};")
    return [*parts, ending], slots


def _part_of(tape: Tape) -> dict[int, int]:
    part_of: dict[int, int] = {}
    part = cost = 0
    for place, op in enumerate(tape.operations):
        if op.name == INPUT:
            continue
        part_of[place] = part
        cost += _COST.get(op.name, 1)
        if cost >= PART:
            part, cost = part + 1, 0
    return part_of


def _row(tape: Tape, op: Operation) -> str:
    argument, row = op.operands
    name = tape.arguments[argument][0] if isinstance(argument, int) else ""
    return f"*(const U *)({name} + {row} * {name}_row + i)"


def _text(operand: Operand) -> str:
    if isinstance(operand, int):
        return f"t{operand}"
    value = operand.value
    if isnan(value):
        return "K(NAN)"
    if not isfinite(value):
        return "K(INFINITY)" if value > 0 else "K(-INFINITY)"
    return f"K({value.hex()})"


def _expression(op: Operation) -> str:
    operands = op.operands
    if op.name in _BOUNDS:
        # The plain instruction returns its second operand where one is NaN.
        constants = [operand for operand in operands if isinstance(operand, Constant)]
        values = [operand for operand in operands if isinstance(operand, int)]
        if constants and values and not isnan(constants[0].value):
            return f"{_BOUNDS[op.name]}({_text(constants[0])}, {_text(values[0])})"
    texts = [_text(operand) for operand in operands]
    form = _UNARY.get(op.name) or _BINARY.get(op.name) or f"{op.name}({{}}, {{}})"
    return form.format(*texts)
