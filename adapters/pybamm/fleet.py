"""The batteries of a whole fleet: groups of vehicles, each with packs of its own kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from adapters.pybamm.spec import Layout
from adapters.pybamm.tick import BatteryTick, Floats, Request


class Group(Protocol):
    """Packs of some vehicles: `packs.Packs` or `reservoir.Reservoirs`."""

    layout: Layout

    def advance(self, tick: int, request: Request) -> BatteryTick:
        """Step every pack by one tick."""
        ...

    def state(self) -> dict[str, Floats]:
        """Return everything that changes."""
        ...

    def restore(self, state: Mapping[str, Floats]) -> None:
        """Take back a state of `state`."""
        ...

    @property
    def soc(self) -> Floats:
        """State of charge."""
        ...

    @property
    def charge_limit_kw(self) -> Floats:
        """DC power that each pack can take through the whole next tick [kW]."""
        ...

    @property
    def discharge_limit_kw(self) -> Floats:
        """DC power that each pack can give through the whole next tick [kW]."""
        ...


class Batteries:
    """Groups of packs, seen as one array over vehicles.

    Parameters
    ----------
    groups
        Positions of the vehicles of each group in the fleet, and their packs; together they are
        all vehicles once.
    """

    def __init__(self, groups: Sequence[tuple[NDArray[np.int64], Group]]) -> None:
        self._groups = tuple(groups)
        self.count = sum(len(at) for at, _ in self._groups)

    @property
    def layout(self) -> Layout:
        """How the packs of every vehicle are made of cells."""
        parts = [group.layout for _, group in self._groups]
        names = [f.name for f in fields(Layout)]
        return Layout(**{n: self._joined([getattr(part, n) for part in parts]) for n in names})

    @property
    def soc(self) -> Floats:
        """State of charge of every vehicle."""
        return self._joined([group.soc for _, group in self._groups])

    @property
    def charge_limit_kw(self) -> Floats:
        """DC power that each pack can take through the whole next tick [kW]."""
        return self._joined([group.charge_limit_kw for _, group in self._groups])

    @property
    def discharge_limit_kw(self) -> Floats:
        """DC power that each pack can give through the whole next tick [kW]."""
        return self._joined([group.discharge_limit_kw for _, group in self._groups])

    def advance(self, tick: int, request: Request) -> dict[str, Floats]:
        """Step every pack by one tick; return the fields of a `BatteryTick` over all vehicles."""
        ticks = [group.advance(tick, request.of(at)) for at, group in self._groups]
        return {
            f.name: self._joined([getattr(found, f.name) for found in ticks])
            for f in fields(BatteryTick)
        }

    def state(self) -> dict[str, Floats]:
        """Return everything that changes, as copies; `restore` takes it back bit for bit."""
        return {
            f"{number}.{name}": value
            for number, (_, group) in enumerate(self._groups)
            for name, value in group.state().items()
        }

    def restore(self, state: Mapping[str, Floats]) -> None:
        """Take back a state of `state`.

        Raises
        ------
        cosim.errors.BatteryError
            If the state is of another fleet or another cell model, or is not valid.
        """
        for number, (_, group) in enumerate(self._groups):
            prefix = f"{number}."
            own = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
            group.restore(own)

    def _joined(self, parts: Sequence[Floats]) -> Floats:
        whole = np.empty((self.count, *parts[0].shape[1:]))
        for (at, _), part in zip(self._groups, parts, strict=True):
            whole[at] = part
        return whole
