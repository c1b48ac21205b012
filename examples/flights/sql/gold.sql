-- Gold: answers.

CREATE OR REFRESH MATERIALIZED VIEW gold.carrier_delay
COMMENT 'Flights and delays of each carrier over the year (minutes, of flights that departed or arrived)'
AS SELECT
  flights.carrier AS carrier,
  max(airlines.name) AS name,
  count(*) AS flights,
  sum(CASE WHEN flights.dep_time IS NULL THEN 1 ELSE 0 END) AS cancelled,
  count(flights.arr_delay) AS arrived,
  avg(flights.dep_delay) AS mean_dep_delay,
  avg(flights.arr_delay) AS mean_arr_delay
FROM silver.flights AS flights
LEFT JOIN bronze.airlines AS airlines ON airlines.carrier = flights.carrier
GROUP BY flights.carrier;

CREATE OR REFRESH MATERIALIZED VIEW gold.airport_month
COMMENT 'Flights and delays of each airport and month'
AS SELECT
  origin,
  year,
  month,
  count(*) AS flights,
  sum(CASE WHEN dep_time IS NULL THEN 1 ELSE 0 END) AS cancelled,
  avg(dep_delay) AS mean_dep_delay,
  avg(arr_delay) AS mean_arr_delay
FROM silver.flights
GROUP BY origin, year, month;

CREATE OR REFRESH MATERIALIZED VIEW gold.route_day
COMMENT 'Flights and delays of each route and day'
AS SELECT
  origin,
  dest,
  make_date(year, month, day) AS date,
  count(*) AS flights,
  sum(CASE WHEN dep_time IS NULL THEN 1 ELSE 0 END) AS cancelled,
  avg(dep_delay) AS mean_dep_delay,
  avg(arr_delay) AS mean_arr_delay
FROM silver.flights
GROUP BY origin, dest, make_date(year, month, day);

-- Seventeen aircraft change carrier during the year; the records of a partition arrive in order, those of several
-- do not, and a late one finds its place in the history.
CREATE OR REFRESH STREAMING TABLE gold.dim_aircraft
COMMENT 'Which carrier an aircraft flew for, from __START_AT until __END_AT';

CREATE FLOW aircraft_history AS AUTO CDC INTO gold.dim_aircraft
FROM STREAM(silver.aircraft_sightings)
KEYS (tailnum)
SEQUENCE BY time_hour
COLUMNS (tailnum, carrier)
STORED AS SCD TYPE 2
TRACK HISTORY ON (carrier);
