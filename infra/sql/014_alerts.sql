CREATE TABLE IF NOT EXISTS {database}.alerts
(
    fingerprint     String                     COMMENT 'Of its labels but severity: what makes it the same alert',
    revision        UInt64                     COMMENT 'Grows with every change; the highest holds',
    rule            LowCardinality(String)     COMMENT 'Rule that found it',
    model           LowCardinality(String)     COMMENT 'Model that it is about; empty if none',
    severity        LowCardinality(String)     COMMENT 'critical, warning or info',
    state           LowCardinality(String)     COMMENT 'pending, firing, recovering (not seen any more, but told as firing) or resolved',
    change          LowCardinality(String)     COMMENT 'Why there is this revision: found, held, worse, gone, back, over, dropped, rule_gone',
    labels          Map(LowCardinality(String), String) COMMENT 'What it is about',
    annotations     Map(LowCardinality(String), String) COMMENT 'What people are told',
    value           Nullable(Float64)          COMMENT 'What was measured, in units of what the rule is about',
    message         String                     COMMENT 'All of it in one sentence',
    details         String                     COMMENT 'The evidence, as JSON',
    flaps           Array(DateTime64(6, 'UTC')) COMMENT 'When it came back of late',
    active_at       DateTime64(6, 'UTC')       COMMENT 'When it was first found',
    fired_at        Nullable(DateTime64(6, 'UTC')) COMMENT 'When it began to fire',
    gone_at         Nullable(DateTime64(6, 'UTC')) COMMENT 'When its condition was first seen not to hold',
    resolved_at     Nullable(DateTime64(6, 'UTC')) COMMENT 'When it was resolved',
    updated_at      DateTime64(6, 'UTC')       COMMENT 'When this revision was made'
)
ENGINE = {engine}MergeTree
ORDER BY (fingerprint, revision)
TTL toDateTime(updated_at) + INTERVAL {ttl_days} DAY
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'The life of every alert, a row a change. Read what holds now through alerts_current.';

CREATE OR REPLACE VIEW {database}.alerts_current AS
SELECT * FROM {database}.alerts ORDER BY revision DESC LIMIT 1 BY fingerprint
COMMENT 'Every alert as it is now: one row each, the resolved ones too.';

CREATE TABLE IF NOT EXISTS {database}.silences
(
    silence_id      String                     COMMENT 'Its id',
    matchers        Array(Tuple(label String, match String, value String)) COMMENT 'Which alerts: all of these hold',
    author          String                     COMMENT 'Who asked for it',
    reason          String                     COMMENT 'Why',
    begins_at       DateTime64(3, 'UTC')       COMMENT 'From when on',
    ends_at         DateTime64(3, 'UTC')       COMMENT 'Until when; the same as begins_at once it was taken back',
    _written_at     DateTime64(6, 'UTC')       COMMENT 'When the row was written; the latest holds'
)
ENGINE = {engine}ReplacingMergeTree(_written_at)
ORDER BY silence_id
COMMENT 'Alerts that nobody is told of for a while. Read with FINAL.';

CREATE TABLE IF NOT EXISTS {database}.acknowledgements
(
    fingerprint     String                     COMMENT 'The alert',
    fired_at        DateTime64(6, 'UTC')       COMMENT 'Which time it fired: another time is not acknowledged by this',
    author          String                     COMMENT 'Who looks after it',
    comment         String                     COMMENT 'What they say',
    _written_at     DateTime64(6, 'UTC')       COMMENT 'When; the latest holds'
)
ENGINE = {engine}ReplacingMergeTree(_written_at)
ORDER BY (fingerprint, fired_at)
TTL toDateTime(_written_at) + INTERVAL {ttl_days} DAY
COMMENT 'Who looks after what fires: it is not repeated meanwhile, only resolved. Read with FINAL.';

CREATE TABLE IF NOT EXISTS {database}.notifications
(
    notification_id String                     COMMENT 'Id of the webhook: the same at each try',
    receiver        LowCardinality(String)     COMMENT 'Receiver of loopwatch.yaml',
    group_key       String                     COMMENT 'Route and labels that the alerts in it share',
    state           LowCardinality(String)     COMMENT 'pending, delivered, dead (tries are over) or dropped (its receiver is gone)',
    told            Map(String, UInt64)        COMMENT 'Fingerprints in it, with their revision',
    firing          Array(String)              COMMENT 'Those that its receiver believes to fire from then on',
    body            String                     COMMENT 'What is sent, before it is signed',
    attempts        UInt32                     COMMENT 'Tries so far',
    next_at         DateTime64(6, 'UTC')       COMMENT 'Not before this is it tried (again)',
    created_at      DateTime64(6, 'UTC')       COMMENT 'When it was decided on',
    updated_at      DateTime64(6, 'UTC')       COMMENT 'When the row was written; the latest holds'
)
ENGINE = {engine}ReplacingMergeTree(updated_at)
ORDER BY notification_id
TTL toDateTime(created_at) + INTERVAL {ttl_days} DAY
COMMENT 'What people are told: decided on first, then delivered. Read with FINAL.';

ALTER TABLE {database}.notifications
    ADD COLUMN IF NOT EXISTS left_out UInt32 COMMENT 'Alerts that did not fit, and that its receiver is told next' AFTER firing;

CREATE TABLE IF NOT EXISTS {database}.alert_deliveries
(
    notification_id String                     COMMENT 'Id of the webhook',
    attempt         UInt32                     COMMENT 'Which try, from 1',
    receiver        LowCardinality(String)     COMMENT 'Receiver of loopwatch.yaml',
    result          LowCardinality(String)     COMMENT 'delivered; or refused (a status that says no), gone (410), redirected, timeout, unreachable, forbidden (an address that is not allowed), misconfigured',
    status          UInt16                     COMMENT 'Status of the answer; 0 without one',
    error           String                     COMMENT 'What went wrong; no secret and no body of an answer',
    duration_ms     Float64                    COMMENT 'How long the try took',
    attempted_at    DateTime64(6, 'UTC')       COMMENT 'When it began'
)
ENGINE = {engine}MergeTree
ORDER BY (attempted_at, notification_id, attempt)
TTL toDateTime(attempted_at) + INTERVAL {ttl_days} DAY
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'Every try to deliver a notification.';

CREATE TABLE IF NOT EXISTS {database}.worker_reports
(
    _topic          LowCardinality(String)     COMMENT 'Topic of the partition',
    partition       UInt32                     COMMENT 'Partition',
    owner           String                     COMMENT 'Worker that has it',
    lag             UInt64                     COMMENT 'Records in Kafka that are not stored yet',
    waiting_s       Float64                    COMMENT 'Seconds that the first of them has been waiting, as far as the worker saw',
    stuck_s         Float64                    COMMENT 'Seconds since it got further, while there is something to read; else 0',
    failed_at       Nullable(DateTime64(3, 'UTC')) COMMENT 'When an evaluation or a detector of the worker failed last',
    failure         String                     COMMENT 'How that failed',
    reported_at     DateTime64(3, 'UTC')       COMMENT 'When it said so; the latest holds'
)
ENGINE = {engine}ReplacingMergeTree(reported_at)
ORDER BY (_topic, partition)
COMMENT 'How the workers are, every few seconds: silence is bad news. Read with FINAL.';
