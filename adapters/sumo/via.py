"""Edges that a leg is to pass, as the events of its trip tell them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_WORD = "via "


def detail_of(via: Sequence[int], edge_ids: Sequence[str]) -> dict[str, str]:
    """Return the column of a trip's event that tells the edges to pass, none if there are none."""
    names = [edge_ids[edge] for edge in via if edge >= 0]
    return {"detail": _WORD + " ".join(names)} if names else {}


def names_in(detail: str | None) -> list[str]:
    """Return the ids of the edges to pass that an event's detail tells."""
    return detail.removeprefix(_WORD).split() if detail and detail.startswith(_WORD) else []


def packed(via: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return edges to pass with those that are none, -1, behind; the last dimension is theirs."""
    if not (via >= 0).any():
        return via.astype(np.int64)
    order = np.argsort(via < 0, axis=-1, kind="stable")
    return np.take_along_axis(via, order, axis=-1).astype(np.int64)
