{{ config(materialized='incremental', unique_key='id', on_schema_change='sync_all_columns') }}

select id, name {% if is_incremental() %}, 1 as extra {% endif %}
from {{ ref('users') }}
