CREATE TABLE IF NOT EXISTS {database}.ledger
(
    _topic          LowCardinality(String)     COMMENT 'Kafka topic that was read',
    _topic_id       LowCardinality(String)     COMMENT 'Life of that topic: offsets mean something only within one',
    _partition      UInt32                     COMMENT 'Kafka partition that was read',
    first_offset    UInt64                     COMMENT 'First offset of the stretch that the flush covers; of class idle the one behind last_offset',
    last_offset     UInt64                     COMMENT 'Last offset of that stretch: everything up to here is stored',
    max_ts          DateTime64(6, 'UTC')       COMMENT 'Latest event time seen on the partition, or that of an explicit watermark; 1970 while none was',
    watermark       DateTime64(6, 'UTC')       COMMENT 'Every timeout due by this event time is stored, 1970 while there is none',
    live            Bool                       COMMENT 'Whether the watermark may follow the wall clock when the partition is idle',
    model           LowCardinality(String)     COMMENT 'Model, empty where it is not known',
    bucket          DateTime('UTC')            COMMENT 'Event-time hour; hour of ingestion for events that were not joined here: invalid, forwarded, repeated, control',
    class           LowCardinality(String)     COMMENT 'received, invalid, duplicate, accepted, forwarded, repeated, control; origin, checkpoint and idle count nothing',
    origin_partition Int32                     COMMENT 'For class origin: the partition that events were forwarded from; -1 otherwise',
    origin_offset   UInt64                     COMMENT 'For class origin: the last offset there that was forwarded to here',
    n               UInt64                     COMMENT 'Events',
    worker          LowCardinality(String)     COMMENT 'Worker that wrote the row',
    _ingested_at    DateTime64(3, 'UTC')       COMMENT 'When the worker wrote the row'
)
ENGINE = {engine}MergeTree
PARTITION BY toYYYYMM(_ingested_at)
ORDER BY (_topic, _topic_id, _partition, last_offset)
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'The commit record: one block a flush, written last. What it covers is stored; what it does not is read again.';
