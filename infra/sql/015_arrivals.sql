CREATE TABLE IF NOT EXISTS {database}.arrivals
(
    kind            LowCardinality(String)                          COMMENT 'predictions or labels',
    model           LowCardinality(String)                          COMMENT 'Model name',
    outcome         LowCardinality(String)                          COMMENT 'Outcome of the labels; empty for predictions',
    minute          DateTime('UTC')                                 COMMENT 'Minute in which the rows were written, by the clock of the worker',
    n               SimpleAggregateFunction(sum, UInt64)            COMMENT 'Rows',
    live            SimpleAggregateFunction(sum, UInt64)            COMMENT 'Those of them whose event time was less than a day off: not a replay of history',
    newest          SimpleAggregateFunction(max, DateTime64(6, 'UTC')) COMMENT 'Latest event time among them',
    latest          SimpleAggregateFunction(max, DateTime64(3, 'UTC')) COMMENT 'When the last live one was written; 1970 without any',
    usd             SimpleAggregateFunction(sum, Float64)           COMMENT 'Sum of cost_usd of the live predictions',
    delays          SimpleAggregateFunction(sumMap, Map(UInt8, UInt64)) COMMENT 'Of live labels: how many took how long, by the whole part of 8 log2(1 + seconds)'
)
ENGINE = {engine}AggregatingMergeTree
ORDER BY (kind, model, outcome, minute)
TTL minute + INTERVAL 60 DAY
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'What came when, by the minute: what alerts of silence, of the delay of labels and of cost go by. Sum it up by minute: rows of one minute are folded by merges.';

CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.arrivals_of_predictions TO {database}.arrivals AS
SELECT
    'predictions' AS kind, model, '' AS outcome, toStartOfMinute(_ingested_at) AS minute,
    count() AS n, countIf(is_live) AS live, max(ts) AS newest,
    maxIf(_ingested_at, is_live) AS latest, sumIf(ifNull(cost_usd, 0.), is_live) AS usd,
    CAST(map(), 'Map(UInt8, UInt64)') AS delays
FROM
(
    SELECT model, ts, cost_usd, _ingested_at, abs(date_diff('second', ts, _ingested_at)) < 86400 AS is_live
    FROM {database}.predictions
)
GROUP BY model, minute;

CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.arrivals_of_labels TO {database}.arrivals AS
SELECT
    'labels' AS kind, model, outcome, toStartOfMinute(_ingested_at) AS minute,
    count() AS n, countIf(is_live) AS live, max(acted) AS newest,
    maxIf(_ingested_at, is_live) AS latest, 0. AS usd,
    sumMap(if(is_live, map(toUInt8(least(255, floor(8 * log2(1 + greatest(0, ifNull(delay_ms, 0)) / 1000)))), 1::UInt64), CAST(map(), 'Map(UInt8, UInt64)'))) AS delays
FROM
(
    SELECT model, outcome, assumeNotNull(action_ts) AS acted, delay_ms, _ingested_at,
        abs(date_diff('second', acted, _ingested_at)) < 86400 AS is_live
    FROM {database}.feedback
    WHERE action_ts IS NOT NULL AND _topic != ''
)
GROUP BY model, outcome, minute;

ALTER TABLE {database}.estimates ADD INDEX IF NOT EXISTS by_evaluation _evaluated_at TYPE minmax GRANULARITY 1;

ALTER TABLE {database}.dead_letters ADD INDEX IF NOT EXISTS by_ingestion _ingested_at TYPE minmax GRANULARITY 1;
