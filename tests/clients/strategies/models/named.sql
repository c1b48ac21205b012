{{ config(materialized='ephemeral') }}

select * from {{ ref('users') }} where name is not null
