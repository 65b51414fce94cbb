"""``loopwatch metrics``: how good a model was, window by window, and where it was not."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

import typer

from ...schemas.errors import LoopwatchError
from ...schemas.windows import TimeOf
from ..model_windows import EVER, outcome_of, utc, window_of
from ..options import ConfigFile, config_of, settings_with
from ..tabular import Format, print_report


class Show(StrEnum):
    """What is shown of a model."""

    METRICS = "metrics"
    REVISIONS = "revisions"
    ESTIMATES = "estimates"
    RELIABILITY = "reliability"
    CONFUSION = "confusion"
    WORST = "worst"


def metrics(
    model: Annotated[str, typer.Argument(help="Name of the model.")],
    show: Annotated[
        Show,
        typer.Option(
            help="metrics of each window; its revisions in table metrics; estimates before its labels come; or of the "
            "whole time the reliability curve, the confusion matrix, or the worst slices."
        ),
    ] = Show.METRICS,
    outcome: Annotated[str | None, typer.Option(help="Outcome of the model; the first one unless you say.")] = None,
    window: Annotated[
        str, typer.Option(help="Size of a window, such as 15m, 1h, 1d; sliding with a step, as in 7d/1d.")
    ] = "1d",
    by: Annotated[
        TimeOf, typer.Option(help="prediction: cohorts, restated as labels come; label: what just became known.")
    ] = TimeOf.PREDICTION,
    since: Annotated[datetime | None, typer.Option("--from", help="Begin here (UTC).")] = None,
    until: Annotated[datetime | None, typer.Option("--to", help="End before this (UTC).")] = None,
    segment: Annotated[
        str | None, typer.Option(help="Slice by a key of the segments, by version, or by variants.EXPERIMENT.")
    ] = None,
    metric: Annotated[
        str | None, typer.Option(help="For worst (accuracy, or mae, unless you say) and revisions (all).")
    ] = None,
    format_: Annotated[
        Format, typer.Option("--format", "-f", help="json and csv have a row a metric, with its interval.")
    ] = Format.TABLE,
    config: ConfigFile = None,
) -> None:
    """Print how good a model was in each window, on how many labels that rests, and how complete they are.

    The kind of the model decides which metrics there are: that of `loopwatch.yaml`, or what its labels look like.
    Which labels are the positive class says `positive` of the outcome; without it, true and 1. The model's indicators
    (`kpis`) are beside its metrics.
    """
    size = window_of(window)
    settings = settings_with(config)
    models = config_of(settings)

    from ...infra.clickhouse import ClickHouse
    from ...stream_processors.evaluate.kpis import beside, kpis
    from ...stream_processors.evaluate.quality import quality
    from ...stream_processors.evaluate.slices import Slicing
    from ...stream_processors.evaluate.windows import Windows
    from .. import metrics_view as view

    clickhouse = ClickHouse(settings)
    chosen = outcome_of(clickhouse, models, model, outcome)
    slicing = Slicing() if segment is None else Slicing((segment,))
    if show is Show.WORST:
        slicing = Slicing(slicing.keys or models.for_model(model).segments, every=True)
    wanted = EVER if show in (Show.RELIABILITY, Show.CONFUSION, Show.WORST) else size
    windows = Windows(model, chosen, wanted, by, utc(since), utc(until), slicing)
    if show is Show.REVISIONS:
        print_report(view.revisions(clickhouse, windows, metric), format_)
        return
    of_model = models.for_model(model)
    if show is Show.ESTIMATES:
        print_report(view.estimates(clickhouse, windows, of_model.kind), format_)
        return
    found = beside(quality(clickhouse, windows, of_model.kind), kpis(clickhouse, windows, of_model.kpis))
    if show is Show.METRICS:
        found = view.with_final_shares(clickhouse, windows, found)
    if not found:
        raise LoopwatchError(f"model {model} has nothing for outcome {chosen.name} in that time")
    match show:
        case Show.RELIABILITY:
            report = view.reliability(found)
        case Show.CONFUSION:
            report = view.confusion(found)
        case Show.WORST:
            report = view.worst_slices(found, metric)
        case _ if format_ is Format.TABLE:
            report = view.wide(found, of_cohorts=by is TimeOf.PREDICTION, sliced=segment is not None)
        case _:
            report = view.long(found)
    print_report(report, format_)
