"""Cheaper tapes of the same values: divisions, roots and operations that nothing needs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from adapters.pybamm.tape import INPUT, Constant, Operand, Operation

COMMUTATIVE = {"add", "multiply", "minimum", "maximum", "equal", "not_equal"}
TINY = 1e-12
"""A distance from zero that PyBaMM keeps and that is taken for none."""

Outputs = Mapping[tuple[int, int], Operand]
_DIVIDING = ("divide", "reciprocal")
_PRODUCTS = ("multiply", *_DIVIDING)


class Builder:
    """Operations so far; the same operation on the same operands is done once."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []
        self._places: dict[Operation, int] = {}

    def place(self, name: str, *operands: Operand) -> int:
        """Return the place of an operation, which is added if it is not there."""
        if name in COMMUTATIVE:
            operands = tuple(sorted(operands, key=_operand_order))
        operation = Operation(name, operands)
        if operation not in self._places:
            self._places[operation] = len(self.operations)
            self.operations.append(operation)
        return self._places[operation]


def _operand_order(operand: Operand) -> tuple[bool, float]:
    constant = isinstance(operand, Constant)
    return constant, operand.value if constant else operand


def simplified(operations: list[Operation], outputs: Outputs) -> tuple[list[Operation], Outputs]:
    """Return operations that give the same values, to rounding, in less time.

    A division or a root takes the time of ten multiplications, a logarithm that of thirty. So
    products are gathered to have one of each, what is divided by more than once is inverted, and
    means of logarithms become logarithms of products.
    """
    found = operations, outputs
    for work in (
        _not_away_from_zero,
        _gathered_sums,
        _shared_reciprocals,
        _gathered_products,
    ):
        found = _alive(*work(*found))
    return found


def _not_away_from_zero(ops: list[Operation], outputs: Outputs) -> tuple[list[Operation], Outputs]:
    """Take sign(x) sqrt(x^2 + tiny^2), by which PyBaMM divides, for x."""

    def at(operand: Operand, name: str) -> tuple[Operand, ...] | None:
        if isinstance(operand, Constant) or ops[operand].name != name:
            return None
        return ops[operand].operands

    def kept_away(sign: Operand, distance: Operand) -> Operand | None:
        root = at(distance, "sqrt")
        terms = root and at(root[0], "add")
        square = terms and at(terms[0], "square")
        doubled = at(sign, "subtract")
        flag = doubled and doubled[1] == Constant(1.0) and at(doubled[0], "multiply")
        condition = flag and flag[1] == Constant(2.0) and at(flag[0], "less_equal")
        if not (terms and square and condition) or not isinstance(terms[1], Constant):
            return None
        same = condition == (Constant(0.0), square[0])
        return square[0] if same and 0 < terms[1].value <= TINY**2 else None

    builder, new = Builder(), dict[Operand, Operand]()
    for place, op in enumerate(ops):
        value = None
        if op.name == "multiply":
            value = kept_away(*op.operands)
            value = kept_away(*reversed(op.operands)) if value is None else value
        if value is None:
            new[place] = _copied(builder, op, new)
        else:
            new[place] = new.get(value, value)
    return builder.operations, _renamed(outputs, new)


