"""Bodies that fit: evidence is left out first, then alerts, which are counted."""

from collections.abc import Callable

import msgspec

from ....schemas.alerts import ALERTNAME, CATEGORY, MODEL, SEVERITY, Alert, Details
from ....schemas.notifications import Notice

LARGEST = 20_000
"""Bytes of a body, as the Standard Webhooks specification advises."""

_LONGEST_TEXT = 1000
_OURS = (ALERTNAME, MODEL, SEVERITY, CATEGORY)

Body = Callable[[Notice, str], bytes]


def fitting(body: Body, notice: Notice, send_values: bool, external_url: str) -> bytes:
    """The body, with what may be said and as much as fits.

    Without `send_values` evidence names no bins, categories or slices: those are values of features.
    """
    told = tuple(_cut(alert if send_values else _without_values(alert)) for alert in notice.alerts)
    made = body(msgspec.structs.replace(notice, alerts=told), external_url)
    if len(made) <= LARGEST:
        return made
    # Fewer each time, which ends soon; at last one, and of that only what says which it is.
    bare = tuple(_without_evidence(alert) for alert in told)
    counts = [len(bare)]
    while counts[-1] > 1:
        counts.append(max(1, counts[-1] * 3 // 4))
    for shown in (*(bare[:count] for count in counts), (_in_short(bare[0]),)):
        left_out = notice.truncated + len(told) - len(shown)
        made = body(msgspec.structs.replace(notice, alerts=shown, truncated=left_out), external_url)
        if len(made) <= LARGEST:
            break
    return made


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
