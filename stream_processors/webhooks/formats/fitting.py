"""Bodies that fit: evidence is left out first, then alerts, which are counted and told next."""

from collections.abc import Callable, Sequence

import msgspec

from ....schemas.alerts import ALERTNAME, CATEGORY, MODEL, SEVERITY, Alert, Details
from ....schemas.notifications import Notice

LARGEST = 20_000
"""Bytes of a body, as the Standard Webhooks specification advises."""
MOST_SHOWN = 50
"""Alerts in a body."""

_LONGEST_TEXT = 1000
_OURS = (ALERTNAME, MODEL, SEVERITY, CATEGORY)

Body = Callable[[Notice, Sequence[Alert], str], bytes]
"""Of a notice, with the alerts of it that are shown, and the external URL."""


def fitting(body: Body, notice: Notice, send_values: bool, external_url: str) -> tuple[bytes, Sequence[Alert]]:
    """The body, with what may be said and as much as fits, and the alerts that are in it.

    Without `send_values` evidence names no bins, categories or slices: those are values of features.
    """
    shown = _chosen(notice, MOST_SHOWN)
    made = body(notice, [_cut(alert if send_values else _without_values(alert)) for alert in shown], external_url)
    if len(made) <= LARGEST:
        return made, shown
    # Fewer each time, which ends soon; at last one, and of that only what says which it is.
    counts = [len(shown)]
    while counts[-1] > 1:
        counts.append(max(1, counts[-1] * 3 // 4))
    for count in counts:
        shown = _chosen(notice, count)
        made = body(notice, [_without_evidence(_cut(alert)) for alert in shown], external_url)
        if len(made) <= LARGEST:
            return made, shown
    return body(notice, [_in_short(_cut(alert)) for alert in shown], external_url), shown


def _chosen(notice: Notice, most: int) -> Sequence[Alert]:
    """As many as there is room for, in their order: first what the receiver doesn't know.

    What is over has a share of the room, whatever fires anew: somebody waits to hear that it is.
    """
    if len(notice.alerts) <= most:
        return notice.alerts
    over = [alert for alert in notice.alerts if not alert.is_told]
    news = [alert for alert in notice.alerts if alert.is_told and alert.fingerprint in notice.news]
    known = [alert for alert in notice.alerts if alert.is_told and alert.fingerprint not in notice.news]
    ends = over[: max(-(-most // 5), most - len(news))]
    chosen = [*ends, *news[: most - len(ends)]]
    chosen += known[: most - len(chosen)]
    fingerprints = {alert.fingerprint for alert in chosen}
    return [alert for alert in notice.alerts if alert.fingerprint in fingerprints]


def _without_values(alert: Alert) -> Alert:
    shifts = tuple(msgspec.structs.replace(shift, name="") for shift in alert.details.shifts)
    return msgspec.structs.replace(alert, details=msgspec.structs.replace(alert.details, shifts=shifts))


def _without_evidence(alert: Alert) -> Alert:
    details = alert.details
    kept = Details(details.message, value=details.value, threshold=details.threshold, since=details.since, n=details.n,
                   command=details.command, signal_id=details.signal_id)  # fmt: skip
    return msgspec.structs.replace(alert, details=kept)


def _in_short(alert: Alert) -> Alert:
    labels = {name: alert.labels[name] for name in _OURS if name in alert.labels}
    summary = {name: alert.annotations[name][:200] for name in ("summary",) if name in alert.annotations}
    return msgspec.structs.replace(
        alert, labels=labels, annotations=summary, details=Details(alert.details.message[:200])
    )


def _cut(alert: Alert) -> Alert:
    details = alert.details
    return msgspec.structs.replace(
        alert,
        labels={name[:100]: value[:200] for name, value in list(alert.labels.items())[:30]},
        annotations={name[:100]: text[:_LONGEST_TEXT] for name, text in list(alert.annotations.items())[:10]},
        details=msgspec.structs.replace(
            details, message=details.message[:_LONGEST_TEXT], query=details.query[:2000],
            command=details.command[:500], shifts=details.shifts[:10], examples=details.examples[:10],
        ),
    )  # fmt: skip
