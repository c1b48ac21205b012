CREATE OR REFRESH STREAMING TABLE silver.flights (
  CONSTRAINT readable EXPECT (time_hour IS NOT NULL AND flight IS NOT NULL) ON VIOLATION DROP ROW,
  CONSTRAINT distance_positive EXPECT (distance > 0)
)
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
  record.time_hour AS time_hour
FROM (
  SELECT from_json(
    value,
    'year INT, month INT, day INT, dep_time INT, sched_dep_time INT, dep_delay INT, arr_time INT, sched_arr_time INT, arr_delay INT, carrier STRING, flight INT, tailnum STRING, origin STRING, dest STRING, air_time INT, distance INT, hour INT, minute INT, time_hour TIMESTAMP'
  ) AS record
  FROM STREAM bronze.flights_raw
) AS parsed;
