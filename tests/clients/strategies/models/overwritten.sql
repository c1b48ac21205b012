{{ config(materialized='incremental', incremental_strategy='insert_overwrite') }}

select id, name, cast(amount as decimal(10, 2)) as amount, cast(signup_date as date) as signup_date
from {{ ref('users') }}
