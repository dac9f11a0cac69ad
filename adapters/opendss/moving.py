"""Taps and capacitors of a circuit: all that its controls move, and that it remembers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from adapters.opendss.layout import Layout
from adapters.opendss.tick import FeederState

Floats = NDArray[np.float64]


class Moving:
    """Reads and sets taps and capacitors in an engine.

    Parameters
    ----------
    engine
        Context of OpenDSS.
    layout
        What its circuit consists of.
    """

    def __init__(self, engine: Any, layout: Layout) -> None:
        self._dss, self._regulators = engine, layout.regulators
        self._capacitor_ids = layout.capacitor_ids
        self._step_pu = np.array([row.step_pu for row in layout.regulators], dtype=np.float64)

    def state(self) -> FeederState:
        """Return taps and capacitors, as fresh arrays."""
        taps_pu: list[float] = []
        for row in self._regulators:
            self._dss.Transformers.Name(row.id)
            self._dss.Transformers.Wdg(row.winding)
            taps_pu.append(self._dss.Transformers.Tap())
        states: list[bool] = []
        for name in self._capacitor_ids:
            self._dss.Capacitors.Name(name)
            states.append(self._dss.Capacitors.States()[0] == 1)
        return FeederState(np.array(taps_pu, dtype=np.float64), np.array(states, dtype=bool))

    def restore(self, state: FeederState) -> None:
        """Put taps and capacitors back."""
        self._set_pu(state.tap_pu)
        for name, on in zip(self._capacitor_ids, state.capacitor_on, strict=True):
            self._dss.Capacitors.Name(name)
            self._dss.Capacitors.States([int(on)])

    def set_taps(self, tap: NDArray[np.integer]) -> None:
        """Set the tap of each regulator, 0 for a ratio of 1, shape (regulator,)."""
        self._set_pu(1 + self._step_pu * tap)

    def taps(self, state: FeederState) -> NDArray[np.int64]:
        """Return the tap of each regulator in a state, 0 for a ratio of 1."""
        return np.rint((state.tap_pu - 1) / self._step_pu).astype(np.int64)

    def _set_pu(self, taps_pu: Floats) -> None:
        for row, tap_pu in zip(self._regulators, taps_pu.tolist(), strict=True):
            self._dss.Transformers.Name(row.id)
            self._dss.Transformers.Wdg(row.winding)
            self._dss.Transformers.Tap(tap_pu)
