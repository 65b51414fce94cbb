"""Where to look on from a signal."""

import shlex
from datetime import timedelta

from ...schemas.signals import Signal, SignalKind

_DAY = timedelta(days=1)


def command_of(signal: Signal) -> str:
    """The command line that shows more of it."""
    since, until = f"{signal.since:%Y-%m-%dT%H:%M}", f"{signal.until + timedelta(minutes=1):%Y-%m-%dT%H:%M}"
    model = shlex.quote(signal.model)
    match signal.kind:
        case SignalKind.CONCEPT_DRIFT | SignalKind.IMPROVEMENT:
            return f"loopwatch explain {model} --outcome {shlex.quote(signal.outcome)} --from {since} --to {until}"
        case SignalKind.ANOMALY:
            return f"loopwatch signals {model} --kind anomaly --from {signal.found_at - _DAY:%Y-%m-%dT%H:%M}"
        case _:
            return f"loopwatch drift {model} --feature {shlex.quote(signal.subject)}"
