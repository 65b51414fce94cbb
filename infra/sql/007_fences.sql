CREATE TABLE IF NOT EXISTS {database}.fences
(
    _topic          LowCardinality(String)     COMMENT 'Topic of the predictions; the actions of a partition go with it',
    partition       UInt32                     COMMENT 'Partition of the event topics',
    epoch           UInt64                     COMMENT 'Grows with every change of owner',
    owner           String                     COMMENT 'Worker that owns the partition from this epoch on',
    claimed_at      DateTime64(3, 'UTC')       COMMENT 'When it claimed it'
)
ENGINE = {engine}ReplacingMergeTree(epoch)
ORDER BY (_topic, partition)
COMMENT 'Who may write for a partition. Every insert checks it, so a worker that was taken for dead cannot write twice.';
