"""What became of one request."""

from __future__ import annotations

import numpy as np

from cosim.explain.record import Line, Record, stretches


def request(record: Record, index: int) -> list[Line]:
    """Return the timeline of a request: asked, assigned, served or not, and why."""
    asked_s, due_s = (float(record.fact(f"request_{n}_s")[index]) for n in ("asked", "due"))
    one, other = (str(record.fact(f"request_{n}_edge")[index]) for n in ("from", "to"))
    segment, owner = record.fact("request_segment")[index], int(record.fact("request_owner")[index])
    whose = f"a trip of vehicle {owner}" if owner >= 0 else "a customer's"
    asked = record.at(asked_s)
    what = (
        f"asked ({whose}, {segment}): from edge {one} to {other}, due {record.at(due_s):%H:%M:%S}"
    )
    lines = [Line(asked, asked, what)]
    serving = record.series("vehicle_request") == index
    who = np.where(serving.any(axis=1), serving.argmax(axis=1), -1)
    for first, end in stretches(who):
        if who[first] >= 0:
            km = record.series("vehicle_distance_km", int(who[first]))[first:end].sum()
            what = f"vehicle {who[first]} was on its way, {km:.1f} km"
            lines.append(Line(record.time(first), record.time(end), what))
    for event in record.events("request", index):
        moment = record.at(event["time_s"])
        by = f" by vehicle {event['vehicle']}" if event["vehicle"] is not None else ""
        text = str(event["kind"]).replace("_", " ")
        lines.append(Line(moment, moment, f"{text}{by}", event["detail"] or ""))
    return lines
