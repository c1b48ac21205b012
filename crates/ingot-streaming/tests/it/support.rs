//! Reading of a source's batches.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use datafusion::prelude::SessionContext;
use ingot_streaming::{Offset, Result, Source};

pub fn options(given: &[(&str, &str)]) -> BTreeMap<String, String> {
    let given = given
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    given.collect()
}

/// Reads the rows between two offsets.
pub async fn rows(source: &dyn Source, start: &Offset, end: &Offset) -> Result<Vec<RecordBatch>> {
    let batch = source.batch(start, end).await?;
    let rows = SessionContext::new()
        .read_table(batch.relation)
        .expect("relation");
    let batches = rows.collect().await.map_err(ingot_engine::Error::from)?;
    let count: usize = batches.iter().map(RecordBatch::num_rows).sum();
    assert_eq!(batch.rows.total(), count as u64, "rows are counted");
    Ok(batches)
}
