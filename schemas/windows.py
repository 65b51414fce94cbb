"""What puts a labelled prediction into a window of time."""

from enum import StrEnum


class TimeOf(StrEnum):
    """Whose time counts."""

    PREDICTION = "prediction"
    """When it was made: a cohort, whose metrics are restated as its labels come."""
    LABEL = "label"
    """When the action that decides its label happened: what just became known."""
