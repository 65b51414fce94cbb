"""The data sets: hotel bookings, flights, and the price of electricity."""

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from loopwatch.producers.flight_model import LATE_AFTER_MIN, TRAINING_MONTHS, score_flights
from loopwatch.producers.flight_table import load_flights
from pyarrow import csv
from sklearn.ensemble import HistGradientBoostingClassifier

from ..hotel import FILE
from ..shared_data import shared_file
from .stream import DAY_US, NEVER_US, Floats, Ints, Stream, apart

# What is known when a room is booked, without the calendar: half a year says nothing of seasons.
_BOOKING_NUMBERS = (
    "lead_time", "stays_in_weekend_nights", "stays_in_week_nights", "adults", "children", "babies", "is_repeated_guest",
    "previous_cancellations", "previous_bookings_not_canceled", "adr", "total_of_special_requests",
)  # fmt: skip
_BOOKING_CLASSES = (
    "hotel", "meal", "country", "market_segment", "distribution_channel", "reserved_room_type", "deposit_type",
    "customer_type",
)  # fmt: skip
_MONTHS = tuple(datetime(2000, month, 1).strftime("%B") for month in range(1, 13))
_MINUTE_US = 60_000_000


def hotel() -> Stream:
    """Will a booking be cancelled? Known at a cancellation, or when the guests leave: after 39 days (median).

    Trained on bookings of July to December 2015, with labels known by July 2016, when the model begins. The reference
    is bookings of January to June 2016. A label of a day is known when the day is over.
    """
    table = csv.read_csv(
        shared_file(FILE),
        convert_options=csv.ConvertOptions(null_values=["NULL", "NA"], strings_can_be_null=False),
    )
    arrival = [
        np.datetime64(f"{year}-{_MONTHS.index(month) + 1:02d}-{day:02d}")
        for year, month, day in zip(
            *(table[f"arrival_date_{part}"].to_pylist() for part in ("year", "month", "day_of_month")), strict=True
        )
    ]
    made = np.array(arrival, "datetime64[D]").astype(np.int64) - table["lead_time"].to_numpy()
    known = np.array([str(day) for day in table["reservation_status_date"].to_pylist()], "datetime64[D]")
    order = np.argsort(made, kind="stable")
    order = order[made[order] * DAY_US >= _us(2015, 7, 1)]
    made_us = apart(made[order] * DAY_US)
    known_us = np.maximum(made_us, (known.astype(np.int64)[order] + 1) * DAY_US - 1)
    positive = table["is_canceled"].to_numpy()[order] == 1
    codes = [_codes(table[name]) for name in _BOOKING_CLASSES]
    columns = np.column_stack([*codes, *(table[name].to_numpy() for name in _BOOKING_NUMBERS)])[order]
    reference_us, begin_us = _us(2016, 1, 1), _us(2016, 7, 1)
    classifier = HistGradientBoostingClassifier(
        categorical_features=list(range(len(codes))), min_samples_leaf=50, early_stopping=False, random_state=0
    )
    training = (made_us < reference_us) & (known_us < begin_us)
    score = classifier.fit(columns[training], positive[training]).predict_proba(columns)[:, 1]
    segments = {
        name: np.array(table[name].to_pylist())[order].tolist() for name in ("hotel", "market_segment", "deposit_type")
    }
    return Stream("hotel bookings", made_us, known_us, score, score >= 0.5, positive, segments, reference_us, begin_us)


def flights() -> Stream:
    """Will a flight be late? Known when it has landed; never of the cancelled ones. The project's own replay and model.

    Trained on January and February 2013; the reference is March and April.
    """
    table = load_flights()
    scored = score_flights(table)
    order = np.argsort(table.departure_min, kind="stable")
    order = order[table.month[order] > max(TRAINING_MONTHS)]
    made_us = apart(table.departure_min[order] * _MINUTE_US)
    known_us = np.where(table.arrived[order], table.arrival_min[order] * _MINUTE_US, NEVER_US)
    score = scored.late_probability[order]
    segments = {"origin": _texts(table.origin, order), "carrier": _texts(table.carrier, order)}
    positive = table.arr_delay_min[order] > LATE_AFTER_MIN
    begin_us = _us(2013, 5, 1)
    return Stream(
        "flights", made_us, known_us, score, score >= scored.threshold, positive, segments, int(made_us[0]), begin_us
    )


def electricity() -> Stream:
    """Will the price rise? Every half hour from 7 May 1996; the label is taken as known a day later. No segments.

    Trained on the first half-year; the reference is the second one.
    """
    table = csv.read_csv(shared_file("drift/elec.csv"))
    columns = np.column_stack([table[name].to_numpy() for name in table.column_names if name != "class"])
    positive = table["class"].to_numpy() == 1
    made_us = _us(1996, 5, 7) + np.arange(len(positive)) * 30 * _MINUTE_US
    half_year = 182 * 48
    classifier = HistGradientBoostingClassifier(min_samples_leaf=50, early_stopping=False, random_state=0)
    score = classifier.fit(columns[: half_year - 48], positive[: half_year - 48]).predict_proba(columns)[:, 1]
    reference_us, begin_us = int(made_us[half_year]), int(made_us[2 * half_year])
    return Stream("electricity", made_us, made_us + DAY_US, score, score >= 0.5, positive, {}, reference_us, begin_us)


STREAMS = {"hotel": hotel, "flights": flights, "electricity": electricity}


def _us(year: int, month: int, day: int) -> int:
    return int(datetime(year, month, day, tzinfo=UTC).timestamp()) * 1_000_000


def _codes(column: pa.ChunkedArray) -> Floats:
    return pc.cast(column, pa.string()).combine_chunks().dictionary_encode().indices.to_numpy().astype(np.float64)


def _texts(column: pa.DictionaryArray, rows: Ints) -> list[str]:
    return np.array(column.dictionary.to_pylist())[column.indices.to_numpy()[rows]].tolist()
