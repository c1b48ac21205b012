-- Bronze: what arrived, as it arrived.

-- The audit trail: every record of the topic, whatever it holds, and when it was taken in.
CREATE OR REFRESH STREAMING TABLE bronze.flights_raw
COMMENT 'Every Kafka record of the flights topic, append-only'
AS SELECT
  key,
  value,
  topic,
  partition,
  offset,
  timestamp,
  CAST(current_timestamp() AS TIMESTAMP) AS ingested_at
FROM STREAM read_kafka(
  bootstrapServers => '${bootstrap_servers}',
  subscribe => '${topic}',
  startingOffsets => 'earliest',
  maxOffsetsPerTrigger => ${records_per_batch}
);

CREATE OR REFRESH MATERIALIZED VIEW bronze.airlines
COMMENT 'Airlines by carrier code'
AS SELECT * FROM read_files(
  '${project}/data/airlines.csv',
  format => 'csv',
  header => true,
  schema => 'carrier STRING, name STRING'
);

-- Where nothing is known the files say NA.
CREATE OR REFRESH MATERIALIZED VIEW bronze.airports
COMMENT 'Airports by FAA code (some destinations of the flights are not in it)'
AS SELECT
  faa,
  name,
  CAST(nullif(lat, 'NA') AS DOUBLE) AS lat,
  CAST(nullif(lon, 'NA') AS DOUBLE) AS lon,
  CAST(nullif(alt, 'NA') AS INT) AS alt,
  CAST(nullif(tz, 'NA') AS INT) AS tz,
  nullif(dst, 'NA') AS dst,
  nullif(tzone, 'NA') AS tzone
FROM read_files(
  '${project}/data/airports.csv',
  format => 'csv',
  header => true,
  schema => 'faa STRING, name STRING, lat STRING, lon STRING, alt STRING, tz STRING, dst STRING, tzone STRING'
);

CREATE OR REFRESH MATERIALIZED VIEW bronze.planes
COMMENT 'Aircraft by tail number (some aircraft of the flights are not in it)'
AS SELECT
  tailnum,
  CAST(nullif(year, 'NA') AS INT) AS year,
  nullif(type, 'NA') AS type,
  nullif(manufacturer, 'NA') AS manufacturer,
  nullif(model, 'NA') AS model,
  CAST(nullif(engines, 'NA') AS INT) AS engines,
  CAST(nullif(seats, 'NA') AS INT) AS seats,
  CAST(nullif(speed, 'NA') AS INT) AS speed,
  nullif(engine, 'NA') AS engine
FROM read_files(
  '${project}/data/planes.csv',
  format => 'csv',
  header => true,
  schema => 'tailnum STRING, year STRING, type STRING, manufacturer STRING, model STRING, engines STRING, seats STRING, speed STRING, engine STRING'
);

-- The file holds every column as a string.
CREATE OR REFRESH MATERIALIZED VIEW bronze.weather
COMMENT 'Hourly weather at the three airports'
AS SELECT
  origin,
  CAST(year AS INT) AS year,
  CAST(month AS INT) AS month,
  CAST(day AS INT) AS day,
  CAST(hour AS INT) AS hour,
  CAST(temp AS DOUBLE) AS temp,
  CAST(dewp AS DOUBLE) AS dewp,
  CAST(humid AS DOUBLE) AS humid,
  CAST(wind_dir AS INT) AS wind_dir,
  CAST(wind_speed AS DOUBLE) AS wind_speed,
  CAST(wind_gust AS DOUBLE) AS wind_gust,
  CAST(precip AS DOUBLE) AS precip,
  CAST(pressure AS DOUBLE) AS pressure,
  CAST(visib AS DOUBLE) AS visib,
  CAST(time_hour AS TIMESTAMP) AS time_hour
FROM read_files('${project}/data/weather.parquet', format => 'parquet');
