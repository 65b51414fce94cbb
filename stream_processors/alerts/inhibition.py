"""Alerts whose cause is known, because that fires as well, or did until a while ago."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from ...schemas.alerting import Inhibition
from ...schemas.alerts import Alert
from ...schemas.matchers import all_hold

_NOT_OVER = datetime.max.replace(tzinfo=UTC)


def inhibited(alerts: Sequence[Alert], inhibitions: Sequence[Inhibition], now: datetime) -> dict[str, str]:
    """Fingerprints of alerts that are not told because of another one that fires, with the fingerprint of that.

    As in Alertmanager an alert that both sides of an inhibition hold of is not inhibited by others like it, so no two
    silence each other; what is inhibited may inhibit. A label of `equal` that an alert `by` doesn't have is not asked
    for: a pipeline that is behind is the cause for every model.
    """
    found: dict[str, str] = {}
    for inhibition in inhibitions:
        # By what has to be equal, so that it costs no pairs of alerts.
        by: dict[tuple[tuple[str, str], ...], tuple[datetime, str]] = {}
        shapes: set[tuple[str, ...]] = set()
        for alert, over_at in _causes(alerts, inhibition.lasting, now):
            if all_hold(inhibition.by, alert.labels):
                shape = tuple(label for label in inhibition.equal if label in alert.labels)
                shapes.add(shape)
                key = tuple((label, alert.labels[label]) for label in shape)
                if key not in by or by[key][0] < over_at:
                    by[key] = over_at, alert.fingerprint
        for alert in alerts if by else ():
            if not all_hold(inhibition.what, alert.labels) or all_hold(inhibition.by, alert.labels):
                continue
            for shape in sorted(shapes):
                cause = by.get(tuple((label, alert.labels.get(label, "")) for label in shape))
                if cause is None:
                    continue
                over_at, fingerprint = cause
                if fingerprint != alert.fingerprint and alert.active_at <= over_at:
                    found.setdefault(alert.fingerprint, fingerprint)
    return found


def _causes(alerts: Sequence[Alert], lasting: timedelta, now: datetime) -> Iterator[tuple[Alert, datetime]]:
    """Alerts that fire, and those that did not long ago, with when they were over."""
    for alert in alerts:
        if alert.is_told:
            yield alert, _NOT_OVER
        elif alert.resolved_at is not None and alert.fired_at is not None and now - alert.resolved_at < lasting:
            yield alert, alert.resolved_at
