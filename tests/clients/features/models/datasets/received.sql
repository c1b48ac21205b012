{{ config(materialized='streaming_table', schedule={'every': var('every')}, tblproperties={'quality': 'bronze'}) }}

select id, upper(team) as team from stream {{ ref('events') }}
