CREATE TABLE IF NOT EXISTS {database}.metrics
(
    model           LowCardinality(String)     COMMENT 'Model name',
    outcome         LowCardinality(String)     COMMENT 'Outcome of the model whose labels are meant; empty for business indicators',
    time_of         LowCardinality(String)     COMMENT 'What puts a prediction into the window: prediction (when it was made) or label (when its label came)',
    window_start    DateTime('UTC')            COMMENT 'Begin of the window, inclusive',
    window_seconds  UInt32                     COMMENT 'Length of the window',
    step_seconds    UInt32                     COMMENT 'From the begin of one window to the next; less than the length where windows slide',
    segment_key     LowCardinality(String)     COMMENT 'What the slice is by: version, a key of segments, variants.EXPERIMENT; empty for the whole window',
    segment         String                     COMMENT 'Value of the slice; other holds the rare ones; empty for the whole window',
    metric          LowCardinality(String)     COMMENT 'Name of the metric, as in docs/metrics.md',
    value           Float64                    COMMENT 'Value of the metric',
    lower           Nullable(Float64)          COMMENT 'Lower end of its 95 % confidence interval',
    upper           Nullable(Float64)          COMMENT 'Upper end of its 95 % confidence interval',
    n               UInt64                     COMMENT 'How many predictions, requests or actions the value is made of',
    predictions     Nullable(UInt64)           COMMENT 'Predictions made in the window; NULL by time of label',
    completeness    Nullable(Float64)          COMMENT 'Share of those predictions whose outcome is settled, 0 to 1; NULL by time of label',
    revision        UInt64                     COMMENT 'Grows with every change of a window of predictions: predictions plus the revisions of their feedback',
    _content        UInt64                     COMMENT 'Fingerprint of the rows and the definition that the window was evaluated from',
    _evaluated_at   DateTime64(6, 'UTC')       COMMENT 'When the window was evaluated; the latest holds',
    INDEX by_evaluation _evaluated_at TYPE minmax GRANULARITY 1
)
ENGINE = {engine}ReplacingMergeTree(_evaluated_at)
ORDER BY (model, outcome, time_of, window_seconds, step_seconds, window_start, revision, _content, segment_key, segment, metric)
TTL toDateTime(_evaluated_at) + INTERVAL {ttl_days} DAY
COMMENT 'How good each model was, window by window; a window that changes gets rows with a new revision beside the old ones. Read through metrics_current.';

ALTER TABLE {database}.metrics ADD INDEX IF NOT EXISTS by_evaluation _evaluated_at TYPE minmax GRANULARITY 1;

CREATE OR REPLACE VIEW {database}.metrics_current AS
SELECT * FROM {database}.metrics FINAL
WHERE (model, outcome, time_of, window_seconds, step_seconds, window_start, _evaluated_at) IN
(
    SELECT model, outcome, time_of, window_seconds, step_seconds, window_start, max(_evaluated_at)
    FROM {database}.metrics
    GROUP BY model, outcome, time_of, window_seconds, step_seconds, window_start
)
COMMENT 'The latest revision of every window.';

CREATE TABLE IF NOT EXISTS {database}.evaluations
(
    model           LowCardinality(String)     COMMENT 'Model name',
    definition      UInt64                     COMMENT 'Fingerprint of what its metrics are: outcomes, kind, windows, slices',
    until           DateTime64(3, 'UTC')       COMMENT 'Rows that were ingested before are in its metrics',
    _evaluated_at   DateTime64(6, 'UTC')       COMMENT 'When this was written; the latest holds'
)
ENGINE = {engine}ReplacingMergeTree(_evaluated_at)
ORDER BY model
COMMENT 'How far the evaluation of each model has come.';

CREATE TABLE IF NOT EXISTS {database}.estimates
(
    model           LowCardinality(String)     COMMENT 'Model name',
    outcome         LowCardinality(String)     COMMENT 'Outcome of the model whose labels are awaited',
    window_start    DateTime('UTC')            COMMENT 'Begin of the window of predictions, inclusive',
    window_seconds  UInt32                     COMMENT 'Length of the window',
    step_seconds    UInt32                     COMMENT 'From the begin of one window to the next',
    segment_key     LowCardinality(String)     COMMENT 'What the slice is by, as in metrics; empty for the whole window',
    segment         String                     COMMENT 'Value of the slice; empty for the whole window',
    metric          LowCardinality(String)     COMMENT 'final_share, or a metric with _estimated, _realised or _gap behind its name, as in docs/metrics.md',
    value           Float64                    COMMENT 'Value',
    lower           Nullable(Float64)          COMMENT 'Lower end of its 95 % interval',
    upper           Nullable(Float64)          COMMENT 'Upper end of its 95 % interval',
    n               UInt64                     COMMENT 'How many predictions it is made of',
    as_of           DateTime64(6, 'UTC')       COMMENT 'Event time up to which labels were known',
    _evaluated_at   DateTime64(6, 'UTC')       COMMENT 'When it was estimated; the latest holds'
)
ENGINE = {engine}ReplacingMergeTree(_evaluated_at)
ORDER BY (model, outcome, window_seconds, step_seconds, window_start, segment_key, segment, metric, as_of)
TTL toDateTime(_evaluated_at) + INTERVAL {ttl_days} DAY
COMMENT 'What was expected of windows whose labels were still out, and how far that was off. Unlike metrics it depends on when it was asked.';

CREATE OR REPLACE VIEW {database}.estimates_current AS
SELECT model, outcome, window_start, window_seconds, step_seconds, segment_key, segment, metric,
    argMax(value, _evaluated_at) AS value, argMax(lower, _evaluated_at) AS lower, argMax(upper, _evaluated_at) AS upper,
    argMax(n, _evaluated_at) AS n, max(as_of) AS as_of
FROM {database}.estimates
GROUP BY model, outcome, window_start, window_seconds, step_seconds, segment_key, segment, metric
COMMENT 'The latest estimate of each window.';
