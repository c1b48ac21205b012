{{ config(materialized='table', event_time='joined_at') }}

select id, name, joined_at from {{ ref('people') }}
