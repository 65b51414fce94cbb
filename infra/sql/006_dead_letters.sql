CREATE TABLE IF NOT EXISTS {database}.dead_letters
(
    reason          LowCardinality(String)     COMMENT 'Why the event was refused: not_json, too_deep, schema, …',
    detail          String                     COMMENT 'What was wrong and where in the event; never its values',
    key             String                     COMMENT 'Record key where it looks like an id, else masked',
    value           String                     COMMENT 'Record value, masked and cut',
    size_bytes      UInt64                     COMMENT 'Size of the value as it came',
    _topic          LowCardinality(String)     COMMENT 'Kafka topic the event is on',
    _topic_id       LowCardinality(String)     COMMENT 'Life of that topic',
    _partition      UInt32                     COMMENT 'Kafka partition the event is on',
    _offset         UInt64                     COMMENT 'Kafka offset the event is on',
    _ingested_at    DateTime64(3, 'UTC')       COMMENT 'When the worker refused it'
)
ENGINE = {engine}MergeTree
PARTITION BY toYYYYMM(_ingested_at)
ORDER BY (_topic, _topic_id, _partition, _offset)
TTL toDateTime(_ingested_at) + INTERVAL {ttl_days} DAY
SETTINGS non_replicated_deduplication_window = 10000, ttl_only_drop_parts = 1
COMMENT 'Events that could not be read, with where they are and why.';
