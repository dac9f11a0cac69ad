"""CasADi function to tape: what PyBaMM built, as a list of elementwise operations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import casadi as ca
from numpy.typing import NDArray

from adapters.pybamm.simplify import Builder, simplified
from adapters.pybamm.tape import INPUT, Constant, Operand, Tape
from cosim.errors import BatteryError

UNARY = {
    ca.OP_NEG: "negative",
    ca.OP_EXP: "exp",
    ca.OP_LOG: "log",
    ca.OP_EXPM1: "expm1",
    ca.OP_LOG1P: "log1p",
    ca.OP_SQRT: "sqrt",
    ca.OP_SQ: "square",
    ca.OP_FABS: "absolute",
    ca.OP_TANH: "tanh",
    ca.OP_SINH: "sinh",
    ca.OP_COSH: "cosh",
    ca.OP_SIN: "sin",
    ca.OP_COS: "cos",
    ca.OP_ATAN: "arctan",
    ca.OP_ASINH: "arcsinh",
    ca.OP_SIGN: "sign",
    ca.OP_INV: "reciprocal",
    ca.OP_FLOOR: "floor",
    ca.OP_CEIL: "ceil",
}
BINARY = {
    ca.OP_ADD: "add",
    ca.OP_SUB: "subtract",
    ca.OP_MUL: "multiply",
    ca.OP_DIV: "divide",
    ca.OP_POW: "power",
    ca.OP_CONSTPOW: "power",
    ca.OP_FMIN: "minimum",
    ca.OP_FMAX: "maximum",
    ca.OP_LT: "less",
    ca.OP_LE: "less_equal",
    ca.OP_EQ: "equal",
    ca.OP_NE: "not_equal",
    # Comparisons give 1 or 0, so the logic of them is arithmetic.
    ca.OP_IF_ELSE_ZERO: "multiply",
    ca.OP_AND: "multiply",
    ca.OP_OR: "maximum",
}


def arrays(functions: Mapping[str, tuple[Any, tuple[str, ...]]]) -> dict[str, NDArray[Any]]:
    """Return the tapes of SX functions, given with the names of their arguments, as arrays."""
    tapes = {name: lower(function, names) for name, (function, names) in functions.items()}
    return {key: array for name, tape in tapes.items() for key, array in tape.arrays(name).items()}


def lower(function: Any, arguments: tuple[str, ...]) -> Tape:
    """Return the tape of an SX function.

    Parameters
    ----------
    function
        A casadi.Function in SX form with one or two outputs; the second is the new value of its
        argument ``x``.
    arguments
        Names of its arguments.

    Returns
    -------
    Tape
        Its operations in order, every one done once and used.

    Raises
    ------
    cosim.errors.BatteryError
        If it holds an operation that no backend writes.
    """
    builder = Builder()
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
            slots[written[0]] = builder.place(INPUT, read[0], read[1])
        else:
            slots[written[0]] = _lower(builder, code, [slots[i] for i in read], str(function))
    for output in range(function.n_out()):
        if function.nnz_out(output) != function.size1_out(output):
            raise BatteryError(f"output {output} of {function} is not one dense column")
    operations, found = simplified(builder.operations, outputs)
    sizes = [function.size1_in(i) for i in range(len(arguments))]
    results = function.size1_out(0)
    return Tape(tuple(zip(arguments, sizes, strict=True)), results, tuple(operations), found)


def _lower(builder: Builder, code: int, operands: list[Operand], where: str) -> Operand:
    if code == ca.OP_ASSIGN:
        return operands[0]
    if code == ca.OP_TWICE:
        return builder.place("multiply", operands[0], Constant(2.0))
    if code == ca.OP_NOT:
        return builder.place("equal", operands[0], Constant(0.0))
    if code == ca.OP_HYPOT:
        squares = [
            Constant(o.value**2) if isinstance(o, Constant) else builder.place("square", o)
            for o in operands
        ]
        return builder.place("sqrt", builder.place("add", *squares))
    name = UNARY.get(code) or BINARY.get(code)
    if name is None:
        raise BatteryError(f"no array code for CasADi operation {code} of {where}")
    if name == "divide" and isinstance(operands[1], Constant) and operands[1].value:
        # A division takes the time of ten multiplications.
        return builder.place("multiply", operands[0], Constant(1 / operands[1].value))
    if name == "power" and isinstance(operands[1], Constant):
        power = _power(builder, operands[0], operands[1].value)
        if power is not None:
            return power
        if operands[1].value % 1:
            # A stress that rounding makes a little negative would give NaN.
            operands = [builder.place("maximum", operands[0], Constant(0.0)), operands[1]]
    return builder.place(name, *operands)


def _power(builder: Builder, base: Operand, exponent: float) -> Operand | None:
    """Products and roots for the powers that they serve, None for the others."""
    if not 0 < exponent <= 4 or 2 * exponent % 1:
        return None
    factors: list[Operand] = [builder.place("sqrt", base)] if exponent % 1 else []
    if exponent >= 2:
        square = builder.place("square", base)
        factors += [square] * int(exponent // 2)
    factors += [base] if exponent // 1 % 2 else []
    product = factors[0]
    for factor in factors[1:]:
        product = builder.place("multiply", product, factor)
    return product
