{{ config(materialized='incremental', unique_key='id') }}

select id, team, name from {{ ref('people') }}
