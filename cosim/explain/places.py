"""What one station or transformer carried, and what it could not."""

from __future__ import annotations

import numpy as np

from cosim.explain.record import Line, Record, kw, some, stretches
from cosim.signals import TICKS_PER_HOUR


def station(record: Record, index: int) -> list[Line]:
    """Return the timeline of a station: a line for each set of vehicles that held its ports."""
    table = record.assets.stations
    at = record.series("vehicle_station")
    queue = record.series("station_queue", index) if record.knows("station_queue") else None
    power = record.series("station_power_kw", index)
    price = record.series("station_price_usd_per_mwh", index)
    holders = [tuple(np.flatnonzero(row == index).tolist()) for row in at]
    waiting = queue if queue is not None else np.zeros(len(power), np.int64)
    transformer = str(record.fact("station_transformer")[index])
    ports, rating = int(table.ports[index]), float(table.rating_kw[index])
    lines: list[Line] = []
    for first, end in stretches(holders, waiting):
        held = holders[first]
        mean = float(power[first:end].mean())
        what = f"{len(held)} of {ports} ports held"
        what += f" by vehicles {some([str(v) for v in held])}" if held else ""
        what += f", {waiting[first]} waiting" if waiting[first] else ""
        if held:
            kwh = power[first:end].sum() / TICKS_PER_HOUR
            what += f"; {kw(mean)} of {kw(rating)}, {kwh:.1f} kWh"
            what += f" at {price[first:end].mean():.1f} USD/MWh behind transformer {transformer}"
        why = "all ports were taken" if waiting[first] and len(held) == ports else ""
        withheld = record.series("station_draw_withheld", index)[first:end].max()
        if withheld > 0:
            why = f"volt-watt kept up to {100 * withheld:.0f} % of the rating"
        lines.append(Line(record.time(first), record.time(end), what, why))
    return lines


def transformer(record: Record, index: int) -> list[Line]:
    """Return the timeline of a transformer by hours, and when it was overloaded."""
    name = record.names("transformer")[index]
    loading = record.series("transformer_loading_pct", index)
    chargers = record.series("transformer_ev_kw", index)
    hot_spot = record.series("transformer_hot_spot_c", index)
    rating = float(record.fact("transformer_rating_kva")[index])
    behind = [
        f"{s}" for s, t in enumerate(record.fact("station_transformer").tolist()) if t == name
    ]
    begin = record.time(0)
    about = f"{rating:g} kVA; stations behind it: {some(behind) or 'none'}"
    lines = [Line(begin, begin, about)]
    for first in range(0, len(loading), TICKS_PER_HOUR):
        part = slice(first, min(first + TICKS_PER_HOUR, len(loading)))
        what = (
            f"loaded {loading[part].mean():.0f} % of its rating, at most "
            f"{loading[part].max():.0f} %; chargers {kw(chargers[part].mean())}; hottest spot "
            f"{hot_spot[part].max():.0f} degC"
        )
        why = "more than its rating" if loading[part].max() > 100 else ""
        lines.append(Line(record.time(first), record.time(part.stop), what, why))
    for event in record.events("place", name):
        moment = record.at(event["time_s"])
        text = str(event["kind"]).replace("_", " ")
        value = "" if event["value"] is None else f" {event['value']:.4g}"
        limit = "" if event["limit"] is None else f", limit {event['limit']:.4g}"
        lines.append(Line(moment, moment, f"{text}{value}{limit}", event["detail"] or ""))
    return lines
