"""Online drift and anomaly detectors: pure algorithms that know neither Kafka nor ClickHouse nor Faust."""
