"""The text commands that build a feeder, and service transformers on any circuit, in OpenDSS."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from adapters.opendss.service import Connections
from networks.feeders import Configuration, FeederData, Line, Load, Regulator, Transformer

FEET_PER_MILE = 5280.0
SOLVER = "set mode=snapshot controlmode=static maxcontroliter=100 maxiterations=100 tolerance=1e-8"
"""Settings of the solver, for every circuit."""
WINDOW_PU = (0.6, 1.4)
"""Range in which a load keeps its published model.

OpenDSS turns every load below 0.95 or above 1.05 pu into a constant impedance unless told
otherwise, so a constant-power load would quietly draw less just where the voltage problem is.
Within this window every load does what its model says. Outside it OpenDSS fades them to constant
impedances, and a solution there is refused. The published solution lies within both windows.
"""

_WINDOW = f"vminpu={WINDOW_PU[0]} vmaxpu={WINDOW_PU[1]}"
_MODEL = {"pq": 1, "z": 2, "i": 5}


def commands(feeder: FeederData) -> Iterator[str]:
    """Yield the commands that build the circuit, voltage bases and controls included."""
    source = feeder.source
    yield "clear"
    yield f"set defaultbasefrequency={source.frequency_hz}"
    yield (
        f"new circuit.{feeder.name} bus1={source.bus} basekv={source.kv} pu={source.voltage_pu} "
        f"r1={source.r1_ohm} x1={source.x1_ohm} r0={source.r0_ohm} x0={source.x0_ohm}"
    )
    for regulator in feeder.regulators:
        yield from _regulator(regulator, source.kv, regulator.from_bus == source.bus)
    for configuration in feeder.configurations:
        yield _configuration(configuration, source.frequency_hz)
    for line in feeder.lines:
        yield _line(line)
    for switch in feeder.switches:
        # A normally open switch is simply absent: both of its buses are fed otherwise.
        if switch.closed:
            yield (
                f"new line.{switch.id} phases={len(switch.phases)} switch=yes "
                f"bus1={_nodes(switch.from_bus, switch.phases)} "
                f"bus2={_nodes(switch.to_bus, switch.phases)} length=1 "
                f"r1={switch.r_ohm} x1={switch.x_ohm} r0={switch.r_ohm} x0={switch.x_ohm} c1=0 c0=0"
            )
    for transformer in feeder.transformers:
        yield _transformer(transformer)
    kv = _bus_kv(feeder)
    for capacitor in feeder.capacitors:
        yield (
            f"new capacitor.{capacitor.id} bus1={_nodes(capacitor.bus, capacitor.phases)} "
            f"phases={len(capacitor.phases)} kvar={capacitor.q_kvar} "
            f"kv={_kv(len(capacitor.phases), 'wye', kv[capacitor.bus])}"
        )
    for load in feeder.loads:
        yield _load(load, kv[load.bus])
    bases = sorted({source.kv, *(_secondary_kv(t) for t in feeder.transformers)})
    yield f"set voltagebases={_list(bases)}"
    yield "calcvoltagebases"


def service_commands(service: Connections) -> Iterator[str]:
    """Yield the commands that add service transformers and a load for each connection."""
    for index in range(service.own):
        yield _service(service, index)
    for index, name in enumerate(service.ids):
        phases = service.phases[index]
        kv = service.units[index].kv if index < service.own else float(service.kv[index])
        yield (
            f"new load.{name} bus1={_nodes(charger_bus(service, index), phases)} "
            # Between two phases it is one of one phase whose return is the other.
            f"phases={3 if len(phases) == 3 else 1} conn=wye model=1 kv={kv} kw=0 kvar=0 {_WINDOW}"
        )
    # The new buses are known from here on.
    yield "makebuslist"
    for unit, phases in zip(service.units, service.phases, strict=False):
        # The automatic bases know line-to-line voltages only and miss a 0.24 kV secondary.
        which = "ll" if len(phases) == 3 else "ln"
        yield f"setkvbase bus={unit.bus} kv{which}={unit.kv}"


def charger_bus(service: Connections, index: int) -> str:
    """Bus of the chargers of a connection."""
    return service.units[index].bus if index < service.own else service.bus[index]


def _nodes(bus: str, phases: Sequence[int]) -> str:
    return ".".join([bus, *(str(phase) for phase in phases)])


def _list(values: Sequence[float] | Sequence[str]) -> str:
    return "[" + " ".join(str(value) for value in values) + "]"


def _triangle(matrix: NDArray[np.float64]) -> str:
    rows = (matrix[i, : i + 1] for i in range(len(matrix)))
    return "[" + " | ".join(" ".join(f"{x:.12g}" for x in row) for row in rows) + "]"


def _kv(phases: int, connection: str, kv: float) -> float:
    """Voltage rating as OpenDSS wants it: across the element for one phase, else line to line."""
    return kv / np.sqrt(3) if phases == 1 and connection == "wye" else kv


def _bus_kv(feeder: FeederData) -> dict[str, float]:
    """Line-to-line voltage of every bus [kV], that of the source but behind transformers."""
    links = [(row.from_bus, row.to_bus) for row in (*feeder.lines, *feeder.switches)]
    kv = {row.to_bus: _secondary_kv(row) for row in feeder.transformers}
    reached = list(kv)
    while reached:
        bus = reached.pop()
        for one, other in (*links, *((b, a) for a, b in links)):
            if one == bus and other not in kv:
                kv[other] = kv[bus]
                reached.append(other)
    return {row.id: kv.get(row.id, feeder.source.kv) for row in feeder.buses}


def _secondary_kv(row: Transformer) -> float:
    """Line-to-line voltage below a transformer [kV], of three such where it has one phase."""
    return row.kv_to * (3**0.5 if len(row.phases) == 1 else 1)


def _configuration(row: Configuration, frequency_hz: float) -> str:
    c_nf_per_mile = row.b_us_per_mile / (2 * np.pi * frequency_hz) * 1e3
    return (
        f"new linecode.c{row.id} nphases={len(row.r_ohm_per_mile)} units=mi "
        f"basefreq={frequency_hz} rmatrix={_triangle(row.r_ohm_per_mile)} "
        f"xmatrix={_triangle(row.x_ohm_per_mile)} cmatrix={_triangle(c_nf_per_mile)} "
        f"normamps={row.rating_a} emergamps={row.rating_a}"
    )


def _line(line: Line) -> str:
    return (
        f"new line.{line.id} phases={len(line.phases)} bus1={_nodes(line.from_bus, line.phases)} "
        f"bus2={_nodes(line.to_bus, line.phases)} linecode=c{line.configuration} units=mi "
        f"length={line.length_ft / FEET_PER_MILE:.12g}"
    )


def _regulator(row: Regulator, kv: float, head: bool) -> Iterator[str]:
    winding_kv = _kv(len(row.phases), "wye", kv)
    yield (
        f"new transformer.{row.id} phases={len(row.phases)} windings=2 "
        f"buses=[{_nodes(row.from_bus, row.phases)} {_nodes(row.to_bus, row.phases)}] "
        f"conns=[wye wye] kvs=[{winding_kv} {winding_kv}] kvas=[{row.rating_kva} {row.rating_kva}] "
        # Regulators of the test feeder are ideal; a little loss keeps the matrix regular.
        f"xhl={row.x_pct} %loadloss=0.00001 ppm=0"
    )
    yield (
        f"new regcontrol.{row.id} transformer={row.id} winding=2 vreg={row.target_v} "
        f"band={row.band_v} ptratio={row.pt_ratio} ctprim={row.ct_primary_a} "
        f"R={row.r_v} X={row.x_v} "
        # As in EPRI's run of the test case: one step at a time, the head of the feeder first.
        f"maxtapchange=1 delay={15 if head else 30}"
    )


def _transformer(row: Transformer) -> str:
    connections = row.connection.split("-")
    return (
        f"new transformer.{row.id} phases={len(row.phases)} windings=2 "
        f"buses=[{_nodes(row.from_bus, row.phases)} {_nodes(row.to_bus, row.phases)}] "
        f"conns={_list(connections)} kvs=[{row.kv_from} {row.kv_to}] "
        f"kvas=[{row.rating_kva} {row.rating_kva}] xhl={row.x_pct} "
        f"%rs=[{row.r_pct / 2} {row.r_pct / 2}] "
        f"%noloadloss={row.no_load_loss_pct} %imag={row.exciting_current_pct}"
    )


def _load(row: Load, kv: float) -> str:
    # A single-phase load between two phases of a delta names both of its nodes.
    phases = 1 if len(row.phases) < 3 else 3
    return (
        f"new load.{row.id} bus1={_nodes(row.bus, row.phases)} phases={phases} "
        f"conn={row.connection} model={_MODEL[row.model]} "
        f"kv={_load_kv(phases, row.connection, kv)} kw={row.p_kw} kvar={row.q_kvar} "
        f"{_WINDOW}"
    )


def _load_kv(phases: int, connection: str, kv: float) -> float:
    # The published load data are rated at 2.4 kV to ground, not at 4.16/sqrt(3) = 2.402 kV.
    rated_kv = _kv(phases, connection, kv)
    return float(f"{rated_kv:.3g}") if phases == 1 and connection == "wye" else kv


def _service(service: Connections, index: int) -> str:
    unit, bus, phases = service.units[index], service.bus[index], service.phases[index]
    rating_kva, neutral_kv = float(service.rating_kva[index]), float(service.kv[index])
    primary = unit.between or phases
    # Name plates are of the line voltage, or of that to neutral, to a hundredth.
    primary_kv = round(neutral_kv * (3**0.5 if len(primary) > 1 else 1), 2)
    connections = "[delta wye]" if len(phases) == 3 else "[wye wye]"
    return (
        f"new transformer.{unit.id} phases={len(phases)} windings=2 "
        f"buses=[{_nodes(bus, primary)} {_nodes(unit.bus, phases)}] conns={connections} "
        f"kvs=[{primary_kv} {unit.kv}] kvas=[{rating_kva} {rating_kva}] xhl={unit.x_pct} "
        f"%rs=[{unit.r_pct / 2} {unit.r_pct / 2}] %noloadloss={unit.no_load_loss_pct} "
        f"%imag={unit.exciting_current_pct}"
    )