def _gathered_sums(ops: list[Operation], outputs: Outputs) -> tuple[list[Operation], Outputs]:
    """Take one logarithm, or one inverse hyperbolic sine, of what is averaged."""
    uses = _uses(ops, outputs)
    builder, new = Builder(), dict[Operand, Operand]()

    def terms(operand: Operand, outermost: bool = False) -> list[Operand]:
        if isinstance(operand, Constant) or not (outermost or uses[operand] == 1):
            return [operand]
        op = ops[operand]
        if op.name != "add":
            return [operand]
        return [term for part in op.operands for term in terms(part)]

    def weighted(operand: Operand) -> tuple[str, float, Operand] | None:
        """Return function, weight and argument of w f(x)."""
        if isinstance(operand, Constant) or uses[operand] > 1:
            return None
        weight, op = 1.0, ops[operand]
        if op.name == "multiply" and isinstance(op.operands[1], Constant):
            weight, inner = op.operands[1].value, op.operands[0]
            if isinstance(inner, Constant) or uses[inner] > 1:
                return None
            op = ops[inner]
        return (op.name, weight, op.operands[0]) if op.name in _JOINED else None

    def sum_of(place: int) -> Operand | None:
        groups: dict[tuple[str, str], list[tuple[float, Operand]]] = {}
        others: list[Operand] = []
        for term in terms(place, outermost=True):
            found = weighted(term)
            if found is None:
                others.append(new.get(term, term))
            else:
                name, weight, argument = found
                # Weights of a mean over equal volumes differ by rounding.
                alike = groups.setdefault((name, f"{weight:.12e}"), [])
                alike.append((weight, new.get(argument, argument)))
        if all(len(group) < 2 for group in groups.values()):
            return None
        for (name, _), group in groups.items():
            value = _JOINED[name](builder, [argument for _, argument in group])
            others.append(builder.place("multiply", value, Constant(group[0][0])))
        total = others[0]
        for term in others[1:]:
            total = builder.place("add", total, term)
        return total

    for place, op in enumerate(ops):
        total = sum_of(place) if op.name == "add" else None
        new[place] = _copied(builder, op, new) if total is None else total
    return builder.operations, _renamed(outputs, new)


def _joined_logarithm(builder: Builder, arguments: list[Operand]) -> Operand:
    product = arguments[0]
    for argument in arguments[1:]:
        product = builder.place("multiply", product, argument)
    return builder.place("log", product)


def _joined_inverse_sine(builder: Builder, arguments: list[Operand]) -> Operand:
    """Hyperbolic sine and cosine of a sum, from those of its terms."""
    sine, cosine = Constant(0.0), Constant(1.0)
    for argument in arguments:
        square = builder.place("square", argument)
        own = builder.place("sqrt", builder.place("add", square, Constant(1.0)))
        if sine == Constant(0.0):
            sine, cosine = argument, own
            continue
        both = [(sine, own), (cosine, argument), (cosine, own), (sine, argument)]
        parts = [builder.place("multiply", *factors) for factors in both]
        sine, cosine = builder.place("add", *parts[:2]), builder.place("add", *parts[2:])
    return builder.place("arcsinh", sine)


_JOINED = {"log": _joined_logarithm, "arcsinh": _joined_inverse_sine}


def _shared_reciprocals(ops: list[Operation], outputs: Outputs) -> tuple[list[Operation], Outputs]:
    """Divide once by what is divided by more than once: the factors of a matrix are full of it."""
    divisors = Counter(op.operands[-1] for op in ops if op.name in _DIVIDING)
    builder, new = Builder(), dict[Operand, Operand]()
    for place, op in enumerate(ops):
        if op.name == "divide" and divisors[op.operands[1]] > 1:
            over, under = (new.get(operand, operand) for operand in op.operands)
            inverse = builder.place("reciprocal", under)
            one = over == Constant(1.0)
            new[place] = inverse if one else builder.place("multiply", over, inverse)
        else:
            new[place] = _copied(builder, op, new)
    return builder.operations, _renamed(outputs, new)


@dataclass
class _Product:
    """Factors of a product: a b sqrt(c) / (d sqrt(e))."""

    over: list[Operand] = field(default_factory=list[Operand])
    under: list[Operand] = field(default_factory=list[Operand])
    root_over: list[Operand] = field(default_factory=list[Operand])
    root_under: list[Operand] = field(default_factory=list[Operand])
    dear: int = 0
    """Divisions and roots that it took."""

    def turned(self) -> _Product:
        return _Product(self.under, self.over, self.root_under, self.root_over, self.dear)

    def take(self, other: _Product) -> None:
        self.over += other.over
        self.under += other.under
        self.root_over += other.root_over
        self.root_under += other.root_under
        self.dear += other.dear

    @property
    def least(self) -> int:
        """Divisions and roots that it needs."""
        divides = bool(self.under or self.root_under)
        return divides + bool(self.root_over or self.root_under)


