"""Bodies that fit: evidence is left out first, then alerts, which are counted."""

from collections.abc import Callable

import msgspec

from ....schemas.alerts import Alert, Details
from ....schemas.notifications import Notice

LARGEST = 20_000
"""Bytes of a body, as the Standard Webhooks specification advises."""

_LONGEST_TEXT = 1000

Body = Callable[[Notice, str], bytes]


def fitting(body: Body, notice: Notice, send_values: bool, external_url: str) -> bytes:
    """The body, with what may be said and as much as fits.

    Without `send_values` evidence names no bins, categories or slices: those are values of features.
    """
    told = tuple(_cut(alert if send_values else _without_values(alert)) for alert in notice.alerts)
    made = body(msgspec.structs.replace(notice, alerts=told), external_url)
    if len(made) <= LARGEST:
        return made
    bare = tuple(_without_evidence(alert) for alert in told)
    # Halving ends in a few steps; one alert always fits, its texts being cut.
    keep = len(bare)
    while True:
        left_out = notice.truncated + len(bare) - keep
        made = body(msgspec.structs.replace(notice, alerts=bare[:keep], truncated=left_out), external_url)
        if len(made) <= LARGEST or keep == 1:
            return made
        keep = max(1, keep * 3 // 4)


def _without_values(alert: Alert) -> Alert:
    shifts = tuple(msgspec.structs.replace(shift, name="") for shift in alert.details.shifts)
    return msgspec.structs.replace(alert, details=msgspec.structs.replace(alert.details, shifts=shifts))


def _without_evidence(alert: Alert) -> Alert:
    details = alert.details
    kept = Details(details.message, value=details.value, threshold=details.threshold, since=details.since, n=details.n,
                   command=details.command, signal_id=details.signal_id)  # fmt: skip
    return msgspec.structs.replace(alert, details=kept)


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
