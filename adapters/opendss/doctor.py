"""Whether the feeder solves as published here."""

from __future__ import annotations

from typing import Any

import numpy as np
import opendssdirect

import networks.feeders
from adapters.opendss.circuit import Circuit
from adapters.opendss.feeder import Feeder
from adapters.opendss.service import connect_stations
from cosim.errors import PowerFlowError
from cosim.health import Check

PUBLISHED_PU = {"83.1": 1.0436, "114.1": 1.0216, "66.3": 0.9955, "65.1": 0.9856, "149.2": 1.0437}
"""Voltages of the published solution of the IEEE 123-node feeder at five of its nodes."""


def check() -> list[Check]:
    """Solve the 123-node feeder at its published taps and compare five voltages."""
    engine: Any = opendssdirect.dss
    version = Check("OpenDSS", True, " ".join(str(engine.Basic.Version()).split()[:6]))
    try:
        worst, where, balance = _published_case()
    except PowerFlowError as error:
        return [version, Check("123-node voltages", False, str(error))]
    return [
        version,
        Check(
            "123-node voltages",
            bool(worst < 0.002),
            f"{worst:.1e} pu from the published ones at most, at {where}; allowed 2e-03",
        ),
        Check("123-node power balance", balance < 1e-6, f"{balance:.1e} of the feeder's power"),
    ]


def _published_case() -> tuple[float, str, float]:
    data = networks.feeders.load("ieee123")
    circuit = Circuit(data)
    service, _ = connect_stations(circuit.layout, np.zeros(0), np.zeros(0, dtype=bool))
    feeder = Feeder(circuit, service)
    feeder.lock_taps()
    feeder.set_taps(np.array([row.published_tap for row in data.regulators]))
    solved = feeder.solve(1.0, np.zeros(0))
    voltage_pu = dict(zip(feeder.bus_ids, solved.bus_voltage_pu, strict=True))
    feeder.close()
    errors = {node: abs(voltage_pu[node] - pu) for node, pu in PUBLISHED_PU.items()}
    where = max(errors, key=lambda node: errors[node])
    used_kw = solved.feeder_base_kw + solved.feeder_losses_kw
    return errors[where], where, abs(solved.feeder_power_kw - used_kw) / solved.feeder_power_kw
