select
  {{ dbt.concat(["carrier", "'-'", "cast(flight as string)", "'-'", "origin", "'-'", "cast(time_hour as string)"]) }} as flight_id,
  carrier,
  flight,
  tailnum,
  origin,
  dest,
  cast(time_hour as timestamp) as scheduled_hour,
  make_date(year, month, day) as flight_date,
  dep_delay,
  arr_delay,
  distance,
  dep_time is null as cancelled
from {{ source('flights_raw', 'flights') }}
