"""Evidently's tests of one column, chosen as its defaults choose them."""

import os

import numpy as np
import pandas as pd

# It would tell its makers that it was used.
os.environ.setdefault("DO_NOT_TRACK", "1")

from evidently.legacy.calculations.stattests import get_stattest
from evidently.legacy.core import ColumnType


def is_drifted(reference: np.ndarray, current: np.ndarray, is_numeric: bool) -> bool:
    """What its ValueDrift and DataDriftPreset say of a column."""
    kind = ColumnType.Numerical if is_numeric else ColumnType.Categorical
    before, after = pd.Series(reference), pd.Series(current)
    return bool(get_stattest(before, after, kind, None)(before, after, kind, None).drifted)
