"""The join of predictions with actions: a pure core, fed by batches, that knows no Kafka and no ClickHouse."""
