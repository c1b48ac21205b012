{{ config(materialized='incremental', incremental_strategy='merge', unique_key='flight_id', liquid_clustered_by='flight_date') }}

select *
from {{ ref('stg_flights') }}
where flight_date <= date '{{ var("until") }}'
{% if is_incremental() %}
  and flight_date >= (select coalesce(max(flight_date), date '2013-01-01') from {{ this }})
{% endif %}
qualify row_number() over (partition by flight_id order by scheduled_hour) = 1
