"""Everything around the pure core, in memory and synchronous: the logs, ClickHouse, and workers that can die anywhere."""
