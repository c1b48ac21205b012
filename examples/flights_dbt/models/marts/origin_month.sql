{{ config(partition_by='origin') }}

select
  origin,
  cast(date_trunc('month', flight_date) as date) as month,
  count(*) as flights,
  round(avg(dep_delay), 2) as mean_dep_delay
from {{ ref('flights') }}
group by all
