CREATE TABLE IF NOT EXISTS {database}.reports
(
    model           LowCardinality(String)     COMMENT 'Model name',
    window_start    DateTime('UTC')            COMMENT 'Begin of the stretch of predictions that the report is about, inclusive',
    window_end      DateTime('UTC')            COMMENT 'End of it, exclusive',
    reference_start DateTime('UTC')            COMMENT 'Begin of what it was compared with; 1970 for training data',
    reference_end   DateTime('UTC')            COMMENT 'End of that, exclusive; 1970 for training data',
    rows            UInt32                     COMMENT 'Predictions sampled from the stretch',
    rows_reference  UInt32                     COMMENT 'Predictions sampled from the reference; of training data rows drawn from its distributions',
    snapshot        String                     COMMENT 'Results of Evidently as JSON: drift, and quality where labels are known',
    _created_at     DateTime64(6, 'UTC')       COMMENT 'When it was made'
)
ENGINE = {engine}MergeTree
ORDER BY (model, window_start, _created_at)
TTL toDateTime(_created_at) + INTERVAL {ttl_days} DAY
COMMENT 'Reports of Evidently, made by `loopwatch report`.';
