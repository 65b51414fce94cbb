"""Which receivers an alert goes to, and with which others."""

import hashlib
from collections.abc import Mapping

import msgspec

from ...schemas.alerting import Route
from ...schemas.matchers import all_hold

ALL = "..."
"""In `group_by`: each alert is a group of its own."""


def routes_of(route: Route, labels: Mapping[str, str]) -> list[Route]:
    """The routes that take an alert: those deepest down whose conditions hold, the first unless it `goes_on`."""
    if not all_hold(route.matchers, labels):
        return []
    taken: list[Route] = []
    for child in route.routes:
        found = routes_of(child, labels)
        taken += found
        if found and not child.goes_on:
            break
    return taken or [route]


def group_labels(route: Route, labels: Mapping[str, str]) -> dict[str, str]:
    """What the alerts of a group share."""
    names = labels if ALL in route.group_by else route.group_by
    return {name: labels.get(name, "") for name in sorted(names)}


def group_key(route: Route, labels: Mapping[str, str]) -> str:
    """A name for a group: the same as long as its route asks for the same, for the same labels.

    >>> group_key(Route(receiver="a"), {"model": "m"})
    'a/ec58d476:{"model":"m"}'
    """
    made_of = msgspec.json.encode([route.receiver, route.matchers, route.group_by])
    shared = msgspec.json.encode(group_labels(route, labels)).decode()
    return f"{route.receiver}/{hashlib.sha256(made_of).hexdigest()[:8]}:{shared}"
