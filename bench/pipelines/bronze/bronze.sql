CREATE OR REFRESH STREAMING TABLE bronze.flights_raw
AS SELECT key, value, topic, partition, offset, timestamp
FROM STREAM read_kafka(
  bootstrapServers => '${bootstrap_servers}',
  subscribe => 'flights',
  startingOffsets => 'earliest',
  maxOffsetsPerTrigger => 250000
);
