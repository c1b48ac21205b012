select
  f.carrier,
  a.name,
  count(*) as flights,
  count_if(f.cancelled) as cancelled,
  cast(round(avg(f.arr_delay), 2) as decimal(10, 2)) as mean_arr_delay
from {{ ref('flights') }} f
left join {{ ref('airlines') }} a using (carrier)
group by f.carrier, a.name
