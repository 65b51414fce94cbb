CREATE TABLE IF NOT EXISTS {database}.actions
(
    prediction_id   String                                COMMENT 'Prediction that the action answers',
    action_id       String                                COMMENT 'Dedup key, unique within its prediction',
    name            LowCardinality(String)                COMMENT 'click, purchase, label, thumb, rating, … free',
    ts              DateTime64(6, 'UTC')                  COMMENT 'Event time: when the action happened',
    value           Nullable(String)                      COMMENT 'Value as text',
    value_num       Nullable(Float64)                     COMMENT 'Value as a number: numbers as they are, booleans as 1 and 0, text as NULL',
    actor           LowCardinality(String)                COMMENT 'user, reviewer, judge or system',
    attributes      Map(LowCardinality(String), String)   COMMENT 'Attributes, scalars as text',
    model           LowCardinality(String)                COMMENT 'Model of the prediction; empty while the prediction is unknown',
    class           LowCardinality(String)                COMMENT 'Class at arrival: matched, late_revised, ignored or held; held ones move on in action_status',
    reason          LowCardinality(String)                COMMENT 'Why an ignored action does not count; empty otherwise',
    _topic          LowCardinality(String)                COMMENT 'Kafka topic the row came from',
    _topic_id       LowCardinality(String)                COMMENT 'Life of that topic: offsets mean something only within one',
    _partition      UInt32                                COMMENT 'Kafka partition the row came from',
    _offset         UInt64                                COMMENT 'Kafka offset the row came from',
    _ingested_at    DateTime64(3, 'UTC')                  COMMENT 'When the worker wrote the row',
    INDEX by_ts ts TYPE minmax GRANULARITY 1,
    INDEX by_offset _offset TYPE minmax GRANULARITY 1,
    INDEX by_ingestion _ingested_at TYPE minmax GRANULARITY 1
)
ENGINE = {engine}MergeTree
PARTITION BY toYYYYMM(_ingested_at)
ORDER BY (prediction_id, action_id)
TTL toDateTime(_ingested_at) + INTERVAL {ttl_days} DAY
SETTINGS non_replicated_deduplication_window = 10000, ttl_only_drop_parts = 1
COMMENT 'Accepted actions, one row each, whatever became of them.';
