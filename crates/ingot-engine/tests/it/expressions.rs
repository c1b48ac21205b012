//! Expressions with the types and results that Apache Spark 4.2 gives them, recorded from it.
//!
//! `tests/spark/expressions.jsonl` has one of them per line: `sql`, and either `types` and `rows` (values as Python's
//! `repr` shows them, rows of windows in the order of their texts) or `error`, the condition. The session is in
//! Los Angeles.

use std::fmt::Write as _;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, DurationMicrosecondType, Float32Type, Float64Type, Int8Type,
    Int16Type, Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType,
};
use arrow::temporal_conversions::{date32_to_datetime, timestamp_us_to_datetime};
use chrono::{Datelike, NaiveDateTime, Timelike};
use futures::{FutureExt, TryStreamExt};
use ingot_common::Classify;
use ingot_engine::Session;
use ingot_engine::write::type_text;
use serde::Deserialize;
use serde_json::Value;

use crate::support;

const RECORDED: &str = include_str!("../spark/expressions.jsonl");

/// The view that some of the expressions read.
const VIEW: &str = "CREATE TEMPORARY VIEW t AS SELECT * FROM VALUES \
    (1,1,'a',1.5d,cast(1.10 as decimal(10,2)),date'2024-01-01',true),\
    (1,2,'b',2.5d,cast(2.20 as decimal(10,2)),date'2024-01-02',false),\
    (2,3,'b',null,cast(3.30 as decimal(10,2)),date'2024-01-03',true),\
    (2,4,null,4.5d,null,null,null) as t(k,v,s,dbl,dec,d,b)";

/// Expressions whose type or result is another here, and why.
const DIFFERENT: [(&str, &str); 1] = [(
    "select histogram_numeric(v,2) as r from t",
    "Spark recorded the bins of two partitions joined; here, as in one partition of Spark's, they are of all values",
)];

#[derive(Deserialize)]
struct Recorded {
    sql: String,
    #[serde(default)]
    types: Vec<String>,
    #[serde(default)]
    rows: Vec<Value>,
    error: Option<String>,
}

/// What came of an expression: types and rows, or a condition and a message.
type Outcome = Result<(Vec<String>, Vec<Value>), (String, String)>;

#[tokio::test]
async fn expressions_are_what_they_are_in_spark() {
    let directory = tempfile::tempdir().expect("directory");
    let engine = support::engine(directory.path()).await;
    let session = support::session(&engine);
    for statement in ["SET TIME ZONE 'America/Los_Angeles'", VIEW] {
        session.execute(statement).await.expect(statement);
    }
    let (mut wrong, mut agree) = (String::new(), 0);
    for line in RECORDED.lines() {
        let recorded: Recorded = serde_json::from_str(line).expect("a line of JSON");
        let run = std::panic::AssertUnwindSafe(outcome(&session, &recorded.sql)).catch_unwind();
        let outcome = run
            .await
            .unwrap_or_else(|_| Err(("PANIC".to_owned(), String::new())));
        let difference = difference(&recorded, &outcome);
        let listed = DIFFERENT.iter().any(|(sql, _)| *sql == recorded.sql);
        match (difference, listed) {
            (None, false) => agree += 1,
            (Some(_), true) => {}
            (None, true) => {
                writeln!(wrong, "{}\n    agrees, and is listed as different", recorded.sql).expect("text")
            }
            (Some(difference), false) => writeln!(wrong, "{}\n    {difference}", recorded.sql).expect("text"),
        }
    }
    assert!(wrong.is_empty(), "{agree} agree; not so:\n{wrong}");
}

fn difference(recorded: &Recorded, outcome: &Outcome) -> Option<String> {
    match (&recorded.error, outcome) {
        (Some(expected), Err((condition, message))) => (condition != expected)
            .then(|| format!("{expected} is the condition, not {condition}: {message}")),
        (Some(expected), Ok((types, rows))) => {
            Some(format!("{expected} is the condition, not {types:?} {rows:?}"))
        }
        (None, Err((condition, message))) => Some(format!("{condition}: {message}")),
        (None, Ok((types, _))) if *types != recorded.types => {
            Some(format!("{:?} are the types, not {types:?}", recorded.types))
        }
        (None, Ok((_, rows))) => {
            let rows: Vec<Value> = match recorded.rows.first() {
                Some(Value::String(_)) => {
                    let mut rows: Vec<String> = rows.iter().map(python_list).collect();
                    rows.sort();
                    rows.into_iter().map(Value::String).collect()
                }
                _ => rows.clone(),
            };
            let expected = Value::Array(recorded.rows.clone());
            let found = Value::Array(rows);
            (expected != found).then(|| format!("{expected} is the result, not {found}"))
        }
    }
}

async fn outcome(session: &Session, sql: &str) -> Outcome {
    let result = session.execute(sql).await.map_err(|error| {
        let condition = error.condition().unwrap_or("(none)").to_owned();
        (condition, error.to_string())
    })?;
    let types = result
        .schema
        .fields()
        .iter()
        .map(|field| type_text(field.data_type()))
        .collect();
    let batches: Vec<RecordBatch> = result.batches.try_collect().await.map_err(|error| {
        (
            error.condition.unwrap_or("(none)".into()).to_string(),
            error.message,
        )
    })?;
    let mut rows = Vec::new();
    for batch in &batches {
        for row in 0..batch.num_rows() {
            rows.push(Value::Array(
                batch.columns().iter().map(|column| python(column, row)).collect(),
            ));
        }
    }
    Ok((types, rows))
}

