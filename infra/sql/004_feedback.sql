CREATE TABLE IF NOT EXISTS {database}.feedback
(
    model            LowCardinality(String)               COMMENT 'Model name',
    outcome          LowCardinality(String)               COMMENT 'Outcome of the model, as configured; default where nothing is',
    prediction_id    String                               COMMENT 'Prediction that the row answers',
    status           LowCardinality(String)               COMMENT 'matched, expired (provisional: its window closed without a counting action), revised (one came after that) or pending (the rule changed and takes an earlier answer back)',
    label            Nullable(String)                     COMMENT 'Label as text; NULL for an unlabelled timeout',
    label_value      Nullable(Float64)                    COMMENT 'Label as a number: positive and true are 1, negative and false 0, other text NULL',
    action_id        Nullable(String)                     COMMENT 'Action that decided the label; for a sum the latest one',
    n_actions        UInt32                               COMMENT 'Actions that count for this row',
    prediction       Nullable(String)                     COMMENT 'Predicted value or class as text',
    prediction_value Nullable(Float64)                    COMMENT 'Predicted value as a number',
    score            Nullable(Float64)                    COMMENT 'Probability or confidence, 0 to 1',
    version          LowCardinality(String)               COMMENT 'Model version',
    segments         Map(LowCardinality(String), String)  COMMENT 'Slices: those that the service named, and the features that segments of the model names',
    variants         Map(LowCardinality(String), String)  COMMENT 'Experiment to arm',
    prediction_ts    DateTime64(6, 'UTC')                 COMMENT 'Event time of the prediction',
    action_ts        Nullable(DateTime64(6, 'UTC'))       COMMENT 'Event time of the deciding action',
    delay_ms         Nullable(Float64)                    COMMENT 'action_ts - prediction_ts in milliseconds',
    revision         UInt32                               COMMENT 'Grows with every change of the row: twice the counting actions, plus one if the row was provisional before, plus 2^20 times the epoch of its rule',
    _topic           LowCardinality(String)               COMMENT 'Kafka topic of the action that caused the revision; that of predictions for what no event caused; empty for what was recomputed',
    _partition       UInt32                               COMMENT 'Kafka partition of that topic',
    _offset          UInt64                               COMMENT 'Kafka offset of that action; for what no event caused the last one read',
    _ingested_at     DateTime64(3, 'UTC')                 COMMENT 'When the worker wrote the row',
    INDEX by_id prediction_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_ingestion _ingested_at TYPE minmax GRANULARITY 1
)
ENGINE = {engine}ReplacingMergeTree(revision)
ORDER BY (model, outcome, prediction_ts, prediction_id)
TTL toDateTime(_ingested_at) + INTERVAL {ttl_days} DAY
SETTINGS index_granularity = 1024
COMMENT 'Outcomes of predictions, a row a revision until merges fold them. Read through feedback_current.';

-- Labels by their own time. With granules of 8,192 rows each of a small part begins with another model, and ClickHouse
-- keeps of its primary index the models alone.
ALTER TABLE {database}.feedback ADD INDEX IF NOT EXISTS by_action assumeNotNull(action_ts) TYPE minmax GRANULARITY 1;

CREATE OR REPLACE VIEW {database}.feedback_current AS
SELECT * FROM {database}.feedback FINAL WHERE status != 'pending'
COMMENT 'The outcome of each prediction as it is known now: one row per model, outcome and prediction.';
