CREATE TABLE IF NOT EXISTS {database}.predictions
(
    prediction_id   String                                    COMMENT 'Join key, unique: the first event with this id is the accepted one',
    model           LowCardinality(String)                    COMMENT 'Model name',
    version         LowCardinality(String)                    COMMENT 'Model version, empty when not given',
    ts              DateTime64(6, 'UTC')                      COMMENT 'Event time: when the prediction was made',
    entity_id       String                                    COMMENT 'User, session or account: the unit of experiments; empty when not given',
    prediction      Nullable(String)                          COMMENT 'Predicted value or class as text',
    prediction_value Nullable(Float64)                        COMMENT 'Predicted value as a number: numbers as they are, booleans as 1 and 0, text as NULL',
    score           Nullable(Float64)                         COMMENT 'Probability or confidence of the positive (or the predicted) class, 0 to 1',
    scores          Map(LowCardinality(String), Float64)      COMMENT 'Multi-class probabilities',
    features_num    Map(LowCardinality(String), Nullable(Float64)) COMMENT 'Numeric features; a feature that was sent as null is here with NULL',
    features_cat    Map(LowCardinality(String), String)       COMMENT 'Categorical features: text as it is, booleans as true and false',
    segments        Map(LowCardinality(String), String)       COMMENT 'Slices: those that the service named, and the features that segments of the model names',
    variants        Map(LowCardinality(String), String)       COMMENT 'Experiment to arm',
    latency_ms      Nullable(Float64)                         COMMENT 'Serving latency in milliseconds',
    cost_usd        Nullable(Float64)                         COMMENT 'Cost of the prediction in US dollars',
    generation      String                                    COMMENT 'GenAI part as JSON (provider, prompt, response, tokens, retrieved, embedding); empty when not given',
    trace_id        String                                    COMMENT 'Trace that the prediction belongs to',
    _topic          LowCardinality(String)                    COMMENT 'Kafka topic the row came from',
    _topic_id       LowCardinality(String)                    COMMENT 'Life of that topic: offsets mean something only within one',
    _partition      UInt32                                    COMMENT 'Kafka partition the row came from',
    _offset         UInt64                                    COMMENT 'Kafka offset the row came from',
    _watermark      DateTime64(6, 'UTC')                      COMMENT 'Watermark when it was accepted, 1970 while there was none: retention counts from here if it came late',
    _ingested_at    DateTime64(3, 'UTC')                      COMMENT 'When the worker wrote the row',
    INDEX by_ts ts TYPE minmax GRANULARITY 1,
    INDEX by_offset _offset TYPE minmax GRANULARITY 1,
    INDEX by_ingestion _ingested_at TYPE minmax GRANULARITY 1
)
ENGINE = {engine}MergeTree
PARTITION BY toYYYYMM(_ingested_at)
ORDER BY prediction_id
TTL toDateTime(_ingested_at) + INTERVAL {ttl_days} DAY
SETTINGS non_replicated_deduplication_window = 10000, ttl_only_drop_parts = 1
COMMENT 'Accepted predictions, one row each. Sorted by id so that a late action finds its prediction; UUIDv7 ids keep that local.';

ALTER TABLE {database}.predictions
    ADD COLUMN IF NOT EXISTS attributes Map(LowCardinality(String), String) COMMENT 'Attributes, scalars as text; of rankings request_id and position' AFTER trace_id;

-- A part of a flush is a few files then, not 150: making and merging files was a sixth of ClickHouse's CPU.
ALTER TABLE {database}.predictions MODIFY SETTING min_bytes_for_wide_part = 134217728;
