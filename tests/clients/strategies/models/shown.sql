{{ config(materialized='view', tblproperties={'k': 'v'}) }}

select * from {{ ref('named') }}
