"""Slack's incoming webhooks: blocks, each within its limits.

https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from ....schemas.alerts import Alert, Severity
from ....schemas.notifications import Notice
from .alertmanager import link_to

_MOST_SHOWN = 10
_LONGEST_HEADER = 150
_LONGEST_SECTION = 2900
_SIGNS = {
    Severity.CRITICAL: ":red_circle:",
    Severity.WARNING: ":large_orange_circle:",
    Severity.INFO: ":large_blue_circle:",
}


def body(notice: Notice, shown: Sequence[Alert], external_url: str) -> bytes:
    """The message as JSON."""
    shown = shown[:_MOST_SHOWN]
    left_out = len(notice.alerts) - len(shown)
    title = title_of(notice)
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": {"type": "plain_text", "text": title[:_LONGEST_HEADER], "emoji": True}}
    ]
    blocks += [_section(_said(alert, external_url)) for alert in shown]
    if left_out:
        blocks.append(_section(f"and {left_out:,} more: `loopwatch alerts`"))
    return msgspec.json.encode({"text": escaped(title), "blocks": blocks})


def title_of(notice: Notice) -> str:
    """What it is about, in a line."""
    firing = sum(alert.is_told for alert in notice.alerts)
    over = len(notice.alerts) - firing
    what = ", ".join(value for value in notice.group_labels.values() if value) or "Loopwatch"
    counts = [f"{firing} firing"] if firing else []
    counts += [f"{over} resolved"] if over else []
    return f"{what}: {', '.join(counts)}"


def escaped(text: str) -> str:
    """Text that Slack takes as such.

    >>> escaped("<!channel> & co")
    '&lt;!channel&gt; &amp; co'
    """
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _said(alert: Alert, external_url: str) -> str:
    sign = _SIGNS[alert.severity] if alert.is_told else ":white_check_mark:"
    lines = [f"{sign} *{escaped(alert.annotations.get('summary') or alert.details.message)}*"]
    if alert.annotations.get("description"):
        lines.append(escaped(alert.annotations["description"]))
    links = {"more": link_to(alert, external_url), "runbook": alert.annotations.get("runbook_url", "")}
    lines += [f"<{_link(url)}|{name}>" for name, url in links.items() if url.startswith(("https://", "http://"))]
    return "\n".join(lines)


def _link(url: str) -> str:
    return escaped(url).replace("|", "%7C")


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text[:_LONGEST_SECTION]}}
