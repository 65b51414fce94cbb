"""Where the rows of a flush come from, the same for all of them."""

from typing import NamedTuple

from ...infra.kafka_admin import TopicInfo


class Source(NamedTuple):
    """The two input topics, in their present life, and the instant of writing (ms since 1970)."""

    predictions: TopicInfo
    actions: TopicInfo
    ingested_ms: int
