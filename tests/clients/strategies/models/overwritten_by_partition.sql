{{ config(materialized='incremental', incremental_strategy='insert_overwrite', partition_by='signup_date') }}

select id, name, cast(amount as decimal(10, 2)) as amount, cast(signup_date as date) as signup_date
from {{ ref('users') }}
{% if is_incremental() %} where id = 2 {% endif %}
