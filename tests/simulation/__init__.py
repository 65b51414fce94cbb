"""What surrounds the pure core, in memory: the logs, ClickHouse, and workers that can die between any two steps."""
