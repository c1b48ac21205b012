-- Silver: parsed, typed, validated, each flight once.
--
--   bronze.flights_raw ─┬─► flights_parsed ─┬─► flights             AUTO CDC, SCD type 1
--                       │   (append-only)   └─► aircraft_sightings ─► gold.dim_aircraft
--                       └─► flights_quarantine
--
-- `flights` is rewritten when a flight is sent again, so nothing streams from it; `flights_parsed` only grows and
-- can be streamed from as often as needed.

-- A record without the flight's key is no flight: either it could not be read whole, or the key is missing. Of a record
-- with one value that is not of its type, from_json reads the others and says so in `_corrupt_record`; such a record has
-- no hour here, and so no key. The first expectation drops these rows and `flights_quarantine` keeps exactly them. The
-- others count what is odd in the data but stays: flights that were cancelled, unknown aircraft, midnight written as
-- 2400.
CREATE OR REFRESH STREAMING TABLE silver.flights_parsed (
  CONSTRAINT readable_with_key EXPECT (
    time_hour IS NOT NULL AND carrier IS NOT NULL AND flight IS NOT NULL AND origin IS NOT NULL
  ) ON VIOLATION DROP ROW,
  CONSTRAINT from_new_york EXPECT (origin IN ('EWR', 'JFK', 'LGA')),
  CONSTRAINT distance_positive EXPECT (distance > 0),
  CONSTRAINT departed EXPECT (dep_time IS NOT NULL),
  CONSTRAINT aircraft_known EXPECT (tailnum IS NOT NULL),
  CONSTRAINT times_before_2400 EXPECT (coalesce(dep_time, 0) < 2400 AND coalesce(arr_time, 0) < 2400)
)
COMMENT 'Readable records of bronze, typed (a flight that was sent twice is here twice)'
AS SELECT
  record.year AS year,
  record.month AS month,
  record.day AS day,
  record.dep_time AS dep_time,
  record.sched_dep_time AS sched_dep_time,
  record.dep_delay AS dep_delay,
  record.arr_time AS arr_time,
  record.sched_arr_time AS sched_arr_time,
  record.arr_delay AS arr_delay,
  record.carrier AS carrier,
  record.flight AS flight,
  record.tailnum AS tailnum,
  record.origin AS origin,
  record.dest AS dest,
  record.air_time AS air_time,
  record.distance AS distance,
  record.hour AS hour,
  record.minute AS minute,
  CASE WHEN record._corrupt_record IS NULL THEN record.time_hour END AS time_hour,
  sent_at
FROM (
  SELECT from_json(value, '${flight_columns}') AS record, timestamp AS sent_at
  FROM STREAM bronze.flights_raw
) AS parsed;

-- The rows that `flights_parsed` drops, with the reason and where to find them in the topic.
CREATE OR REFRESH STREAMING TABLE silver.flights_quarantine
COMMENT 'Records that are no flights, as they came, with the reason'
AS SELECT
  CASE
    WHEN value IS NULL OR length(value) = 0 THEN 'the record is empty'
    WHEN object._corrupt_record IS NOT NULL THEN 'the record is not one JSON object'
    WHEN record._corrupt_record IS NOT NULL THEN 'a value is not of its column''s type'
    ELSE 'a column of the key is missing'
  END AS reason,
  value,
  topic,
  partition,
  offset,
  sent_at
FROM (
  SELECT
    value,
    topic,
    partition,
    offset,
    timestamp AS sent_at,
    from_json(value, '_corrupt_record STRING') AS object,
    from_json(value, '${flight_columns}') AS record
  FROM STREAM bronze.flights_raw
) AS parsed
WHERE record._corrupt_record IS NOT NULL
  OR record.time_hour IS NULL OR record.carrier IS NULL OR record.flight IS NULL OR record.origin IS NULL;

-- One row a flight: the one sent last. A record that is sent twice, or read twice after a crash, counts once.
CREATE OR REFRESH STREAMING TABLE silver.flights
COMMENT 'Flights that left New York City in 2013, one row each';

CREATE FLOW flights_latest AS AUTO CDC INTO silver.flights
FROM STREAM(silver.flights_parsed)
KEYS (time_hour, carrier, flight, origin)
SEQUENCE BY sent_at
STORED AS SCD TYPE 1;

-- One row for each record that names an aircraft, however records are cut into micro-batches; the history does not
-- mind that a sighting is here more than once.
CREATE OR REFRESH STREAMING TABLE silver.aircraft_sightings
COMMENT 'Which aircraft flew for which carrier, and in which hour'
AS SELECT tailnum, carrier, time_hour
FROM STREAM silver.flights_parsed
WHERE tailnum IS NOT NULL;
