"""Names of the six Kafka topics, under one prefix."""

import re

from msgspec import Struct

from .errors import SettingsError

DEFAULT_PREFIX = "loopwatch."
# Kafka's own rule for topic names; the longest name we append has 12 characters.
_LEGAL_PREFIX = re.compile(r"[A-Za-z0-9._-]{0,200}")


class Topics(Struct, frozen=True):
    """The topics under `prefix`. `predictions` and `actions` must have the same partition count.

    >>> Topics().predictions
    'loopwatch.predictions'
    >>> Topics("staging.").inputs
    ('staging.predictions', 'staging.actions')
    """

    prefix: str = DEFAULT_PREFIX

    def __post_init__(self) -> None:
        if not _LEGAL_PREFIX.fullmatch(self.prefix):
            raise SettingsError(
                f"topic prefix {self.prefix[:80]!r}: Kafka takes letters, digits, '.', '_' and '-', here at most 200"
            )

    @property
    def predictions(self) -> str:
        """What models predicted; key = prediction_id."""
        return self.prefix + "predictions"

    @property
    def actions(self) -> str:
        """What was done after a prediction; key = prediction_id, co-partitioned with `predictions`."""
        return self.prefix + "actions"

    @property
    def feedback(self) -> str:
        """What the join says of each prediction and outcome; key = model."""
        return self.prefix + "feedback"

    @property
    def signals(self) -> str:
        """What detectors found; key = model."""
        return self.prefix + "signals"

    @property
    def alerts(self) -> str:
        """What is said of alerts, a record a change; key = fingerprint, compacted."""
        return self.prefix + "alerts"

    @property
    def dead_letters(self) -> str:
        """Records that are no valid event, with the reason."""
        return self.prefix + "dead-letters"

    @property
    def inputs(self) -> tuple[str, str]:
        """The two topics that services write to."""
        return (self.predictions, self.actions)

    @property
    def all(self) -> tuple[str, ...]:
        """Every topic, inputs first."""
        return (*self.inputs, self.feedback, self.signals, self.alerts, self.dead_letters)
