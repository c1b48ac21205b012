{{ config(materialized='table') }}

select team, count(*) as people from {{ ref('people') }} group by team
