{{ config(materialized='incremental', incremental_strategy='microbatch', event_time='joined_at', batch_size='day',
          begin='2024-01-01', lookback=1, liquid_clustered_by='joined_at') }}

select id, name, joined_at from {{ ref('joined') }}
