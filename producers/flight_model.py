"""A classifier of late arrivals, trained on January and February, and its probabilities for every flight.

It knows what is known at scheduled departure: who flies, from where to where and how far, and the schedule. Neither the
weather nor how late the flight left. So it is a modest model (AUC about 0.63 later in the year), as real ones are.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from ..schemas.errors import LoopwatchError
from .flight_table import FlightTable, Floats

if TYPE_CHECKING:
    from sklearn.ensemble import HistGradientBoostingClassifier

LATE_AFTER_MIN = 15
"""A flight that arrives more than so many minutes after schedule is late."""
TRAINING_MONTHS = (1, 2)
FEATURES = (
    "carrier",
    "origin",
    "dest",
    "distance_miles",
    "departure_hour",
    "arrival_hour",
    "duration_min",
    "weekday",
)
_SETTINGS: dict[str, Any] = {
    "categorical_features": [0, 1, 2],
    "max_iter": 60,
    "learning_rate": 0.05,
    "min_samples_leaf": 200,
    "early_stopping": False,
    "random_state": 0,
}


class ScoredFlights(Struct, frozen=True):
    """The probability of being late for every flight of the table; from `threshold` on, a flight is called late."""

    late_probability: Floats
    threshold: float


def score_flights(flights: FlightTable) -> ScoredFlights:
    """Train and score: a few seconds. Flights of the training months get a score too; don't evaluate on those.

    The threshold makes the model call as many flights late in February as then were, learning from January alone.

    Raises:
        LoopwatchError: scikit-learn isn't installed.
    """
    columns = _matrix(flights)
    late = flights.arr_delay_min > LATE_AFTER_MIN
    # A flight that left in February and arrived in March has no known outcome yet when the first one is scored.
    first_scored = flights.departure_min[flights.month > max(TRAINING_MONTHS)].min()
    known = flights.arrived & (flights.arrival_min < first_scored) & np.isin(flights.month, TRAINING_MONTHS)
    january, february = known & (flights.month == 1), known & (flights.month == 2)
    in_february = _fit(columns[january], late[january]).predict_proba(columns[february])[:, 1]
    threshold = float(np.quantile(in_february, 1 - late[february].mean()))
    probability = _fit(columns[known], late[known]).predict_proba(columns)[:, 1]
    # Rounded, so that another machine's last bits make no other event.
    return ScoredFlights(np.round(probability, 6), round(threshold, 6))


def _matrix(flights: FlightTable) -> Floats:
    arrays = [getattr(flights, name) for name in FEATURES]
    plain = [array if isinstance(array, np.ndarray) else array.indices.to_numpy() for array in arrays]
    return np.column_stack(plain).astype(np.float64)


def _fit(columns: Floats, late: npt.NDArray[np.bool_]) -> "HistGradientBoostingClassifier":
    try:
        from sklearn.ensemble import HistGradientBoostingClassifier
    except ImportError as exc:
        raise LoopwatchError("the flights' classifier needs scikit-learn: pip install 'loopwatch[flights]'") from exc
    return HistGradientBoostingClassifier(**_SETTINGS).fit(columns, late)
