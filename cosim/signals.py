"""The wire table: everything that crosses between simulators.

From this list come the mosaik META of every simulator, the connections and their time shifts,
the recorder's arrays with units, the array checks at every boundary (`cosim.boundary`) and the
reference page (`markdown`). Adding a signal is one line here, plus producing it and using it.

Signs: power is positive when drawn from the grid, vehicle-to-grid is negative. A signal that is
summed or averaged says so in `over_tick`: ``sum`` over the settlement interval, ``mean`` over it,
``end`` for a value at its end, ``start`` for a value that holds from its start.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal, cast

import numpy as np

TICK_S = 300
"""Length of a settlement interval [s]."""
TICK_HOURS = TICK_S / 3600
"""Length of a settlement interval [h]."""
TICKS_PER_HOUR = 3600 // TICK_S
LEGS = 3
"""Legs that one itinerary holds at most: to the pick-up, to the drop-off, to a station."""
VIA = 3
"""Edges that one leg is led through at most."""
C_RATES = (-1.0, -0.5, -0.1, 0.1, 0.5, 1.0, 2.0)
"""Currents over the capacity when new for which battery wear is told, rising; positive charges, as
power does that is drawn [1/h]."""
FIXED_DIMS: Mapping[str, int] = MappingProxyType({"leg": LEGS, "via": VIA, "c_rate": len(C_RATES)})
"""Lengths of the dimensions that are the same in every scenario."""

Role = Literal["fleet", "traffic", "battery", "grid", "market", "agents", "monitor"]
OverTick = Literal["sum", "mean", "end", "start"]

ROLES: tuple[Role, ...] = ("fleet", "traffic", "battery", "grid", "market", "agents", "monitor")
"""Roles in the order in which they step within a tick."""
MODELS: Mapping[Role, str] = MappingProxyType(
    {
        "fleet": "Fleet",
        "traffic": "Traffic",
        "battery": "Battery",
        "grid": "Feeder",
        "market": "Market",
        "agents": "Team",
        "monitor": "Monitor",
    }
)
"""Name of the one entity that each role creates."""

RECORD = "record"
"""Attribute that carries everything a role produces, by name, to the monitor: six attributes instead
of some eighty, which mosaik would hand over one by one."""
EVENT_DIM = "event"
"""Dimension of signals that carry a list of event dictionaries instead of an array."""


@dataclass(frozen=True)
class Signal:
    """One line of the wire table."""

    name: str
    """Name on the wire, in the record and in the dataclasses, unit included."""
    unit: str
    """Unit; ``1`` for a ratio or a count, ``index`` for a position in another dimension."""
    dims: tuple[str, ...]
    """Dimensions in order; empty for one number."""
    producer: Role
    """The only role that writes it."""
    readers: tuple[Role, ...]
    """Roles that read it in the same tick."""
    shifted: tuple[Role, ...]
    """Roles that read it one tick later: the edges that run backwards."""
    over_tick: OverTick
    """How the value relates to the settlement interval."""
    meaning: str
    """One line."""
    dtype: str = "f8"
    """numpy type code on the wire."""
    low: float = -np.inf
    """Least value allowed."""
    high: float = np.inf
    """Greatest value allowed."""
    index_of: str = ""
    """Dimension that the value points into (-1 for none), where it is an index."""
    volatile: bool = False
    """A wall time: recorded, but left out of the output digest."""
    recorded: bool = True
    """Whether the recorder keeps it for every tick."""

    @property
    def is_events(self) -> bool:
        """Whether it carries event dictionaries."""
        return self.dims == (EVENT_DIM,)


# One line a signal: name | unit | dimensions | type | allowed range | producer | readers
# (+1: one tick later) | relation to the tick | options | meaning. The unit ``index:dim`` marks a
# position in another dimension, -1 for none.
_TABLE_TEXT = """
# --- fleet
itinerary_edge             | index:edge    | vehicle leg | i4 | -               | fleet   | traffic             | start | unrecorded | edges to drive to in order, from the vehicle's place; all -1: no new itinerary
itinerary_via_edge         | index:edge    | vehicle leg via | i4 | -           | fleet   | traffic             | start | unrecorded | edges to pass on each leg in order, -1 none; one that cannot be passed is replaced by the nearest that can
itinerary_start_s          | s             | vehicle     | f8 | 0..300          | fleet   | traffic             | start | unrecorded | departure of a new itinerary after the start of the tick
tow_edge                   | index:edge    | vehicle     | i4 | -               | fleet   | traffic             | start | unrecorded | the vehicle is taken off the road and set down at this edge
vehicle_status             | 1             | vehicle     | i1 | 0..5            | fleet   | agents              | start | -          | 0 idle, 1 serving a request, 2 driving to a station, 3 queued, 4 plugged in, 5 towed
vehicle_next_departure_s   | s             | vehicle     | f8 | -1..            | fleet   | agents              | end   | unrecorded | earliest departure of the vehicle's next own trip that is known; -1 for none
vehicle_next_km            | km            | vehicle     | f8 | 0..             | fleet   | agents              | end   | unrecorded | length of that trip, of the rest of its tour where it belongs to one
vehicle_request            | index:request | vehicle     | i4 | -               | fleet   | traffic             | start | -          | request that the vehicle serves through the tick, or was towed from; -1 for none
vehicle_station            | index:station | vehicle     | i4 | -               | fleet   | battery grid market agents | start | -   | station whose port the vehicle holds through the tick
plug_power_kw              | kW            | vehicle     | f8 | -1000..1000     | fleet   | battery             | mean  | -          | power asked for at the plug, grid side, within every limit of port, vehicle and battery
vehicle_offer_kw           | kW            | vehicle     | f8 | -1000..1000     | fleet   | grid                | end   | -          | power that the vehicle would exchange in the next tick, offered to the clearing of its feeder; 0 without market.bids
vehicle_offer_usd_per_mwh  | USD/MWh       | vehicle     | f8 | -100000..100000 | fleet   | grid                | end   | -          | most it pays to draw it, least it wants to feed it back
plug_efficiency            | 1             | vehicle     | f8 | 0.5..1          | fleet   | battery             | start | unrecorded | DC over AC energy of the charger in use while it charges
plug_limit_kw              | kW            | vehicle     | f8 | 0..1000         | fleet   | -                   | start | -          | most the vehicle may draw at its port: the lesser of port and vehicle
plug_floor_kw              | kW            | vehicle     | f8 | -1000..0        | fleet   | -                   | start | -          | most the vehicle may feed back at its port, negative; 0 without V2G
plug_most_kw               | kW            | vehicle     | f8 | 0..1000         | fleet   | market              | mean  | unrecorded | most that could have been asked for within every limit and the vehicle's target
plug_least_kw              | kW            | vehicle     | f8 | -1000..0        | fleet   | market              | mean  | unrecorded | least that could have been asked for, as far as it can be sustained for a call of reserve
request_status             | 1             | request     | i1 | 0..7            | fleet   | agents              | end   | unrecorded | 0 not known yet, 1 open, 2 assigned, 3 picked up, 4 served, 5 expired, 6 failed, 7 a vehicle's own and not begun
request_origin_edge        | index:edge    | request     | i4 | -               | fleet   | agents              | end   | unrecorded | where the request waits; -1 while it is not known yet
request_destination_edge   | index:edge    | request     | i4 | -               | fleet   | agents              | end   | unrecorded | where the request wants to go; -1 while it is not known yet
request_segment            | index:segment | request     | i4 | -               | fleet   | agents              | end   | unrecorded | segment whose vehicles may serve the request; -1 while it is not known yet
request_deadline_s         | s             | request     | f8 | -1..            | fleet   | agents              | end   | unrecorded | latest pick-up in simulation time; -1 while the request is not known yet
station_free_ports         | 1             | station     | i4 | 0..             | fleet   | agents              | start | -          | ports that are neither held nor promised to a vehicle under way
station_queue              | 1             | station     | i4 | 0..             | fleet   | agents              | start | -          | vehicles that wait for a port
requests_known             | 1             | segment     | f8 | 0..             | fleet   | -                   | end   | -          | requests made so far
requests_in_time           | 1             | segment     | f8 | 0..             | fleet   | -                   | end   | -          | served by their deadline: picked up, or arrived where that is what was asked
requests_late              | 1             | segment     | f8 | 0..             | fleet   | -                   | end   | -          | served after their deadline and not failed since
requests_missed            | 1             | segment     | f8 | 0..             | fleet   | -                   | end   | -          | expired, failed, overdue or served late
ambient_c                  | degC          | -           | f8 | -60..60         | fleet   | agents              | mean  | -          | ambient temperature
# --- traffic
vehicle_distance_km        | km            | vehicle     | f8 | 0..50           | traffic | -                   | sum   | -          | distance driven in the tick, by the odometer
vehicle_traction_kwh       | kWh           | vehicle     | f8 | -20..50         | traffic | battery             | sum   | -          | net energy that driving takes from the battery in the tick
vehicle_driving_s          | s             | vehicle     | f8 | 0..300          | traffic | -                   | sum   | -          | time on the road in the tick
vehicle_busy_s             | s             | vehicle     | f8 | 0..300          | traffic | -                   | sum   | -          | time with an itinerary under way in the tick: driving, boarding, waiting to set out
vehicle_edge               | index:edge    | vehicle     | i4 | -               | traffic | agents fleet+1      | end   | -          | where the vehicle is, or was last
vehicle_driving            | 1             | vehicle     | ?  | -               | traffic | agents fleet+1      | end   | -          | an itinerary is under way
legs_completed             | 1             | vehicle     | i4 | 0..3            | traffic | agents fleet+1      | end   | unrecorded | legs completed of the current or last itinerary
leg_arrival_s              | s             | vehicle leg | f8 | -1..            | traffic | fleet+1             | end   | unrecorded | simulation time at which each leg of that itinerary ended; -1 if it has not
itinerary_refused          | 1             | vehicle     | ?  | -               | traffic | fleet+1             | end   | -          | this tick's itinerary cannot be driven; the vehicle stayed where it was
background_vehicles        | 1             | -           | f8 | 0..             | traffic | -                   | end   | -          | vehicles of the background traffic on the road
# --- battery
vehicle_power_kw           | kW            | vehicle     | f8 | -1000..1000     | battery | grid market fleet+1 | mean  | -          | power really exchanged at the plug, grid side
battery_traction_kwh       | kWh           | vehicle     | f8 | -20..50         | battery | fleet+1             | sum   | -          | energy that the battery really gave for driving
traction_shortfall_kwh     | kWh           | vehicle     | f8 | 0..50           | battery | fleet+1             | sum   | -          | energy that driving asked for and the battery could not give
vehicle_soc                | 1             | vehicle     | f8 | -0.1..1.01      | battery | agents fleet+1      | end   | -          | state of charge; side reactions take a pack that stands empty a little below 0
vehicle_soh                | 1             | vehicle     | f8 | 0..1.01         | battery | agents              | end   | -          | state of health: capacity over the capacity when new
vehicle_resistance_ratio   | 1             | vehicle     | f8 | 0..100          | battery | agents              | end   | -          | resistance over that when new, both at half charge and 25 degC
vehicle_temperature_c      | degC          | vehicle     | f8 | -60..120        | battery | agents              | end   | -          | cell temperature
pack_charge_ah             | Ah            | vehicle     | f8 | -100..100       | battery | -                   | sum   | -          | net charge into each cell of the pack
cell_capacity_ah           | Ah            | vehicle     | f8 | 0..1000         | battery | -                   | end   | -          | charge between state of charge 0 and 1 of each cell of the pack
pack_energy_kwh            | kWh           | vehicle     | f8 | -100..100       | battery | -                   | sum   | -          | net electrical energy into the pack's terminals
pack_heater_kwh            | kWh           | vehicle     | f8 | 0..50           | battery | -                   | sum   | -          | energy that the heater of a cold pack took
pack_loss_kwh              | kWh           | vehicle     | f8 | -20..50         | battery | -                   | sum   | -          | energy put in and not stored at equilibrium: heat, and gradients that come back later
vehicle_charge_limit_kw    | kW            | vehicle     | f8 | 0..1000         | battery | agents fleet+1      | end   | -          | DC power that the pack can take through the whole next tick, its heater included
vehicle_discharge_limit_kw | kW            | vehicle     | f8 | 0..1000         | battery | agents fleet+1      | end   | -          | DC power that the pack can give through the whole next tick
vehicle_c_rate_headroom    | 1/h           | vehicle     | f8 | -50..50         | battery | agents              | end   | -          | charging current that can be held through the next tick less that of this tick, over the capacity when new
vehicle_wear_usd_per_kwh   | USD/kWh       | vehicle c_rate | f8 | -1000..1000  | battery | agents              | end   | unrecorded | battery wear beyond that of rest, per kilowatt-hour out of the pack at 1, 0.5 and 0.1 times the capacity an hour, then into it at 0.1, 0.5, 1 and 2; at the largest rate that can be held, where that is less
# --- grid
station_power_kw           | kW            | station     | f8 | -100000..100000 | grid    | agents              | mean  | -          | power that the station draws from the feeder
bus_voltage_pu             | 1             | bus         | f8 | 0..2            | grid    | agents              | mean  | -          | voltage magnitude of a bus's phase (id bus.phase) over its base
transformer_loading_pct    | %             | transformer | f8 | 0..10000        | grid    | agents              | mean  | -          | apparent power over rating
transformer_ev_kw          | kW            | transformer | f8 | -100000..100000 | grid    | -                   | mean  | -          | charger load below the transformer as OpenDSS drew it; 0 where none hangs
transformer_ev_kvar        | kvar          | transformer | f8 | -100000..100000 | grid    | -                   | mean  | -          | reactive power of the chargers below the transformer
station_voltage_pu         | 1             | station     | f8 | 0..2            | grid    | -                   | mean  | -          | voltage at the terminals of the station's chargers, mean of their phases
station_draw_withheld      | 1             | station     | f8 | 0..1            | grid    | fleet+1             | end   | -          | share of the station's rating that volt-watt keeps it from drawing in the next tick
station_feed_withheld      | 1             | station     | f8 | 0..1            | grid    | fleet+1             | end   | -          | share of the station's rating that volt-watt keeps it from feeding back in the next tick
transformer_hot_spot_c     | degC          | transformer | f8 | -60..1000       | grid    | -                   | end   | -          | hottest spot of the winding, IEEE C57.91 clause 7
transformer_ageing_factor  | 1             | transformer | f8 | 0..             | grid    | -                   | mean  | -          | speed at which its insulation ages over that at 110 degC
regulator_tap              | 1             | regulator   | i4 | -100..100       | grid    | -                   | end   | -          | tap of the regulator, 0 for a ratio of 1
capacitor_on               | 1             | capacitor   | ?  | -               | grid    | -                   | end   | -          | whether the capacitor is connected
voltage_unbalance_pct      | %             | three_phase_bus | f8 | 0..100      | grid    | -                   | mean  | -          | negative over positive sequence of the voltage at a bus with three phases
bus_feeder                 | index:feeder  | bus         | i4 | -               | grid    | market              | start | unrecorded | feeder that the bus belongs to
bus_marginal_loss          | 1             | bus         | f8 | -10..100        | grid    | market              | mean  | unrecorded | losses per power drawn more at the bus's phase, taps and capacitors as they are; 0 where no price has them
station_marginal_loss      | 1             | station     | f8 | -10..100        | grid    | market              | mean  | unrecorded | losses per power drawn more by the station; 0 where no price has them
line_loading_pct           | %             | line        | f8 | 0..10000        | grid    | -                   | mean  | -          | current over rating, worst phase
vehicle_cleared_kw         | kW            | vehicle     | f8 | -1000..1000     | grid    | agents fleet+1      | end   | -          | what the limits of the feeder leave the vehicle of its offer for the next tick, at its station; 0 without market.bids
station_transformer_usd_per_mwh | USD/MWh  | station     | f8 | -1e+09..1e+09   | grid    | market agents       | mean  | -          | part of the station's price for limits of transformers, cleared in the tick before; 0 without market.bids
station_line_usd_per_mwh   | USD/MWh       | station     | f8 | -1e+09..1e+09   | grid    | market agents       | mean  | -          | part of it for limits of lines, likewise
station_voltage_usd_per_mwh | USD/MWh      | station     | f8 | -1e+09..1e+09   | grid    | market agents       | mean  | -          | part of it for limits of voltages, likewise
dlmp_transformer_usd_per_mwh | USD/MWh     | bus         | f8 | -1e+09..1e+09   | grid    | market              | mean  | -          | part of dlmp_usd_per_mwh for limits of transformers, cleared in the tick before; 0 without market.bids
dlmp_line_usd_per_mwh      | USD/MWh       | bus         | f8 | -1e+09..1e+09   | grid    | market              | mean  | -          | part of it for limits of lines, likewise
dlmp_voltage_usd_per_mwh   | USD/MWh       | bus         | f8 | -1e+09..1e+09   | grid    | market              | mean  | -          | part of it for limits of voltages, likewise
feeder_power_kw            | kW            | -           | f8 | -1e+06..1e+06   | grid    | agents              | mean  | -          | active power at the feeders' heads, all together
feeder_reactive_kvar       | kvar          | -           | f8 | -1e+06..1e+06   | grid    | -                   | mean  | -          | reactive power at the feeders' heads, all together
feeder_losses_kw           | kW            | -           | f8 | 0..1e+06        | grid    | -                   | mean  | -          | losses in lines and transformers of all feeders
feeder_base_kw             | kW            | -           | f8 | -1e+06..1e+06   | grid    | -                   | mean  | -          | what the feeders' own loads drew
feeder_head_kw             | kW            | feeder      | f8 | -1e+06..1e+06   | grid    | market              | mean  | -          | active power at the head of each feeder
feeder_head_kvar           | kvar          | feeder      | f8 | -1e+06..1e+06   | grid    | market              | mean  | -          | reactive power at the head of each feeder
feeder_own_load_kw         | kW            | feeder      | f8 | -1e+06..1e+06   | grid    | -                   | mean  | -          | what the own loads of each feeder drew
feeder_own_losses_kw       | kW            | feeder      | f8 | 0..1e+06        | grid    | -                   | mean  | -          | losses in lines and transformers of each feeder
# --- market
lmp_usd_per_mwh            | USD/MWh       | zone        | f8 | -10000..100000  | market  | -                   | mean  | -          | price of the market's bus or zone: the locational marginal price, or what stands for it
feeder_lmp_usd_per_mwh     | USD/MWh       | feeder      | f8 | -10000..100000  | market  | grid+1              | mean  | unrecorded | price at the head of each feeder, that of its bus or zone
station_price_usd_per_mwh  | USD/MWh       | station     | f8 | -1e+09..1e+09   | market  | agents              | mean  | -          | price that energy at the station is billed at
bus_load_mw                | MW            | zone        | f8 | -               | market  | -                   | mean  | -          | load at the market's bus or zone
load_shed_mw               | MW            | zone        | f8 | 0..             | market  | -                   | mean  | -          | load that could not be served
generator_mw               | MW            | generator   | f8 | -               | market  | -                   | mean  | -          | dispatch of the generator
market_line_flow_mw        | MW            | market_line | f8 | -               | market  | -                   | mean  | -          | flow on the transmission line, positive in its named direction
market_line_shadow_usd_per_mwh | USD/MWh       | market_line | f8 | -               | market  | -                   | mean  | -          | what one more MW of the line's limit would save
market_line_ac_mw          | MW            | market_line | f8 | -               | market  | -                   | mean  | -          | what the line carries of this dispatch with alternating current, at its first bus
market_line_ac_mva         | MVA           | market_line | f8 | 0..             | market  | -                   | mean  | -          | apparent power at its more loaded end
transmission_voltage_pu    | 1             | transmission_bus | f8 | 0..2       | market  | -                   | mean  | -          | voltage of a bus of the transmission network
substation_voltage_pu      | 1             | transmission_bus | f8 | 0..2       | market  | -                   | mean  | -          | voltage behind its transformer to the feeders; its own where there are none
transmission_losses_mw     | MW            | -           | f8 | 0..             | market  | -                   | mean  | -          | losses of the transmission network, which the market's dispatch does not know
congestion_rent_usd        | USD           | -           | f8 | -               | market  | -                   | sum   | -          | load payments less generator revenue
vehicle_billed_kwh         | kWh           | vehicle     | f8 | -100..100       | market  | -                   | sum   | -          | energy billed to the vehicle; negative if fed back
vehicle_cost_usd           | USD           | vehicle     | f8 | -               | market  | agents              | sum   | -          | what the vehicle pays for its energy
vehicle_limits_usd         | USD           | vehicle     | f8 | -               | market  | -                   | sum   | -          | part of that for limits of the feeder
station_loss_usd_per_mwh   | USD/MWh       | station     | f8 | -10000..100000  | market  | -                   | mean  | -          | part of the station's price for marginal losses; 0 with a tariff
dlmp_usd_per_mwh           | USD/MWh       | bus         | f8 | -1e+09..1e+09   | market  | -                   | mean  | -          | distribution locational marginal price: what one more unit drawn at the bus's phase costs
dlmp_energy_usd_per_mwh    | USD/MWh       | bus         | f8 | -10000..100000  | market  | -                   | mean  | -          | part of it for energy: the price of the market's bus that the feeder hangs at
dlmp_loss_usd_per_mwh      | USD/MWh       | bus         | f8 | -10000..100000  | market  | -                   | mean  | -          | part of it for marginal losses in the feeder
dlmp_congestion_usd_per_mwh | USD/MWh      | bus         | f8 | -1e+09..1e+09   | market  | -                   | mean  | -          | part of it for limits of transformers and lines
account_kwh                | kWh           | account     | f8 | -               | market  | -                   | sum   | -          | energy that each party beside the vehicles drew; negative if it fed in
account_usd                | USD           | account     | f8 | -               | market  | -                   | sum   | -          | what that party pays; negative if it is paid
reserve_mw                 | MW            | -           | f8 | -               | market  | -                   | mean  | -          | capacity of all generators less the load; 0 with a tariff
response_pay_usd_per_mwh   | USD/MWh       | feeder      | f8 | 0..             | market  | -                   | mean  | -          | demand response: pay for what is drawn less than the baseline; 0 without an event
response_baseline_kw       | kW            | feeder      | f8 | -               | market  | -                   | mean  | -          | what the vehicles at the feeder are taken to draw without the event
response_delivered_kwh     | kWh           | feeder      | f8 | -               | market  | -                   | sum   | -          | what they drew less, no more than those plugged in held back; negative if they drew more
response_open_kwh          | kWh           | feeder      | f8 | -               | market  | -                   | end   | -          | delivered over the event under way
response_settled_kwh       | kWh           | feeder      | f8 | -               | market  | -                   | sum   | -          | delivered over the event that ends with the tick; paid if positive
response_begin_s           | s             | feeder      | f8 | -1..            | market  | agents              | end   | unrecorded | begin of the event under way or of the next that is known, in simulation time; -1 for none
response_end_s             | s             | feeder      | f8 | -1..            | market  | agents              | end   | unrecorded | its end
response_offer_usd_per_mwh | USD/MWh       | feeder      | f8 | 0..             | market  | agents              | end   | unrecorded | its pay
vehicle_response_usd       | USD           | vehicle     | f8 | 0..             | market  | agents              | sum   | -          | what the vehicle is paid for demand response
account_response_usd       | USD           | account     | f8 | 0..             | market  | -                   | sum   | -          | what each party pays for it
reserve_price_usd_per_mw_h | USD/MW/h      | -           | f8 | 0..             | market  | agents              | mean  | -          | price of the reserve that vehicles hold
vehicle_reserve_kw         | kW            | vehicle     | f8 | 0..2000         | market  | agents              | mean  | -          | by how much the vehicle's power could fall, as it is paid to keep it so, or is called to fall
vehicle_reserve_delivered_kw | kW          | vehicle     | f8 | 0..2000         | market  | -                   | mean  | -          | by how much a called vehicle's power fell below that before the call
vehicle_reserve_usd        | USD           | vehicle     | f8 | 0..             | market  | agents              | sum   | -          | what the vehicle is paid for its reserve
account_reserve_usd        | USD           | account     | f8 | 0..             | market  | -                   | sum   | -          | what each party pays for it
vehicle_called             | 1             | vehicle     | ?  | -               | market  | agents fleet+1      | end   | -          | the vehicle's reserve is called for the next tick
vehicle_call_kw            | kW            | vehicle     | f8 | -1000..1000     | market  | fleet+1             | end   | unrecorded | most that a called vehicle is to draw then; negative feeds back
# --- agents
request_vehicle            | index:vehicle | request     | i4 | -               | agents  | fleet+1             | end   | unrecorded | vehicle assigned to the request by this decision; -1 for none
vehicle_goto_station       | index:station | vehicle     | i4 | -               | agents  | fleet+1             | end   | unrecorded | order to drive to the station and plug in; -1 for none
vehicle_via_edge           | index:edge    | vehicle via | i4 | -               | agents  | fleet+1             | end   | unrecorded | edges to pass on the way to the destination of a trip that begins now, in order; -1 none
vehicle_charge_kw          | kW            | vehicle     | f8 | -1000..1000     | agents  | fleet+1             | end   | -          | set point at the plug while plugged in; negative feeds back
vehicle_target_soc         | 1             | vehicle     | f8 | 0..1            | agents  | fleet+1             | end   | -          | state of charge at which the vehicle unplugs
vehicle_reserve_usd_per_mw_h | USD/MW/h    | vehicle     | f8 | -1..            | agents  | market+1            | end   | unrecorded | price at which the vehicle offers to hold reserve; -1 for no offer
vehicle_bid_usd_per_mwh    | USD/MWh       | vehicle     | f8 | -100000..100000 | agents  | fleet+1             | end   | -          | most that the vehicle pays for what it draws, with market.bids
vehicle_ask_usd_per_mwh    | USD/MWh       | vehicle     | f8 | -100000..100000 | agents  | fleet+1             | end   | unrecorded | least that the vehicle wants for what it feeds back, with market.bids
decision_latency_ms        | ms            | -           | f8 | 0..             | agents  | -                   | end   | volatile   | wall time that the team took for this tick's decisions
"""


def _parsed(line: str) -> Signal:
    cells = [cell.strip() for cell in line.split("|")]
    name, unit, dims, dtype, span, producer, readers, over_tick, options, meaning = cells
    unit, _, index_of = unit.partition(":")
    low, _, high = span.partition("..") if span != "-" else ("", "", "")
    words = [] if readers == "-" else readers.split()
    return Signal(
        name=name,
        unit=unit,
        dims=() if dims == "-" else tuple(dims.split()),
        dtype=dtype,
        low=-1 if index_of else float(low or -np.inf),
        high=float(high or np.inf),
        index_of=index_of,
        producer=cast(Role, producer),
        readers=tuple(cast(Role, word) for word in words if not word.endswith("+1")),
        shifted=tuple(cast(Role, word[:-2]) for word in words if word.endswith("+1")),
        over_tick=cast(OverTick, over_tick),
        volatile="volatile" in options,
        recorded="unrecorded" not in options,
        meaning=meaning,
    )


def _of_every_role(role: Role) -> tuple[Signal, Signal]:
    events = Signal(
        f"{role}_events", "event", (EVENT_DIM,), role, (), (), "sum",
        f"what happened in {role}, one dictionary an event", recorded=False,
    )  # fmt: skip
    wall = Signal(
        f"{role}_wall_s", "s", (), role, (), (), "sum",
        f"wall time that the {role} engine took for the tick", low=0, volatile=True,
    )  # fmt: skip
    return events, wall


_TABLE: tuple[Signal, ...] = (
    *(_parsed(row) for row in _TABLE_TEXT.splitlines() if row and not row.startswith("#")),
    *(signal for role in ROLES[:-1] for signal in _of_every_role(role)),
)

SIGNALS: Mapping[str, Signal] = MappingProxyType({signal.name: signal for signal in _TABLE})
"""Every signal by name, in table order."""


def produced_by(role: Role) -> tuple[Signal, ...]:
    """Signals that `role` writes."""
    return tuple(s for s in _TABLE if s.producer == role)


def read_by(role: Role) -> tuple[Signal, ...]:
    """Signals that `role` reads, shifted ones included. The monitor reads every signal."""
    if role == "monitor":
        return _TABLE
    return tuple(s for s in _TABLE if role in s.readers or role in s.shifted)


def edges() -> Iterator[tuple[Role, Role, bool, tuple[Signal, ...]]]:
    """Yield (producer, reader, shifted, signals) for every connection of the world."""
    for producer in ROLES[:-1]:
        for reader in ROLES:
            for shifted in (False, True):
                signals = tuple(
                    s
                    for s in produced_by(producer)
                    if (reader in s.shifted if shifted else _reads_now(s, reader))
                )
                if signals:
                    yield producer, reader, shifted, signals


def _reads_now(signal: Signal, reader: Role) -> bool:
    return reader == "monitor" or reader in signal.readers


Ids = Mapping[str, tuple[str, ...]]
"""Ids of every dimension, in the fixed order of the arrays."""


def shape_of(signal: Signal, ids: Ids) -> tuple[int, ...]:
    """Shape of the array that carries `signal`."""
    return tuple([FIXED_DIMS.get(dim) or len(ids[dim]) for dim in signal.dims])


def markdown() -> str:
    """Return the reference page of the wire table, one line a signal: ``cosim/SIGNALS.md``."""
    title = (
        "# Signals\n\nEverything that crosses between simulators. Written from `cosim/signals.py` by "
        '`python -c "from cosim import signals; signals.write_page()"`.\n\n'
    )
    head = "| signal | unit | dimensions | from | to | over the tick | meaning |\n"
    rule = "|---|---|---|---|---|---|---|\n"
    rows = [
        f"| `{s.name}` | {s.unit} | {', '.join(s.dims) or '-'} | {s.producer} | "
        f"{', '.join([*s.readers, *(f'{r} (next tick)' for r in s.shifted)]) or 'record'} | "
        f"{s.over_tick} | {s.meaning} |\n"
        for s in _TABLE
    ]
    return title + head + rule + "".join(rows)


def write_page() -> None:
    """Write the reference page beside this module."""
    Path(__file__).with_name("SIGNALS.md").write_text(markdown(), encoding="utf-8")
