"""What is sent: a body for each format, of at most 20 kB, without secrets."""

from collections.abc import Sequence

from ....schemas.alerting import Format, Receiver
from ....schemas.notifications import Notice, Notification
from . import alertmanager, pagerduty, slack
from .fitting import fitting

_BODIES = {Format.WEBHOOK: alertmanager.body, Format.SLACK: slack.body, Format.PAGERDUTY: pagerduty.body}


def notification_of(receivers: Sequence[Receiver], external_url: str, notice: Notice) -> Notification:
    """The notification that a notice becomes, for the receiver that it names.

    Args:
        external_url: where people look on, at the head of links; empty: there are none.
    """
    receiver = next(each for each in receivers if each.name == notice.receiver)
    body, shown = fitting(_BODIES[receiver.format], notice, receiver.send_values, external_url)
    # People are told of the group, with how many there are; a program is told of each alert.
    told = shown if receiver.format is Format.WEBHOOK else notice.alerts
    return Notification(
        notification_id=notice.notification_id,
        receiver=notice.receiver,
        group_key=notice.group_key,
        told={alert.fingerprint: alert.revision for alert in told},
        firing=tuple(sorted(notice.firing_after(told))),
        left_out=notice.left_out(told),
        body=body.decode(),
        next_at=notice.created_at,
        created_at=notice.created_at,
    )
