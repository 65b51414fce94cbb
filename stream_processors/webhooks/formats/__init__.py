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
    body = fitting(_BODIES[receiver.format], notice, receiver.send_values, external_url)
    return Notification(
        notification_id=notice.notification_id,
        receiver=notice.receiver,
        group_key=notice.group_key,
        told=notice.told,
        firing=notice.firing,
        body=body.decode(),
        next_at=notice.created_at,
        created_at=notice.created_at,
    )
