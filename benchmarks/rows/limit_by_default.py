"""Row (a′): row (a) with what librdkafka does when nobody tunes it, in batches of 10,000."""

from loopwatch.infra.settings import Settings

from ..measurement import Counts, Measurement
from .limit import consume_and_decode


def run(settings: Settings, counts: Counts) -> Measurement:
    """Read and decode everything once."""
    return consume_and_decode(settings, counts, batch=10_000, queue_backoff_ms=1000)
