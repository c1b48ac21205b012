{{ config(materialized='materialized_view', schedule={'cron': var('cron', '0 0 0 * * ?'), 'time_zone_value': 'Etc/UTC'}, on_configuration_change=var('on_change', 'apply')) }}

select max(id) as newest from {{ ref('events') }}
