{{ config(materialized='metric_view', view_update_via_alter=true, databricks_tags={'owner': 'core'}, tblproperties={'quality': var('quality', 'gold')}) }}

version: 1.1
source: "{{ ref('people') }}"
dimensions:
  - name: team
    expr: upper(team)
    synonyms: [crew, squad]
measures:
  - name: people
    expr: count({{ var('counted', '1') }})
  - name: first
    expr: min(joined_at)
