{{ config(materialized='materialized_view', partition_by=['team'], databricks_tags={'owner': var('tag')}) }}

select team, count(*) as events from {{ ref('events') }} where id > {{ var('least', 0) }} group by team
