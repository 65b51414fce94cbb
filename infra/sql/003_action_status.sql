CREATE TABLE IF NOT EXISTS {database}.action_status
(
    prediction_id   String                                COMMENT 'Prediction that the action answers',
    action_id       String                                COMMENT 'Action',
    model           LowCardinality(String)                COMMENT 'Model of the prediction; empty while it is unknown',
    class           LowCardinality(String)                COMMENT 'What became of the action: orphan, then matched, late_revised or ignored',
    reason          LowCardinality(String)                COMMENT 'Why an ignored action does not count; empty otherwise',
    rank            UInt8                                 COMMENT 'Order of classes: 1 orphan, 2 settled; the highest one holds, of equal ones the last',
    _ingested_at    DateTime64(3, 'UTC')                  COMMENT 'When the worker wrote the row'
)
ENGINE = {engine}ReplacingMergeTree(rank)
ORDER BY (prediction_id, action_id)
TTL toDateTime(_ingested_at) + INTERVAL {ttl_days} DAY
COMMENT 'What became of actions whose class at arrival did not stay: those that came before their prediction, those a crash had classified before, and those that count otherwise since their rule changed. Read through actions_current.';

CREATE OR REPLACE VIEW {database}.actions_current AS
SELECT
    a.prediction_id AS prediction_id, a.action_id AS action_id, a.name AS name, a.ts AS ts, a.value AS value, a.value_num AS value_num,
    a.actor AS actor, a.attributes AS attributes,
    if(s.rank > 0, s.model, a.model) AS model,
    if(s.rank > 0, s.class, a.class) AS class,
    if(s.rank > 0, s.reason, a.reason) AS reason,
    a._topic AS _topic, a._topic_id AS _topic_id, a._partition AS _partition, a._offset AS _offset, a._ingested_at AS _ingested_at
FROM {database}.actions AS a
LEFT JOIN (SELECT * FROM {database}.action_status FINAL) AS s
    ON a.prediction_id = s.prediction_id AND a.action_id = s.action_id
COMMENT 'Actions with their class as it is now.';
