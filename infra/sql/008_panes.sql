CREATE TABLE IF NOT EXISTS {database}.panes
(
    seconds     UInt32                                  COMMENT 'Size of the pane: 60, 3600; 0 for the account of one insert, which says that its rows are in the panes',
    slice       UInt64                                  COMMENT 'Id of model and slice, named in pane_names; odd for all predictions of a model',
    series      UInt64                                  COMMENT 'What is counted: 1 predictions, 2 score, 3 prediction, 4 latency_ms, 5 cost_usd, else a feature named in pane_names; of an account the id of the insert',
    start       DateTime64(0, 'UTC')                    COMMENT 'Event time at which the pane starts; 1970 for an account',
    bin         Int32                                   COMMENT 'Numbers: sign and the upper 17 bits of the magnitude as IEEE 754; 1048576 null; from 2097152 text, by its hash; 1048577 predictions, 1048578 an account',
    n           SimpleAggregateFunction(sum, UInt64)    COMMENT 'Values in the bin',
    steps       SimpleAggregateFunction(sum, UInt64)    COMMENT 'Sum of how far the numbers are above the lower end of the bin, in 1/65536 of its width',
    squares     SimpleAggregateFunction(sum, UInt64)    COMMENT 'Sum of the squares of these steps',
    written     SimpleAggregateFunction(max, Date)      COMMENT 'Last day on which the worker wrote into the pane'
)
ENGINE = {engine}AggregatingMergeTree
PARTITION BY toYYYYMM(written)
ORDER BY (seconds, slice, series, start, bin)
TTL written + INTERVAL 14 DAY DELETE WHERE seconds = 60,
    written + INTERVAL {ttl_days} DAY DELETE WHERE seconds = 3600,
    written + INTERVAL {ttl_days} + 100 DAY
SETTINGS non_replicated_deduplication_window = 10000, enable_vertical_merge_algorithm = 0
COMMENT 'Counts of predictions and of their values by event time, model and slice. Sums of integers, so that neither order nor batches show. Read through panes_hourly, or the functions of evaluate/panes.py.';

CREATE TABLE IF NOT EXISTS {database}.pane_names
(
    kind    Enum8('slice' = 1, 'feature' = 2, 'category' = 3) COMMENT 'What is named',
    model   LowCardinality(String)                      COMMENT 'Model name',
    id      UInt64                                      COMMENT 'Slice or series of the panes',
    bin     Int32                                       COMMENT 'Bin of a category; 0 otherwise',
    key     String                                      COMMENT 'Empty, version, the name of a segment, or variants.EXPERIMENT; of the others the name of the feature',
    least   SimpleAggregateFunction(min, String)        COMMENT 'Value of the slice, or text of the category: the first of those that share the bin',
    most    SimpleAggregateFunction(max, String)        COMMENT 'The last of them; the same as the first where it is the only one'
)
ENGINE = {engine}AggregatingMergeTree
ORDER BY (model, kind, id, bin, key)
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'What the ids in panes stand for. Writing a name again changes nothing.';

CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.pane_slices_of_predictions TO {database}.pane_names AS
SELECT named.1 AS kind, model, named.2 AS id, 0::Int32 AS bin, named.3 AS key, named.4 AS least, least AS most
FROM
(
    SELECT
        model,
        arrayConcat(
            [('slice', bitOr(cityHash64(model), 1), '', ''),
             ('slice', bitAnd(cityHash64(model, 'version', version), 18446744073709551614), 'version', toString(version))],
            arrayMap((k, v) -> ('slice', bitAnd(cityHash64(model, 'segment', k, v), 18446744073709551614), toString(k), v),
                arraySlice(mapKeys(segments), 1, 8), arraySlice(mapValues(segments), 1, 8)),
            arrayMap((k, v) -> ('slice', bitAnd(cityHash64(model, 'variant', k, v), 18446744073709551614), concat('variants.', k), v),
                arraySlice(mapKeys(variants), 1, 8), arraySlice(mapValues(variants), 1, 8)),
            arrayMap(k -> ('feature', cityHash64(k), toString(k), ''),
                arrayConcat(arraySlice(mapKeys(features_num), 1, 256), arraySlice(mapKeys(features_cat), 1, 256)))
        ) AS names
    FROM
    (
        SELECT model, version, segments, variants, features_num, features_cat FROM {database}.predictions
        LIMIT 1 BY model, version, cityHash64(segments, variants, mapKeys(features_num), mapKeys(features_cat))
    )
)
ARRAY JOIN names AS named
LIMIT 1 BY model, cityHash64(named);

CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.pane_categories_of_predictions TO {database}.pane_names AS
SELECT
    'category' AS kind, model, id, (2097152 + bitAnd(cityHash64(text), 65535))::Int32 AS bin,
    toString(name) AS key, text AS least, text AS most
FROM
(
    SELECT
        model,
        prediction IS NULL OR (prediction_value IS NOT NULL AND prediction NOT IN ('true', 'false')) AS is_number,
        arraySlice(mapKeys(features_cat), 1, 256) AS features,
        arrayConcat(features, if(is_number, [], [''])) AS names,
        arrayConcat(arrayMap(name -> cityHash64(name), features), if(is_number, [], [3::UInt64])) AS ids,
        arrayConcat(arraySlice(mapValues(features_cat), 1, 256), if(is_number, [], [ifNull(prediction, '')])) AS texts
    FROM {database}.predictions
)
ARRAY JOIN names AS name, ids AS id, texts AS text
LIMIT 1 BY cityHash64(model, id, text)
;

CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.panes_of_predictions TO {database}.panes AS
SELECT pane.1 AS seconds, slice, series, pane.2 AS start, bin, n, steps, squares, written
FROM
(
    SELECT
        slice, series, base, bin, count() AS n, sum(step) AS steps, sum(step * step) AS squares, max(day) AS written,
        multiIf(
            bin = 1048578, [(0::UInt32, toDateTime64(0, 0, 'UTC'))],
            positiveModulo(base, 60) = 0,
            [(60::UInt32, fromUnixTimestamp64Second(base, 'UTC')),
             (3600::UInt32, fromUnixTimestamp64Second(base - positiveModulo(base, 3600), 'UTC'))],
            [(3600::UInt32, fromUnixTimestamp64Second(base - 1, 'UTC'))]) AS panes
    FROM
    (
        SELECT day, base AS start_of_base, slice, all_series, bins, steps_up
        FROM
        (
            SELECT
                toDate(_ingested_at) AS day,
                ts > _ingested_at - INTERVAL 2 DAY AS fresh,
                intDiv(toUnixTimestamp64Micro(ts) - positiveModulo(toUnixTimestamp64Micro(ts), if(fresh, 60000000, 3600000000)), 1000000) + if(fresh, 0, 1) AS base,
                arrayConcat(
                    [bitOr(cityHash64(model), 1), bitAnd(cityHash64(model, 'version', version), 18446744073709551614)],
                    arrayMap((k, v) -> bitAnd(cityHash64(model, 'segment', k, v), 18446744073709551614),
                        arraySlice(mapKeys(segments), 1, 8), arraySlice(mapValues(segments), 1, 8)),
                    arrayMap((k, v) -> bitAnd(cityHash64(model, 'variant', k, v), 18446744073709551614),
                        arraySlice(mapKeys(variants), 1, 8), arraySlice(mapValues(variants), 1, 8))
                ) AS slices,
                prediction_value IS NOT NULL AND prediction NOT IN ('true', 'false') AS is_number,
                arrayConcat(
                    arraySlice(mapValues(features_num), 1, 256),
                    if(score IS NULL, [], [score]), if(latency_ms IS NULL, [], [latency_ms]),
                    if(cost_usd IS NULL, [], [cost_usd]), if(is_number, [prediction_value], [])
                ) AS numbers,
                arrayConcat(arraySlice(mapValues(features_cat), 1, 256), if(is_number OR prediction IS NULL, [], [ifNull(prediction, '')])) AS texts,
                arrayConcat(
                    arrayMap(name -> cityHash64(name), arraySlice(mapKeys(features_num), 1, 256)),
                    if(score IS NULL, [], [2::UInt64]), if(latency_ms IS NULL, [], [4::UInt64]),
                    if(cost_usd IS NULL, [], [5::UInt64]), if(is_number, [3::UInt64], []),
                    arrayMap(name -> cityHash64(name), arraySlice(mapKeys(features_cat), 1, 256)), if(is_number OR prediction IS NULL, [], [3::UInt64]),
                    [1::UInt64, cityHash64(_topic, _topic_id, _partition, _ingested_at)]
                ) AS all_series,
                arrayConcat(
                    arrayMap(x -> if(x IS NULL, 1048576,
                        if(x < 0, -1, 1) * toInt32(bitShiftRight(reinterpretAsUInt64(abs(assumeNotNull(x))), 46)))::Int32, numbers),
                    arrayMap(text -> (2097152 + bitAnd(cityHash64(text), 65535))::Int32, texts),
                    [1048577::Int32, 1048578::Int32]
                ) AS bins,
                arrayConcat(
                    arrayMap(x -> bitShiftRight(bitAnd(reinterpretAsUInt64(abs(ifNull(x, 0.))), 70368744177663) + 536870912, 30), numbers),
                    arrayWithConstant(length(texts) + 2, 0::UInt64)
                ) AS steps_up
            FROM {database}.predictions
        )
        ARRAY JOIN slices AS slice
    )
    ARRAY JOIN all_series AS series, bins AS bin, steps_up AS step
    GROUP BY slice, series, if(bin = 1048578, 0, start_of_base) AS base, bin
    HAVING bin != 1048578 OR bitAnd(slice, 1)
)
ARRAY JOIN panes AS pane;

