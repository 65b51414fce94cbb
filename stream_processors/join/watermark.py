"""Event time of a partition: up to where nothing more is expected (DESIGN §5)."""

from msgspec import Struct

from ...schemas.outcomes import Defaults

NEVER = -(2**62)


class TopicClock(Struct):
    """What one topic of the partition pair says about event time. Instants are µs since 1970."""

    max_ts_us: int = NEVER
    """Latest event time seen."""
    closed_us: int = NEVER
    """Everything up to here was sent, says the producer (an explicit watermark record)."""
    live: bool = False
    """Its latest events were about as old as the wall clock says, so silence means that nothing happened."""
    idle: bool = False
    """Everything in the topic has been read, for some seconds now."""

    def close(self, until_us: int, now_us: int, live_within_us: int) -> None:
        """Take in an explicit watermark. One of about now says that a replay has caught up with the present."""
        self.closed_us = max(self.closed_us, until_us)
        if now_us - self.closed_us <= live_within_us:
            self.live = True

    def observe(self, ts_us: int, now_us: int, live_within_us: int, *, replayed: bool) -> None:
        """Take in the latest event time of a batch. A producer's clock that runs ahead does not drag us along."""
        bounded = min(ts_us, now_us)
        if bounded > self.max_ts_us:
            self.max_ts_us = bounded
        self.live = not replayed and now_us - self.max_ts_us <= live_within_us


class Watermark:
    """The watermark of a partition: the smaller of its two topics', where an idle topic doesn't hold the other back.

    A topic that still has unread records holds it, however old they are: an ingestion lag never closes a window. When
    both are idle it follows the wall clock, if the stream is live; a replayed history waits for its explicit watermark
    record. It never goes back.
    """

    def __init__(self, disorder_us: int = int(Defaults().disorder.total_seconds() * 1e6)) -> None:
        self.disorder_us = disorder_us
        self.predictions = TopicClock()
        self.actions = TopicClock()
        self.us = NEVER

    def advance(self, now_us: int) -> int:
        """Move forward as far as the two clocks allow and return the watermark (µs)."""
        clocks = (self.predictions, self.actions)
        instants = [max(clock.max_ts_us - self.disorder_us, clock.closed_us) for clock in clocks]
        busy = [instant for clock, instant in zip(clocks, instants, strict=True) if not clock.idle]
        if busy:
            candidate = min(busy)
        else:
            candidate = max(instants)
            if any(clock.live for clock in clocks) and all(clock.live or clock.max_ts_us == NEVER for clock in clocks):
                candidate = max(candidate, now_us - self.disorder_us)
        if candidate > self.us:
            self.us = candidate
        return self.us
