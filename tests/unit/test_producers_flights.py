"""The real flights: who is predicted, what is known then, and the instants of departures and arrivals."""

import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import pytest
from loopwatch.producers import flight_table, flights
from loopwatch.producers.client import Event
from loopwatch.producers.encoding import EventEncoder
from loopwatch.producers.flight_model import FEATURES, score_flights
from loopwatch.producers.flights import FlightReplay, flight_events
from loopwatch.schemas.config import load_config
from loopwatch.schemas.errors import LoopwatchError
from loopwatch.schemas.events import Action, Prediction
from loopwatch.schemas.outcomes import Kind
from pyarrow import csv
from sklearn.metrics import roc_auc_score

EXAMPLE_CONFIG = Path(__file__).parents[2] / "examples" / "loopwatch.yaml"


@pytest.fixture(scope="module")
def replay() -> FlightReplay:
    return flight_events()


@pytest.fixture(scope="module")
def events(replay: FlightReplay) -> list[Event]:
    return list(replay)


@pytest.fixture
def loaded(replay: FlightReplay, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes `flight_events` take what is loaded already."""
    monkeypatch.setattr(flights, "load_flights", lambda: replay.flights)
    monkeypatch.setattr(flights, "score_flights", lambda _: replay.scored)


def utc(*fields: int) -> datetime:
    return datetime(*fields, tzinfo=UTC)  # pyright: ignore[reportArgumentType]


def departures_of(flight: str, dest: str, near: datetime, events: list[Event]) -> list[Prediction]:
    """The predictions of a flight number to `dest` within twelve hours of `near`."""
    return [
        event
        for event in events
        if isinstance(event, Prediction)
        and event.entity_id == flight
        and (event.features or {})["dest"] == dest
        and abs(event.ts - near) < timedelta(hours=12)
    ]


def test_every_flight_from_march_on_is_predicted_and_every_one_that_arrived_has_an_arrival(
    replay: FlightReplay, events: list[Event]
):
    predictions = [event for event in events if isinstance(event, Prediction)]
    arrivals = [event for event in events if isinstance(event, Action)]
    # 336,776 flights less 51,955 of January and February; 6,473 of the rest were cancelled and 1,011 diverted.
    assert len(replay.flights) == 336_776
    assert (len(predictions), len(arrivals)) == (284_821, 284_821 - 6_473 - 1_011)
    assert (replay.predictions, replay.actions) == (len(predictions), len(arrivals))
    assert replay.size == replay.position == len(events)
    ids = {prediction.prediction_id for prediction in predictions}
    acted_on = {arrival.prediction_id for arrival in arrivals}
    assert (len(ids), len(acted_on)) == (len(predictions), len(arrivals))
    assert len({arrival.action_id for arrival in arrivals} | ids) == len(events)
    assert acted_on < ids
    new_york = ZoneInfo("America/New_York")
    assert {prediction.ts.astimezone(new_york).month for prediction in predictions} == set(range(3, 13))


def test_events_come_in_event_time_order_and_a_prediction_before_its_arrival(events: list[Event]):
    times = [event.ts for event in events]
    assert times == sorted(times)
    seen: set[str] = set()
    for event in events:
        if isinstance(event, Prediction):
            seen.add(event.prediction_id)
        else:
            assert event.prediction_id in seen


# New York is at -5 before 10 March and from 3 November on, at -4 between; scheduled and real times from the data.
@pytest.mark.parametrize(
    ("flight", "dest", "departure", "arrival", "delay_min"),
    [
        # 10:00 EDT; due 14:30 in Honolulu (-10), there at 13:59.
        ("HA51", "HNL", utc(2013, 7, 4, 14, 0), utc(2013, 7, 4, 23, 59), -31),
        # 6:45 EDT; due 9:08 in Phoenix, which keeps -7 in summer, there at 8:33.
        ("US15", "PHX", utc(2013, 7, 4, 10, 45), utc(2013, 7, 4, 15, 33), -35),
        # Overnight, to an airport that the package's list lacks: 21:55 EST; due 2:42 in San Juan (-4), there at 3:44.
        ("B6713", "SJU", utc(2013, 3, 10, 2, 55), utc(2013, 3, 10, 7, 44), 62),
        # Clocks went forward on the way: 21:45 EST; due 0:34 EST, there 89 minutes later, at 3:03 EDT.
        ("B635", "PBI", utc(2013, 3, 10, 2, 45), utc(2013, 3, 10, 7, 3), 89),
        # In the night when they went back: 21:40 EDT; due 0:40 in Los Angeles, still at -7, there at 0:43.
        ("AA185", "LAX", utc(2013, 11, 3, 1, 40), utc(2013, 11, 3, 7, 43), 3),
        # And the last minute of that day: 23:59 EDT; due 3:40 in San Juan (-4), there at 3:50.
        ("B61503", "SJU", utc(2013, 11, 3, 3, 59), utc(2013, 11, 3, 7, 50), 10),
    ],
)
def test_instants_of_flights_worked_out_by_hand(
    events: list[Event], flight: str, dest: str, departure: datetime, arrival: datetime, delay_min: int
):
    (prediction,) = departures_of(flight, dest, departure, events)
    (action,) = [e for e in events if isinstance(e, Action) and e.prediction_id == prediction.prediction_id]
    assert (prediction.ts, action.ts, action.value) == (departure, arrival, delay_min)
    assert action.attributes == {"late": delay_min > 15}
    assert (action.name, action.actor) == ("arrival", "system")


@pytest.mark.parametrize(
    ("flight", "dest", "departure"),
    [
        # Cancelled.
        ("EV4276", "BDL", utc(2013, 3, 2, 2, 45)),
        # Diverted: it left on time, and landed somewhere.
        ("DL951", "ATL", utc(2013, 3, 3, 23, 55)),
    ],
)
def test_a_flight_that_never_came_is_predicted_and_gets_no_action(
    events: list[Event], flight: str, dest: str, departure: datetime
):
    (prediction,) = departures_of(flight, dest, departure, events)
    assert prediction.ts == departure
    assert not [e for e in events if isinstance(e, Action) and e.prediction_id == prediction.prediction_id]


def test_clocks_at_the_destination_show_the_recorded_arrival_times(replay: FlightReplay):
    folder = flight_table._data_folder()
    zones = flight_table._zones(folder)
    with zipfile.ZipFile(folder / "flights.csv.zip") as archive, archive.open("flights.csv") as file:
        recorded = csv.read_csv(file, convert_options=csv.ConvertOptions(include_columns=["arr_time", "arr_delay"]))
    local = {airport: ZoneInfo(zone) for airport, zone in zones.items() if zone and "/" in zone}
    shown = recorded["arr_time"].to_pylist()
    dest = replay.flights.dest.to_pylist()
    off = []
    for row in np.flatnonzero(replay.flights.arrived).tolist():
        arrival = datetime.fromtimestamp(int(replay.flights.arrival_min[row]) * 60, local[dest[row]])
        if (arrival.hour, arrival.minute) != divmod(shown[row] % 2400, 100):
            off.append((row, arrival.hour, arrival.minute, shown[row]))
    # One flight landed in the hour that clocks skipped, and is recorded on the old clock.
    assert off == [(144_507, 3, 3, 203)]


def test_scheduled_departures_are_those_that_the_data_gives_in_utc(replay: FlightReplay):
    folder = flight_table._data_folder()
    with zipfile.ZipFile(folder / "flights.csv.zip") as archive, archive.open("flights.csv") as file:
        options = csv.ConvertOptions(include_columns=["time_hour", "minute"])
        table = csv.read_csv(file, convert_options=options)
    hours = table["time_hour"].cast("timestamp[s]").to_numpy().astype(np.int64)
    assert np.array_equal(hours // 60 + table["minute"].to_numpy(), replay.flights.departure_min)


def test_what_a_prediction_says_is_known_at_departure(replay: FlightReplay, events: list[Event]):
    prediction = next(event for event in events if isinstance(event, Prediction))
    features = prediction.features or {}
    assert set(features) == set(FEATURES)
    assert prediction.segments == {"origin": features["origin"], "carrier": features["carrier"]}
    # Whatever becomes of the flights from March on, the predictions are the same.
    table = replay.flights
    later = table.month > 2
    delays, arrivals = table.arr_delay_min.copy(), table.arrival_min.copy()
    delays[later], arrivals[later] = 500, arrivals[later] + 1000
    scored = score_flights(msgspec.structs.replace(table, arr_delay_min=delays, arrival_min=arrivals))
    assert np.array_equal(scored.late_probability, replay.scored.late_probability)
    assert scored.threshold == replay.scored.threshold


def test_the_classifier_is_modest_and_calibrated(replay: FlightReplay):
    table, probability = replay.flights, replay.scored.late_probability
    scored = (table.month > 2) & table.arrived
    late = table.arr_delay_min > 15
    assert 0.61 < roc_auc_score(late[scored], probability[scored]) < 0.66
    for month in range(3, 13):
        of_month = scored & (table.month == month)
        assert roc_auc_score(late[of_month], probability[of_month]) > 0.57, month
    assert abs(probability[scored].mean() - late[scored].mean()) < 0.03
    called_late = probability[scored] >= replay.scored.threshold
    assert abs(called_late.mean() - late[scored].mean()) < 0.05


def test_every_event_is_one_that_the_stream_takes(events: list[Event]):
    predictions, actions = EventEncoder(Prediction), EventEncoder(Action)
    for event in events[::50]:
        _, read = predictions.encode(event) if isinstance(event, Prediction) else actions.encode(event)
        assert read == event


def test_the_same_replay_gives_the_same_events(replay: FlightReplay, events: list[Event]):
    assert all(event == again for event, again in zip(events, replay, strict=True))


@pytest.mark.usefixtures("loaded")
def test_a_part_of_the_flights_gives_the_same_events_as_all_of_them(events: list[Event]):
    part = flight_events(limit=1000, months=[7])
    in_july = list(part)
    assert part.predictions == 1000
    everything = {e.action_id if isinstance(e, Action) else e.prediction_id: e for e in events}
    for event in in_july:
        assert everything[event.action_id if isinstance(event, Action) else event.prediction_id] == event
    assert in_july[0].ts == utc(2013, 7, 1, 9, 0)


def test_months_of_the_training_are_refused():
    with pytest.raises(ValueError, match=r"months \[2, 13\]"):
        flight_events(months=[2, 3, 13])


def test_without_the_package_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(flight_table, "find_spec", lambda name: None)
    with pytest.raises(LoopwatchError, match=r"pip install 'loopwatch\[flights\]'"):
        flight_events()


def test_the_example_configuration_waits_long_enough_for_every_arrival(replay: FlightReplay):
    model = load_config(EXAMPLE_CONFIG).models[flights.MODEL]
    (outcome,) = model.outcomes
    assert (model.kind, model.segments) == (Kind.CLASSIFICATION, ("origin", "carrier"))
    assert outcome.names(flights.ACTION)
    table = replay.flights
    after = (table.arrival_min - table.departure_min)[table.arrived]
    assert after.min() > 0
    assert timedelta(minutes=int(after.max())) < outcome.window == timedelta(days=3)
