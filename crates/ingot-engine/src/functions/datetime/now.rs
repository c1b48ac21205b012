//! What time it is: `current_timestamp`, `current_date`, `localtimestamp`. All of a statement see the same.
//!
//! Source: Spark, `CurrentTimestamp`, `ComputeCurrentTime`.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, lit,
};

use super::moments::{LOCAL, zone};
use crate::functions::arguments::timestamp;
use crate::spark::temporal::{self, Zone};

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    let made = |what, name, aliases: &[&str]| {
        Arc::new(ScalarUDF::from(Now {
            what,
            name,
            aliases: aliases.iter().map(|alias| (*alias).to_owned()).collect(),
            signature: Signature::nullary(Volatility::Stable),
        }))
    };
    vec![
        made(What::Instant, "current_timestamp", &["now"]),
        made(What::Day, "current_date", &["curdate"]),
        made(What::Local, "localtimestamp", &[]),
    ]
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum What {
    Instant,
    Day,
    Local,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Now {
    what: What,
    name: &'static str,
    aliases: Vec<String>,
    signature: Signature,
}

impl Now {
    fn at(&self, instant: i64, zone: &Zone) -> ScalarValue {
        match self.what {
            What::Instant => ScalarValue::TimestampMicrosecond(Some(instant), Some("UTC".into())),
            What::Day => ScalarValue::Date32(Some(zone.day(instant))),
            What::Local => ScalarValue::TimestampMicrosecond(Some(zone.local(instant)), None),
        }
    }
}

impl ScalarUDFImpl for Now {
    fn name(&self) -> &str {
        self.name
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(match self.what {
            What::Instant => timestamp(),
            What::Day => DataType::Date32,
            What::Local => LOCAL,
        })
    }

    fn simplify(&self, arguments: Vec<Expr>, context: &SimplifyContext) -> Result<ExprSimplifyResult> {
        let Some(start) = context.query_execution_start_time() else {
            return Ok(ExprSimplifyResult::Original(arguments));
        };
        let name = context.config_options().execution.time_zone.as_deref();
        let zone = name.and_then(Zone::parse).unwrap_or(Zone::UTC);
        let now = self.at(start.timestamp_micros(), &zone);
        Ok(ExprSimplifyResult::Simplified(lit(now)))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let now = self.at(temporal::now(), &zone(&arguments));
        Ok(ColumnarValue::Scalar(now))
    }
}
