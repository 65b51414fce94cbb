"""``loopwatch explain``: which slices of a model explain that a mean changed."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

import typer

from ...schemas.errors import LoopwatchError
from ..model_windows import outcome_of
from ..options import ConfigFile, config_of, settings_with
from ..stretches import span_of
from ..tabular import Format, print_report

# Standard errors to either side, within which the difference of two means lies in 95 %.
_LEVEL = 1.96


class Mean(StrEnum):
    """The mean of what."""

    LOSS = "loss"
    LABEL = "label"
    SCORE = "score"
    PREDICTION = "prediction"
    LATENCY = "latency_ms"
    COST = "cost_usd"


def explain(
    model: Annotated[str, typer.Argument(help="Name of the model.")],
    since: Annotated[datetime | None, typer.Option("--from", help="Begin of the stretch in question (UTC).")] = None,
    until: Annotated[datetime | None, typer.Option("--to", help="Its end, exclusive.")] = None,
    against_since: Annotated[
        datetime | None, typer.Option("--against-from", help="Begin of what it is compared with; by default")
    ] = None,
    against_until: Annotated[
        datetime | None, typer.Option("--against-to", help="as much time just before. Its end, exclusive.")
    ] = None,
    metric: Annotated[Mean, typer.Option(help="The mean of what.")] = Mean.LOSS,
    by: Annotated[
        list[str] | None,
        typer.Option(
            help="version, a segment, variants.EXPERIMENT or features.NAME; version and all segments unless you say."
        ),
    ] = None,
    outcome: Annotated[str | None, typer.Option(help="Outcome of the model; the first one unless you say.")] = None,
    format_: Annotated[Format, typer.Option("--format", "-f", help="How to print it.")] = Format.TABLE,
    config: ConfigFile = None,
) -> None:
    """Print which slices explain that the mean loss of a model changed (or its mean label, score, …).

    A slice explains by `mix` (there is more or less of it) and by what changed `within` it; slices of a key sum to the
    change. Labels count from when they became known on. A loss is an error (0 or 1), or the absolute one of numbers.
    """
    span = span_of(since, until)
    against = span.before
    if against_since is not None or against_until is not None:
        against = span_of(against_since, against_until, "--against-from, --against-to")
    if against.since < span.until and span.since < against.until:
        raise LoopwatchError(f"{span} and {against} overlap")
    settings = settings_with(config)
    models = config_of(settings)

    from ...infra.clickhouse import ClickHouse
    from ...stream_processors.evaluate.quality import infer_kind
    from ...stream_processors.evaluate.slices import VERSION
    from ...stream_processors.evaluate.windows import Windows
    from ...stream_processors.monitor import explained
    from ..explain_view import explanation

    clickhouse = ClickHouse(settings)
    question = explained.Question(model, metric.value, span, against)
    if metric.value in explained.OF_LABELS:
        chosen = outcome_of(clickhouse, models, model, outcome)
        kind = models.for_model(model).kind or infer_kind(clickhouse, Windows(model, chosen))
        question = explained.Question(model, metric.value, span, against, chosen, kind)
    change = explained.whole(clickhouse, question)
    for part, stretch in ((change.before, against), (change.since, span)):
        if not part.n:
            raise LoopwatchError(f"{model} has no {metric.value} from {stretch}")
    keys = tuple(by) if by else explained.keys_of(clickhouse, question)
    found = [explained.explain(clickhouse, question, key) for key in keys]
    for each in found:
        if by and each.key != VERSION and not any(slice_.name for slice_ in each.slices):
            known = ", ".join(explained.keys_of(clickhouse, question))
            raise LoopwatchError(
                f"--by {each.key}: no row has it; there are {known}, variants.EXPERIMENT, features.NAME"
            )
    print_report(explanation(change.before, change.since, found), format_)
    if format_ is Format.TABLE:
        size = f"{change.since.mean - change.before.mean:+.4g} ± {_LEVEL * change.error:.2g}"
        typer.echo(f"mean {metric.value} {size}: {span} against {against}")
