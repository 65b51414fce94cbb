CREATE TABLE IF NOT EXISTS {database}.rules
(
    model           LowCardinality(String)     COMMENT 'Model as configured; empty for every model that is not',
    outcome         LowCardinality(String)     COMMENT 'Outcome of the model',
    epoch           UInt32                     COMMENT 'How often the rule changed before; feedback.revision carries it, times 2^20',
    definition      String                     COMMENT 'What decides labels, as JSON: actions, window and disorder in microseconds, on_timeout, label, combine',
    since           DateTime64(3, 'UTC')       COMMENT 'When the first worker with this definition started',
    worker          LowCardinality(String)     COMMENT 'That worker'
)
ENGINE = {engine}ReplacingMergeTree
ORDER BY (model, outcome, epoch, definition)
COMMENT 'Rules of outcomes since the beginning: a definition that changes gets the next epoch.';
