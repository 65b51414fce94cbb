"""Where joined batches go: ClickHouse columns, the feedback topic, dead letters."""
