CREATE TABLE IF NOT EXISTS {database}.references
(
    model           LowCardinality(String)     COMMENT 'Model name',
    subject         LowCardinality(String)     COMMENT 'Feature or output',
    is_feature      Bool                       COMMENT 'Whether it is a feature; else an output of the model',
    predictions     UInt64                     COMMENT 'Rows of the training data',
    nulls           UInt64                     COMMENT 'Rows in which it is null',
    bins            Array(Tuple(bin Int32, n UInt64, steps UInt64, squares UInt64)) COMMENT 'Numbers by bin, as in panes',
    categories      Map(String, UInt64)        COMMENT 'Texts, true and false: how many of each',
    other           UInt64                     COMMENT 'Values that have no place of their own in categories',
    source          String                     COMMENT 'Where the data came from',
    _written_at     DateTime64(6, 'UTC')       COMMENT 'When it was stored; the latest holds'
)
ENGINE = {engine}ReplacingMergeTree(_written_at)
ORDER BY (model, is_feature, subject)
COMMENT 'What the training data of models looked like, for `reference: training`; stored by `loopwatch reference`.';
