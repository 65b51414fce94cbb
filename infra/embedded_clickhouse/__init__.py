"""A small ClickHouse of our own: chDB (the real engine, in this process) behind ClickHouse's HTTP interface.

Enough of it for clickhouse-connect, curl and Grafana: `loopwatch dev`, tests and laptops; production has a real server.
The engine itself is imported only when a server starts (extra ``embedded``).
"""

from .server import EmbeddedClickHouse

__all__ = ["EmbeddedClickHouse"]
