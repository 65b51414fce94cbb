"""Alerts whose cause is known, because that fires as well."""

from collections.abc import Sequence

from ...schemas.alerting import Inhibition
from ...schemas.alerts import Alert
from ...schemas.matchers import all_hold


def inhibited(alerts: Sequence[Alert], inhibitions: Sequence[Inhibition]) -> dict[str, str]:
    """Fingerprints of alerts that are not told because of another one that fires, with the fingerprint of that.

    As in Alertmanager an alert that both sides of an inhibition hold of is not inhibited by others like it, so no two
    silence each other; what is inhibited may inhibit. A label of `equal` that an alert `by` doesn't have is not asked
    for: a pipeline that is behind is the cause for every model.
    """
    causes = [alert for alert in alerts if alert.is_told]
    found: dict[str, str] = {}
    for inhibition in inhibitions:
        # By what has to be equal, so that it costs no pairs of alerts.
        by: dict[tuple[tuple[str, str], ...], str] = {}
        shapes: set[tuple[str, ...]] = set()
        for alert in causes:
            if all_hold(inhibition.by, alert.labels):
                shape = tuple(label for label in inhibition.equal if label in alert.labels)
                shapes.add(shape)
                by.setdefault(tuple((label, alert.labels[label]) for label in shape), alert.fingerprint)
        for alert in alerts if by else ():
            if not all_hold(inhibition.what, alert.labels) or all_hold(inhibition.by, alert.labels):
                continue
            for shape in sorted(shapes):
                cause = by.get(tuple((label, alert.labels.get(label, "")) for label in shape))
                if cause is not None and cause != alert.fingerprint:
                    found.setdefault(alert.fingerprint, cause)
    return found
