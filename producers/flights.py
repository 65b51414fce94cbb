"""The replay of real flights: a late-arrival classifier's predictions for March to December 2013, and what came.

- Model `flights-late`: at scheduled departure it says whether the flight will arrive late, by more than 15 minutes.
- Action `arrival`, at the instant of the real arrival: its value is the arrival delay in minutes, negative when early.
  As a label for accuracy or AUC, take ``label_value > 15``; the attribute `late` says the same.
- A flight that is cancelled or diverted never gets an action.

The same call gives the same events with the same ids: replaying twice counts nothing twice.
"""

from collections.abc import Collection, Iterator
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
from msgspec import Struct

from ..schemas.events import Action, Prediction
from .client import Event
from .flight_model import LATE_AFTER_MIN, TRAINING_MONTHS, ScoredFlights, score_flights
from .flight_table import FlightTable, Ints, load_flights
from .uuid7 import uuid7_of

MODEL = "flights-late"
VERSION = "2013-02"
ACTION = "arrival"
# Rows are made into events so many at a time.
_CHUNK = 8192


class FlightReplay(Struct):
    """A replay source: predictions and arrivals, merged in event-time order (a prediction first, where they tie)."""

    flights: FlightTable
    scored: ScoredFlights
    rows: Ints
    """The flights predicted, as rows of the table."""
    position: int = 0
    name: str = "flights"
    invalid: int = 0

    @property
    def size(self) -> int:
        """Number of events."""
        return self.predictions + self.actions

    @property
    def predictions(self) -> int:
        """Number of predictions: one for every flight, flown or not."""
        return len(self.rows)

    @property
    def actions(self) -> int:
        """Number of arrivals: flights that were neither cancelled nor diverted."""
        return int(self.flights.arrived[self.rows].sum())

    def __iter__(self) -> Iterator[Event]:
        """Every event, in order. Several thousand at a time are in memory."""
        arrived = self.rows[self.flights.arrived[self.rows]]
        minutes = np.concatenate([self.flights.departure_min[self.rows], self.flights.arrival_min[arrived]])
        rows = np.concatenate([self.rows, arrived])
        order = np.argsort(minutes, kind="stable")
        self.position = 0
        for start in range(0, len(order), _CHUNK):
            chunk = order[start : start + _CHUNK]
            columns = _Columns(self.flights, self.scored, rows[chunk])
            for index, is_prediction in enumerate((chunk < len(self.rows)).tolist()):
                self.position += 1
                yield columns.prediction(index) if is_prediction else columns.arrival(index)


def flight_events(limit: int | None = None, months: Collection[int] | None = None) -> FlightReplay:
    """Load the flights, train the classifier, and return the replay; takes a few seconds.

    Args:
        limit: only so many flights, the first by scheduled departure.
        months: only flights scheduled in these (3 to 12); all of them when left out.

    Raises:
        LoopwatchError: the extra `flights` isn't installed.
        ValueError: a month that the classifier was trained on, or that is none.
    """
    scorable = range(max(TRAINING_MONTHS) + 1, 13)
    if odd := set(months or ()).difference(scorable):
        raise ValueError(f"months {sorted(odd)}: the flights are replayed from {scorable[0]} to {scorable[-1]}")
    flights = load_flights()
    rows = np.flatnonzero(np.isin(flights.month, list(months or scorable)))
    rows = rows[np.argsort(flights.departure_min[rows], kind="stable")][:limit]
    return FlightReplay(flights, score_flights(flights), rows)


class _Columns:
    """The values of some rows as Python objects."""

    def __init__(self, flights: FlightTable, scored: ScoredFlights, rows: Ints) -> None:
        self.row = rows.tolist()
        self.carrier = _texts(flights.carrier, rows)
        self.flight = flights.flight[rows].tolist()
        self.origin = _texts(flights.origin, rows)
        self.dest = _texts(flights.dest, rows)
        self.distance_miles = flights.distance_miles[rows].tolist()
        self.departure_hour = flights.departure_hour[rows].round(2).tolist()
        self.arrival_hour = flights.arrival_hour[rows].round(2).tolist()
        self.duration_min = flights.duration_min[rows].tolist()
        self.weekday = flights.weekday[rows].tolist()
        self.departure_min = flights.departure_min[rows].tolist()
        self.arrival_min = flights.arrival_min[rows].tolist()
        self.delay_min = np.nan_to_num(flights.arr_delay_min[rows]).astype(np.int64).tolist()
        self.score = scored.late_probability[rows].tolist()
        self.called_late = (scored.late_probability[rows] >= scored.threshold).tolist()

    def prediction(self, i: int) -> Prediction:
        ts = _instant(self.departure_min[i])
        return Prediction(
            prediction_id=uuid7_of(ts, self.row[i], MODEL),
            model=MODEL,
            ts=ts,
            version=VERSION,
            entity_id=f"{self.carrier[i]}{self.flight[i]}",
            prediction=self.called_late[i],
            score=self.score[i],
            features={
                "carrier": self.carrier[i],
                "origin": self.origin[i],
                "dest": self.dest[i],
                "distance_miles": self.distance_miles[i],
                "departure_hour": self.departure_hour[i],
                "arrival_hour": self.arrival_hour[i],
                "duration_min": self.duration_min[i],
                "weekday": self.weekday[i],
            },
            segments={"origin": self.origin[i], "carrier": self.carrier[i]},
        )

    def arrival(self, i: int) -> Action:
        ts = _instant(self.arrival_min[i])
        return Action(
            action_id=uuid7_of(ts, self.row[i], ACTION),
            prediction_id=uuid7_of(_instant(self.departure_min[i]), self.row[i], MODEL),
            name=ACTION,
            ts=ts,
            value=self.delay_min[i],
            actor="system",
            attributes={"late": self.delay_min[i] > LATE_AFTER_MIN},
        )


def _texts(column: pa.DictionaryArray, rows: Ints) -> list[str]:
    # Ten times quicker than pyarrow's own way to Python, which makes a scalar of each entry.
    names = np.array(column.dictionary.to_pylist(), dtype=object)
    return names[column.indices.to_numpy()[rows]].tolist()


def _instant(minutes: int) -> datetime:
    return datetime.fromtimestamp(minutes * 60, UTC)
