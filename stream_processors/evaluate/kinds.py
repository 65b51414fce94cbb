"""What a model does, where nobody says so: by what its labels and predictions look like."""

from msgspec import Struct

from ...infra.clickhouse import ClickHouse, quote
from ...schemas.errors import LoopwatchError
from ...schemas.outcomes import Kind, Outcome


class Evidence(Struct, frozen=True):
    """Whether such a label was ever seen."""

    not_two_classes: bool = False
    """Neither true nor false, 1 nor 0."""
    not_numbers: bool = False
    """No number, or beside a prediction that is none."""
    not_beside_booleans: bool = False
    scored: bool = False

    def __or__(self, other: "Evidence") -> "Evidence":
        """Of both."""
        return Evidence(*(getattr(self, name) or getattr(other, name) for name in self.__struct_fields__))


def evidence_of(
    clickhouse: ClickHouse, model: str, outcome: Outcome, table: str = "feedback_current", since: str = "1"
) -> Evidence:
    """What the labels of the outcome are; those that the condition `since` holds for."""
    ((not_two, not_numbers, not_booleans, scored),) = clickhouse.rows(
        "SELECT countIf(label IS NOT NULL AND ifNull(label_value, 2) NOT IN (0, 1)) > 0, "
        "countIf(label IS NOT NULL AND (label_value IS NULL OR prediction_value IS NULL)) > 0, "
        "countIf(label IS NOT NULL AND ifNull(prediction, '') NOT IN ('true', 'false')) > 0, "
        f"countIf(score IS NOT NULL) > 0 FROM {clickhouse.database}.{table} "
        f"WHERE model = {quote(model)} AND outcome = {quote(outcome.name)} AND {since}"
    )
    return Evidence(*map(bool, (not_two, not_numbers, not_booleans, scored)))


def kind_by(evidence: Evidence, model: str, outcome: Outcome) -> Kind:
    """Two classes are a classification, numbers beside predicted numbers a regression, else there are several classes.

    Raises:
        LoopwatchError: true and false were predicted, and nothing says which of the labels are true.
    """
    if outcome.positive is not None or not evidence.not_two_classes:
        return Kind.CLASSIFICATION
    if not evidence.not_beside_booleans:
        raise LoopwatchError(
            f"model {model} predicts true and false, but its labels are more than two: say which are true, "
            f"by `positive` of outcome {outcome.name} in loopwatch.yaml"
        )
    return Kind.MULTICLASS if evidence.not_numbers or evidence.scored else Kind.REGRESSION
