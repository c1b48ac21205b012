-- Flights that were reported up to the day and are not there.
select s.flight_id
from {{ ref('stg_flights') }} s
left anti join {{ ref('flights') }} f on s.flight_id = f.flight_id
where s.flight_date <= date '{{ var("until") }}'
