"""The hotel bookings as predictions made at booking, and labels that come with check-out, cancellation or no-show."""

import csv
import gzip
from datetime import date, timedelta

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from .shared_data import shared_file

FIRST_DAY = date(2015, 7, 1)
DAY_S = 86_400.0
FILE = "hotel/hotel_bookings.csv.gz"
"""Antonio, Almeida and Nunes, "Hotel booking demand datasets", Data in Brief 2019."""
_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
_NUMBERS = (
    "lead_time", "arrival_date_week_number", "stays_in_weekend_nights", "stays_in_week_nights", "adults", "children",
    "babies", "is_repeated_guest", "previous_cancellations", "previous_bookings_not_canceled", "adr",
    "required_car_parking_spaces", "total_of_special_requests",
)  # fmt: skip
# Left out as known only later: is_canceled, reservation_status, assigned_room_type, booking_changes,
# days_in_waiting_list, and country, which is put right at check-in.
_TEXTS = (
    "hotel", "arrival_date_month", "meal", "market_segment", "distribution_channel", "reserved_room_type",
    "deposit_type", "agent", "company", "customer_type",
)  # fmt: skip


class Bookings(Struct, frozen=True):
    """Bookings in the order in which they were made: days since `FIRST_DAY`, and what was known of each then."""

    made_d: NDArray[np.int64]
    delay_d: NDArray[np.int64]
    numbers: dict[str, NDArray[np.float64]]
    texts: dict[str, NDArray[np.object_]]

    @property
    def last_label_d(self) -> int:
        """The day of the last label."""
        return int((self.made_d + self.delay_d).max())


def read_bookings() -> Bookings:
    """The bookings made from `FIRST_DAY` on: earlier ones are there only if they were for later."""
    with gzip.open(shared_file(FILE), "rt", encoding="utf-8", newline="") as lines:
        rows = [(_made(row), row) for row in csv.DictReader(lines)]
    rows = sorted((each for each in rows if each[0] >= FIRST_DAY), key=lambda each: each[0])
    answered = [date.fromisoformat(row["reservation_status_date"]) for _, row in rows]
    made = [day for day, _ in rows]
    return Bookings(
        np.array([(day - FIRST_DAY).days for day in made]),
        np.array([max(0, (after - day).days) for day, after in zip(made, answered, strict=True)]),
        {name: np.array([_number(row[name]) for _, row in rows]) for name in _NUMBERS},
        {name: np.array([_text(row[name]) for _, row in rows], dtype=object) for name in _TEXTS},
    )


def _made(row: dict[str, str]) -> date:
    arrival = date(
        int(row["arrival_date_year"]),
        _MONTHS.index(row["arrival_date_month"]) + 1,
        int(row["arrival_date_day_of_month"]),
    )
    return arrival - timedelta(days=int(row["lead_time"]))


def _number(text: str) -> float:
    return float("nan") if text in ("", "NA", "NULL") else float(text)


def _text(text: str) -> str:
    return "" if text in ("NA", "NULL") else text.strip()
