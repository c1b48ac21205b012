{{ config(materialized='incremental', incremental_strategy='replace_where', incremental_predicates='id >= 2') }}

select id, name, cast(amount as decimal(10, 2)) as amount, cast(signup_date as date) as signup_date
from {{ ref('users') }}
where id >= 2
