"""Row (b′): row (b) as it would run in earnest, sending each joined record to a topic."""

from loopwatch.infra.settings import Settings

from ..measurement import Counts, Measurement
from .faust_join import join


def run(settings: Settings, counts: Counts) -> Measurement:
    """Join everything once and send what comes out to a topic."""
    return join(settings, counts, to_topic=True)
