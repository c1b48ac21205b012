{% snapshot carriers_snapshot %}
{{ config(target_schema='flights_dbt', unique_key='carrier', strategy='check', check_cols=['flights', 'mean_arr_delay']) }}
select * from {{ ref('carrier_delay') }}
{% endsnapshot %}
