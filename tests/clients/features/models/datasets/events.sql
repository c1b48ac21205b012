{{ config(materialized='incremental', incremental_strategy='append') }}

select id, team from {{ ref('people') }} where id > {{ var('since') }}
