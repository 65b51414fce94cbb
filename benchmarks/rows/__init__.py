"""The rows of the throughput benchmark, in the order of its table.

To add one: write a module here with ``run(settings, counts) -> Measurement``, and list it in `ROWS`. It runs in a
process of its own, with the settings in its environment (a consumer group of its own, the topics of this benchmark) and
the topics already filled with `counts` events; it says how long they took by `Stopwatch` or `Tally`.
For example, with what the row shall reach::

    Row("d", "Loopwatch, decode only", "loopwatch_decode", (Target(0.5, of="a"),))
"""

from msgspec import Struct


class Target(Struct, frozen=True):
    """The row shall be at least `factor` times as fast as the row with that letter."""

    factor: float
    of: str


class Row(Struct, frozen=True):
    """One row: `module` is under this package; `small` rows get the smaller pair of topics, being slow."""

    letter: str
    title: str
    module: str
    targets: tuple[Target, ...] = ()
    small: bool = False


ROWS: list[Row] = [
    Row("a", "limit: confluent-kafka consume + msgspec decode", "limit"),
    Row("a′", "the same with librdkafka's default fetching", "limit_by_default"),
    Row("b", "plain Faust join, tables in memory", "faust_join", small=True),
    Row("b′", "plain Faust join, sent on to a topic", "faust_join_to_topic", small=True),
    Row("c", "Quix Streams join, state in RocksDB", "quix_join"),
    Row("d", "Loopwatch, decode only", "loopwatch_decode", (Target(0.5, "a"),)),
    Row(
        "e",
        "Loopwatch complete: join, ledger, ClickHouse, feedback",
        "loopwatch_complete",
        (Target(0.25, "a"), Target(15, "b"), Target(2, "c")),
    ),
]
