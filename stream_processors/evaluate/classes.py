"""Which of two classes a row is of, in SQL: what happened, and what was predicted. One rule for all metrics."""

from ...infra.clickhouse import quote
from ...schemas.outcomes import Positive


def is_positive(positive: Positive | None) -> str:
    """SQL condition that a row with a label is of the positive class: true or 1, or what `positive` says."""
    if positive is None:
        return "assumeNotNull(label_value) = 1"
    if positive.comparison is None:
        return f"assumeNotNull(label) = {quote(positive.text)}"
    return f"assumeNotNull(label_value) {positive.comparison} {positive.bound!r}"


def has_label(positive: Positive | None) -> str:
    """SQL condition that a row of feedback has a label that `is_positive` can judge."""
    if positive is None:
        return "label_value IN (0, 1)"
    return "label IS NOT NULL" if positive.comparison is None else "label_value IS NOT NULL"


def predicted(positive: Positive | None) -> str:
    """SQL of 1 or 0 for the class that was predicted, NULL where nothing says so.

    True and false are the class. Then: a text is compared with the positive one, a number held against its bound, or
    taken as the class if it is 1 or 0. Else the score decides, at a half.
    """
    by_score = "if(score IS NULL, NULL, score >= 0.5)"
    truth = "prediction IN ('true', 'false'), prediction = 'true'"
    if positive is None:
        return f"multiIf({truth}, prediction_value IN (0, 1), prediction_value = 1, {by_score})"
    if positive.comparison is None:
        return f"multiIf({truth}, prediction IS NOT NULL, prediction = {quote(positive.text)}, {by_score})"
    compared = f"prediction_value {positive.comparison} {positive.bound!r}"
    return f"multiIf({truth}, prediction_value IS NOT NULL, {compared}, {by_score})"
