"""What a model does, where nobody says so: by what its labels and predictions look like."""

from msgspec import Struct

from ...infra.clickhouse import ClickHouse
from ...schemas.errors import LoopwatchError
from ...schemas.outcomes import Kind, Outcome

Outcomes = tuple[str, str]


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


def evidence_of(clickhouse: ClickHouse, condition: str, table: str = "feedback_current") -> dict[Outcomes, Evidence]:
    """What the labels are of rows for which a condition holds, by (model, outcome)."""
    return {
        (model, outcome): Evidence(*map(bool, seen))
        for model, outcome, *seen in clickhouse.rows(
            "SELECT model, outcome, countIf(label IS NOT NULL AND ifNull(label_value, 2) NOT IN (0, 1)) > 0, "
            "countIf(label IS NOT NULL AND (label_value IS NULL OR prediction_value IS NULL)) > 0, "
            "countIf(label IS NOT NULL AND ifNull(prediction, '') NOT IN ('true', 'false')) > 0, "
            f"countIf(score IS NOT NULL) > 0 FROM {clickhouse.database}.{table} WHERE {condition} "
            "GROUP BY model, outcome"
        )
    }


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
