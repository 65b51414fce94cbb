"""An example alert, sent to one receiver at once."""

import time
import uuid
from datetime import UTC, datetime

from ..infra.settings import Settings
from ..schemas.alerting import Receiver
from ..schemas.alerts import (
    ALERTNAME,
    CATEGORY,
    SEVERITY,
    Alert,
    AlertState,
    Category,
    Change,
    Details,
    Severity,
    fingerprint_of,
)
from ..schemas.errors import LoopwatchError
from ..schemas.notifications import HEARTBEAT, Attempt, Notice, Occasion, Result
from ..stream_processors.webhooks.deliverer import Deliverer
from ..stream_processors.webhooks.formats import notification_of

_ADVICE = {
    Result.REFUSED: "It answered, and didn't want it: look at its log",
    Result.GONE: "It says that it takes nothing any more: take it out of loopwatch.yaml",
    Result.REDIRECTED: "Redirects are not followed: write where it leads to",
    Result.TIMEOUT: "Answer first, work later; or set `timeout`",
    Result.UNREACHABLE: "Is the address right, and does it listen? Is its certificate one that this machine trusts?",
    Result.FORBIDDEN: "Addresses that are not global have to be in `networks` of the receiver",
    Result.MISCONFIGURED: "Set it, where this command runs and where workers do",
}
_POLL_S = 0.02


def send_example(receiver: Receiver, settings: Settings) -> Attempt:
    """One try: how it went.

    Raises:
        LoopwatchError: it took longer than the receiver's own timeout allows.
    """
    now = datetime.now(UTC)
    labels = {ALERTNAME: "Example", CATEGORY: Category.ALERTING.value, SEVERITY: Severity.INFO.value}
    alert = Alert(
        fingerprint=fingerprint_of(labels), rule="Example", state=AlertState.FIRING, change=Change.FOUND, labels=labels,
        annotations={"summary": "an example, sent by `loopwatch webhook test`: nothing is wrong"},
        details=Details("an example: nothing is wrong", since=now), active_at=now, fired_at=now, updated_at=now,
    )  # fmt: skip
    notice = Notice(
        notification_id=f"msg_{uuid.uuid4().hex}", receiver=receiver.name, group_key=HEARTBEAT, group_labels={},
        occasion=Occasion.NEW, alerts=(alert,), news=frozenset({alert.fingerprint}), created_at=now,
    )  # fmt: skip
    deliverer = Deliverer([receiver], proxy=settings.egress_proxy)
    deliverer.start()
    try:
        deliverer.offer([notification_of([receiver], settings.external_url, notice)])
        deadline = time.monotonic() + 2 * receiver.timeout.total_seconds() + 5
        while time.monotonic() < deadline:
            for _, attempt in deliverer.results():
                if attempt is not None:
                    return attempt
            time.sleep(_POLL_S)
    finally:
        deliverer.close(1)
    raise LoopwatchError(f"{receiver.name}: no answer within {2 * receiver.timeout.total_seconds():g} s")


def advice(result: Result) -> str:
    """What to do about it."""
    return _ADVICE[result]