CREATE OR REPLACE VIEW {database}.panes_hourly AS
WITH
    bins AS
    (
        SELECT
            slice, start, series, bin, sum(panes.n) AS n, sum(panes.steps) AS steps, sum(squares) * n = steps * steps AS alike,
            if(bin < 0, -1, 1) * reinterpretAsFloat64(bitShiftLeft(toUInt64(abs(bin)), 46)) AS inner,
            if(bin < 0, -1, 1) * reinterpretAsFloat64(bitShiftLeft(toUInt64(abs(bin)) + 1, 46)) AS outer,
            inner + steps / n * (outer - inner) / 65536 AS mean_of_bin
        FROM {database}.panes WHERE seconds = 3600 GROUP BY slice, start, series, bin
    ),
    names AS
    (
        SELECT model, id, kind, any(key) AS key, min(least) AS value FROM {database}.pane_names
        WHERE kind != 'category' GROUP BY model, id, kind
    )
SELECT
    sliced.model AS model, sliced.key AS segment_key, sliced.value AS segment, bins.start AS hour,
    multiIf(bins.series = 1, 'predictions', bins.series = 2, 'score', bins.series = 3, 'prediction', bins.series = 4, 'latency_ms',
        bins.series = 5, 'cost_usd', '') AS output,
    named.key AS feature,
    sumIf(n, bin != 1048576) AS present,
    sumIf(n, bin = 1048576) AS nulls,
    sumIf(n, bin < 1048576) AS numbers,
    sumIf(n, bin >= 2097152) AS texts,
    uniqExactIf(bin, bin >= 2097152) AS categories,
    sumIf(n * mean_of_bin, bin < 1048576) / numbers AS mean,
    quantilesExactWeightedIf(0.01, 0.25, 0.5, 0.75, 0.99)(if(alike, mean_of_bin, (inner + outer) / 2), n, bin < 1048576) AS p1_p25_p50_p75_p99
FROM bins
INNER JOIN names AS sliced ON sliced.id = bins.slice AND sliced.kind = 'slice'
LEFT JOIN names AS named ON named.id = bins.series AND named.kind = 'feature' AND named.model = sliced.model
GROUP BY model, segment_key, segment, hour, output, feature
COMMENT 'Panes of hours in numbers: volume (output predictions), and of each feature and output how many values of which type, mean and quantiles; these are off by at most 1/128 of the number.';