/// Writes a value as Python's `repr` does; lists and structs as arrays, maps as objects.
fn python(array: &ArrayRef, row: usize) -> Value {
    if array.is_null(row) || array.data_type() == &DataType::Null {
        return "None".into();
    }
    let text = match array.data_type() {
        DataType::Boolean => if array.as_boolean().value(row) {
            "True"
        } else {
            "False"
        }
        .to_owned(),
        DataType::Int8 => array.as_primitive::<Int8Type>().value(row).to_string(),
        DataType::Int16 => array.as_primitive::<Int16Type>().value(row).to_string(),
        DataType::Int32 => array.as_primitive::<Int32Type>().value(row).to_string(),
        DataType::Int64 => array.as_primitive::<Int64Type>().value(row).to_string(),
        DataType::Float32 => float(f64::from(array.as_primitive::<Float32Type>().value(row))),
        DataType::Float64 => float(array.as_primitive::<Float64Type>().value(row)),
        DataType::Decimal128(_, _) => {
            format!(
                "Decimal('{}')",
                array.as_primitive::<Decimal128Type>().value_as_string(row)
            )
        }
        DataType::Utf8 => python_text(array.as_string::<i32>().value(row)),
        DataType::Utf8View => python_text(array.as_string_view().value(row)),
        DataType::Binary => python_bytes(array.as_binary::<i32>().value(row)),
        DataType::Date32 => {
            let day = date32_to_datetime(array.as_primitive::<Date32Type>().value(row)).expect("a day");
            format!("datetime.date({}, {}, {})", day.year(), day.month(), day.day())
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            let micros = array.as_primitive::<TimestampMicrosecondType>().value(row);
            instant(timestamp_us_to_datetime(micros).expect("an instant"))
        }
        DataType::Duration(TimeUnit::Microsecond) => {
            duration(array.as_primitive::<DurationMicrosecondType>().value(row))
        }
        DataType::List(_) => {
            let items = array.as_list::<i32>().value(row);
            return (0..items.len()).map(|item| python(&items, item)).collect();
        }
        DataType::Struct(fields) if fields[0].metadata().contains_key("ingot.variant") => {
            let parts = array.as_struct();
            let part = |place: usize| python_bytes(parts.column(place).as_binary::<i32>().value(row));
            format!("VariantVal({}, {})", part(1), part(0))
        }
        DataType::Struct(_) => {
            let fields = array.as_struct().columns();
            return fields.iter().map(|field| python(field, row)).collect();
        }
        DataType::Map(_, _) => {
            let entries = array.as_map().value(row);
            let (keys, values) = (entries.column(0), entries.column(1));
            let entry = |place| {
                let key = python(keys, place);
                let key = key
                    .as_str()
                    .expect("a key is no list")
                    .trim_matches('\'')
                    .to_owned();
                (key, python(values, place))
            };
            return Value::Object((0..entries.len()).map(entry).collect());
        }
        other => format!("a value of {other}"),
    };
    text.into()
}

/// Writes ten digits, as the recording does.
fn float(value: f64) -> String {
    if !value.is_finite() {
        return value.to_string().to_lowercase();
    }
    let scientific = format!("{value:.9e}");
    let (digits, exponent) = scientific.split_once('e').expect("an exponent");
    let exponent: i32 = exponent.parse().expect("a number");
    let trimmed = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    if (-4..10).contains(&exponent) {
        let places = usize::try_from(9 - exponent).expect("small");
        return trimmed(&format!("{value:.places$}"));
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", trimmed(digits), exponent.abs())
}

fn instant(at: NaiveDateTime) -> String {
    let mut text = format!(
        "datetime.datetime({}, {}, {}, {}, {}",
        at.year(),
        at.month(),
        at.day(),
        at.hour(),
        at.minute()
    );
    let micros = at.nanosecond() / 1000;
    if at.second() > 0 || micros > 0 {
        write!(text, ", {}", at.second()).expect("text");
    }
    if micros > 0 {
        write!(text, ", {micros}").expect("text");
    }
    text + ")"
}

fn duration(micros: i64) -> String {
    let day = 86_400_000_000;
    let (days, rest) = (micros.div_euclid(day), micros.rem_euclid(day));
    let parts = [
        ("days", days),
        ("seconds", rest / 1_000_000),
        ("microseconds", rest % 1_000_000),
    ];
    let parts = parts.iter().filter(|(_, value)| *value != 0);
    let parts: Vec<String> = parts.map(|(name, value)| format!("{name}={value}")).collect();
    match parts.is_empty() {
        true => "datetime.timedelta(0)".to_owned(),
        false => format!("datetime.timedelta({})", parts.join(", ")),
    }
}

fn python_text(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') {
        '"'
    } else {
        '\''
    };
    let mut written = String::from(quote);
    for character in text.chars() {
        match character {
            '\\' => written.push_str("\\\\"),
            '\n' => written.push_str("\\n"),
            '\r' => written.push_str("\\r"),
            '\t' => written.push_str("\\t"),
            character if character == quote => written.extend(['\\', quote]),
            character => written.push(character),
        }
    }
    written.push(quote);
    written
}

fn python_bytes(bytes: &[u8]) -> String {
    let shown = bytes.iter().map(|byte| match byte {
        b'\\' => "\\\\".to_owned(),
        b' '..=b'~' => char::from(*byte).to_string(),
        other => format!("\\x{other:02x}"),
    });
    format!("b'{}'", shown.collect::<String>())
}

/// Writes a row as Python's `repr` of a list of texts.
fn python_list(row: &Value) -> String {
    match row {
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(python_list).collect();
            format!("[{}]", items.join(", "))
        }
        Value::String(text) => python_text(text),
        other => other.to_string(),
    }
}
