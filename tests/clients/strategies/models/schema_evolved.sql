{{ config(materialized='incremental', unique_key='id', merge_with_schema_evolution=true) }}

select id, name {% if is_incremental() %}, 1 as extra {% endif %}
from {{ ref('users') }}