def _gathered_products(ops: list[Operation], outputs: Outputs) -> tuple[list[Operation], Outputs]:
    """Divide once and take one root in every product, as far as its parts are needed only there."""
    uses = _uses(ops, outputs)
    builder, new = Builder(), dict[Operand, Operand]()

    def factors(operand: Operand, outermost: bool = False) -> _Product:
        own = isinstance(operand, int) and (outermost or uses[operand] == 1)
        op = ops[operand] if isinstance(operand, int) and own else None
        if op is None or op.name not in (*_PRODUCTS, "sqrt"):
            return _Product([operand])
        if op.name == "sqrt":
            return _Product(root_over=[op.operands[0]], dear=1)
        product = _Product(dear=int(op.name in _DIVIDING))
        product.take(factors(op.operands[0]) if op.name != "reciprocal" else _Product())
        if op.name in _DIVIDING:
            product.take(factors(op.operands[-1]).turned())
        else:
            product.take(factors(op.operands[1]))
        return product

    def multiplied(operands: list[Operand]) -> Operand:
        number, value = 1.0, None
        for operand in operands:
            if isinstance(operand, Constant):
                number *= operand.value
            else:
                value = operand if value is None else builder.place("multiply", value, operand)
        if value is None:
            return Constant(number)
        return value if number == 1 else builder.place("multiply", value, Constant(number))

    def written(product: _Product) -> Operand:
        over, under = ([renamed(o) for o in part] for part in (product.over, product.under))
        roots = [*product.root_over, *product.root_under]
        if roots:
            inside = _Product()
            for root in roots:
                inside.take(factors(root))
            over.append(builder.place("sqrt", written(inside)))
            under += [renamed(o) for o in product.root_under]
        if not under:
            return multiplied(over)
        top, bottom = multiplied(over), multiplied(under)
        if isinstance(bottom, Constant):
            return builder.place("multiply", top, Constant(1 / bottom.value))
        if top == Constant(1.0):
            return builder.place("reciprocal", bottom)
        return builder.place("divide", top, bottom)

    def renamed(operand: Operand) -> Operand:
        return new.get(operand, operand)

    for place, op in enumerate(ops):
        product = factors(place, outermost=True) if op.name in _PRODUCTS else _Product()
        if product.dear > product.least:
            new[place] = written(product)
        else:
            new[place] = _copied(builder, op, new)
    return builder.operations, _renamed(outputs, new)


def _uses(ops: list[Operation], outputs: Outputs) -> Counter[Operand]:
    uses = Counter(o for op in ops if op.name != INPUT for o in op.operands)
    uses.update(outputs.values())
    return uses


def _copied(builder: Builder, op: Operation, new: Mapping[Operand, Operand]) -> int:
    if op.name == INPUT:
        return builder.place(INPUT, *op.operands)
    return builder.place(op.name, *(new.get(operand, operand) for operand in op.operands))


def _renamed(outputs: Outputs, new: Mapping[Operand, Operand]) -> Outputs:
    return {key: new.get(value, value) for key, value in outputs.items()}


def _alive(ops: list[Operation], outputs: Outputs) -> tuple[list[Operation], Outputs]:
    """Leave out operations that nothing needs."""
    needed = {value for value in outputs.values() if isinstance(value, int)}
    for place in reversed(range(len(ops))):
        if place in needed and ops[place].name != INPUT:
            needed |= {o for o in ops[place].operands if isinstance(o, int)}
    builder, new = Builder(), dict[Operand, Operand]()
    for place in sorted(needed):
        new[place] = _copied(builder, ops[place], new)
    return builder.operations, _renamed(outputs, new)
