//! Functions: DataFusion's, then Spark's over them, then ours.

mod from_json;

use datafusion::logical_expr::ScalarUDF;
use datafusion::prelude::SessionContext;

use crate::Result;

/// Makes every function known to a session. Later ones take the place of earlier ones of the same name, so
/// Spark's meaning wins.
pub(crate) fn register(context: &SessionContext) -> Result<()> {
    let state = context.state_ref();
    let mut state = state.write();
    datafusion_spark::register_all(&mut *state)?;
    drop(state);
    context.register_udf(ScalarUDF::from(from_json::FromJson::new()));
    Ok(())
}
