CREATE TABLE IF NOT EXISTS {database}.signals
(
    signal_id       String                     COMMENT 'Of what changed, where and since when; the same when it is found again',
    model           LowCardinality(String)     COMMENT 'Model name',
    kind            LowCardinality(String)     COMMENT 'data_drift, prediction_drift, concept_drift, improvement or anomaly',
    subject         LowCardinality(String)     COMMENT 'Feature, output or series that changed; loss of concept drift',
    detector        LowCardinality(String)     COMMENT 'What found it: a detector or a test of docs/detectors.md',
    outcome         LowCardinality(String)     COMMENT 'Outcome whose labels say so, of concept drift; empty otherwise',
    segment_key     LowCardinality(String)     COMMENT 'What the slice is by; empty for all predictions',
    segment         String                     COMMENT 'Value of the slice; empty for all predictions',
    since           DateTime64(6, 'UTC')       COMMENT 'Event time at which the change began, as far as can be told',
    found_at        DateTime64(6, 'UTC')       COMMENT 'Event time at which it was found',
    until           DateTime64(6, 'UTC')       COMMENT 'Event time up to which it was seen',
    score           Float64                    COMMENT 'How strong, from 0 to 1',
    expected        Nullable(Float64)          COMMENT 'What was typical before, in units of the subject',
    seen            Nullable(Float64)          COMMENT 'What is typical since',
    n               UInt64                     COMMENT 'Values that say so',
    message         String                     COMMENT 'All of it in one sentence',
    evidence        Array(Tuple(name String, expected Float64, seen Float64)) COMMENT 'What shifted most, first: bins, categories or slices with their share or mean before and since',
    examples        Array(String)              COMMENT 'Ids of some of the predictions',
    query           String                     COMMENT 'SQL that shows it',
    window_s        UInt32                     COMMENT 'Seconds of the windows or steps that show it; 0 of concept drift',
    _detected_at    DateTime64(6, 'UTC')       COMMENT 'When the row was written; the latest of a signal holds'
)
ENGINE = {engine}ReplacingMergeTree(_detected_at)
ORDER BY (model, signal_id)
TTL toDateTime(_detected_at) + INTERVAL {ttl_days} DAY
COMMENT 'What detectors found, a row each time it is seen again until merges fold them. Read through signals_current.';

ALTER TABLE {database}.signals
    ADD COLUMN IF NOT EXISTS window_s UInt32 COMMENT 'Seconds of the windows or steps that show it; 0 of concept drift' AFTER query;

CREATE OR REPLACE VIEW {database}.signals_current AS
SELECT * FROM {database}.signals FINAL
COMMENT 'Every signal as it was last seen: one row each.';

CREATE TABLE IF NOT EXISTS {database}.drift
(
    model           LowCardinality(String)     COMMENT 'Model name',
    window_start    DateTime('UTC')            COMMENT 'Begin of the window of predictions, inclusive',
    window_seconds  UInt32                     COMMENT 'Length of the window',
    reference_start DateTime('UTC')            COMMENT 'Begin of what it was compared with; 1970 for training data',
    reference_end   DateTime('UTC')            COMMENT 'End of that, exclusive; 1970 for training data',
    segment_key     LowCardinality(String)     COMMENT 'What the slice is by; empty for all predictions',
    segment         String                     COMMENT 'Value of the slice; empty for all predictions',
    subject         LowCardinality(String)     COMMENT 'Feature or output; or what is compared by rows: rows, prompt, response (each also .length and .words), embedding',
    is_feature      Bool                       COMMENT 'Whether it is a feature; else an output of the model, or compared by rows',
    question        LowCardinality(String)     COMMENT 'What of it may have changed: values, missing (how many have none), invalid (how many are of another type; embeddings: of another size)',
    kind            LowCardinality(String)     COMMENT 'numeric, categorical or boolean; rows, vocabulary or embedding',
    method          LowCardinality(String)     COMMENT 'Test, as in docs/detectors.md; none where there is too little to say',
    statistic       Nullable(Float64)          COMMENT 'Its statistic',
    effect          Nullable(Float64)          COMMENT 'Size of the change, whatever the number of values',
    threshold       Float64                    COMMENT 'Size from which on a change matters',
    usual           Nullable(Float64)          COMMENT 'Size of changes that come and go in this series; NULL while too few windows are known',
    p_value         Nullable(Float64)          COMMENT 'Probability of such a statistic without any change; NULL where there is too little to say',
    q_value         Nullable(Float64)          COMMENT 'The same, corrected for all that was compared in the window',
    n               UInt64                     COMMENT 'Values in the window; of what is compared by rows, those sampled',
    n_reference     UInt64                     COMMENT 'Values in the reference',
    drifted         Bool                       COMMENT 'Whether it drifted: beyond chance over many windows, by enough to matter, and unlike what comes and goes',
    reason          LowCardinality(String)     COMMENT 'drifted; or why not: chance, trifling (too small), usual (it comes and goes), unconfirmed (one window alone, as chance shows now and then), too_few values',
    _evaluated_at   DateTime64(6, 'UTC')       COMMENT 'When it was compared; the latest holds'
)
ENGINE = {engine}ReplacingMergeTree(_evaluated_at)
ORDER BY (model, window_seconds, window_start, segment_key, segment, is_feature, subject, question)
TTL toDateTime(_evaluated_at) + INTERVAL {ttl_days} DAY
COMMENT 'How the features and outputs of each window compare with the reference.';

CREATE TABLE IF NOT EXISTS {database}.monitors
(
    model           LowCardinality(String)     COMMENT 'Model name',
    monitor         LowCardinality(String)     COMMENT 'Which of its monitors, and over what: a name and what is behind the slash',
    reached_us      Int64                      COMMENT 'Event time in microseconds since 1970 up to which it has taken everything',
    state           String                     COMMENT 'Its detectors as JSON: versioned, no code',
    rebuilt         String                     COMMENT 'How its worker came by the state when it took the model over',
    _written_at     DateTime64(6, 'UTC')       COMMENT 'When it was written; the latest holds'
)
ENGINE = {engine}ReplacingMergeTree(_written_at)
ORDER BY (model, monitor)
COMMENT 'How far the online detectors of each model have come, and their state then: a worker that takes the model over goes on from here.';
