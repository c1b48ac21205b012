//! The parameters of a read, to what the port takes. Nothing of them is ever SQL text.
//!
//! ```text
//! ?carrier=UA&dep_delay.gte=10&order=-flights&page_size=100
//!   └─ a column, or a column and an operator: a filter   └─ names of this API: see `RESERVED`
//! ```
//! What is not a name of this API is a filter: a column, or a column, a point and an operator. A column that is called
//! as something of this API, or whose name ends as an operator, is named with its operator: `limit.eq=1`.

use chrono::{DateTime, NaiveDateTime};
use ingot_common::TableName;
use ingot_common::port::{
    Aggregate, AggregateFunction, Aggregation, Filter, FilterOperator, FilterValue, OrderBy, TableQuery,
    TableRequest, TableVersion,
};
use serde_json::Value;

use crate::encode::Format;
use crate::error::ApiError;

/// Names that are no filters.
pub const RESERVED: [&str; 13] = [
    "aggregate",
    "changes_since",
    "cursor",
    "filters",
    "format",
    "group_by",
    "limit",
    "order",
    "page_size",
    "select",
    "table",
    "timestamp",
    "version",
];

/// Operators of a filter, in the order of the message that lists them.
pub const OPERATORS: [(&str, FilterOperator); 11] = [
    ("eq", FilterOperator::Eq),
    ("ne", FilterOperator::NotEq),
    ("lt", FilterOperator::Lt),
    ("lte", FilterOperator::LtEq),
    ("gt", FilterOperator::Gt),
    ("gte", FilterOperator::GtEq),
    ("in", FilterOperator::In),
    ("not_in", FilterOperator::NotIn),
    ("like", FilterOperator::Like),
    ("ilike", FilterOperator::ILike),
    ("is_null", FilterOperator::IsNull),
];

/// Functions of `aggregate`.
pub const FUNCTIONS: [(&str, AggregateFunction); 6] = [
    ("count", AggregateFunction::Count),
    ("count_distinct", AggregateFunction::CountDistinct),
    ("sum", AggregateFunction::Sum),
    ("avg", AggregateFunction::Avg),
    ("min", AggregateFunction::Min),
    ("max", AggregateFunction::Max),
];

/// Parameters of a request, filters in `filters` included; each makes a part of a plan.
const CONDITIONS_MAX: usize = 256;
/// Items of one list.
const ITEMS_MAX: usize = 4096;

/// Rows of a page where a cursor comes without `page_size`.
const PAGE_ROWS: usize = 1000;

/// What a request asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    pub request: TableRequest,
    pub query: TableQuery,
    /// Rows of a page, if pages are asked for.
    pub page_rows: Option<usize>,
    pub cursor: Option<String>,
    pub format: Option<Format>,
}

/// Names and values as they came, in their order.
pub type Pairs = Vec<(String, String)>;

impl Asked {
    /// Reads the parameters of a read of `table`. A page has `page_rows_max` rows at most.
    ///
    /// # Errors
    /// 400, naming the parameter and what was expected.
    pub fn read(table: &str, pairs: &Pairs, page_rows_max: usize) -> Result<Self, ApiError> {
        let (own, filters): (Vec<_>, Vec<_>) = pairs
            .iter()
            .partition(|(name, _)| RESERVED.contains(&name.as_str()));
        let own = Own(own);
        let query = TableQuery {
            filters: own.filters(filters)?,
            aggregation: own.aggregation()?,
            order: own.list("order")?.into_iter().map(order_by).collect(),
            select: own.list("select")?,
            limit: own.number("limit")?,
        };
        let cursor = own.one("cursor")?.map(str::to_owned);
        let page_rows = match (own.number("page_size")?, &cursor) {
            (Some(0), _) => return Err(ApiError::invalid("parameter `page_size` is at least 1")),
            (Some(rows), _) => Some(rows),
            (None, Some(_)) => Some(PAGE_ROWS),
            (None, None) => None,
        };
        Ok(Self {
            request: TableRequest {
                table: TableName::parse(table).map_err(|error| ApiError::from_error(&error))?,
                version: own.version()?,
                changes_since: own.number("changes_since")?,
            },
            query,
            page_rows: page_rows.map(|rows: usize| rows.min(page_rows_max)),
            cursor,
            format: own.format()?,
        })
    }
}

/// The parameters that are no filters.
struct Own<'a>(Vec<&'a (String, String)>);

impl Own<'_> {
    fn one(&self, name: &str) -> Result<Option<&str>, ApiError> {
        let mut given = self.0.iter().filter(|(other, _)| other == name);
        let first = given.next();
        match given.next() {
            Some(_) => Err(ApiError::invalid(format!("parameter `{name}` is given twice"))),
            None => Ok(first.map(|(_, value)| value.as_str())),
        }
    }

    fn number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, ApiError> {
        let Some(text) = self.one(name)? else {
            return Ok(None);
        };
        text.parse().map(Some).map_err(|_| {
            ApiError::invalid(format!(
                "parameter `{name}` is not a whole number in its range: `{text}`"
            ))
        })
    }

    fn list(&self, name: &str) -> Result<Vec<String>, ApiError> {
        items(name, self.one(name)?.unwrap_or_default())
    }

    fn filters(&self, typed: Vec<&(String, String)>) -> Result<Vec<Filter>, ApiError> {
        let mut filters = match self.one("filters")? {
            Some(text) => json_filters(text)?,
            None => Vec::new(),
        };
        for (name, value) in typed {
            filters.push(typed_filter(name, value)?);
        }
        if filters.len() > CONDITIONS_MAX {
            return Err(ApiError::invalid(format!(
                "there are {} filters; a request has {CONDITIONS_MAX} at most",
                filters.len()
            )));
        }
        Ok(filters)
    }

    fn aggregation(&self) -> Result<Option<Aggregation>, ApiError> {
        let group_by = self.list("group_by")?;
        let aggregates = self.list("aggregate")?;
        if group_by.is_empty() && aggregates.is_empty() {
            return Ok(None);
        }
        let aggregates = aggregates.iter().map(|text| aggregate(text));
        Ok(Some(Aggregation {
            group_by,
            aggregates: aggregates.collect::<Result<_, _>>()?,
        }))
    }

    fn version(&self) -> Result<TableVersion, ApiError> {
        match (self.number("version")?, self.one("timestamp")?) {
            (None, None) => Ok(TableVersion::Latest),
            (Some(version), None) => Ok(TableVersion::Version(version)),
            (None, Some(text)) => instant(text).map(TableVersion::Timestamp).ok_or_else(|| {
                ApiError::invalid(format!(
                    "parameter `timestamp` is neither RFC 3339 nor milliseconds since the epoch: `{text}`"
                ))
            }),
            (Some(_), Some(_)) => Err(ApiError::invalid(
                "parameters `version` and `timestamp` exclude each other",
            )),
        }
    }

    fn format(&self) -> Result<Option<Format>, ApiError> {
        let Some(name) = self.one("format")? else {
            return Ok(None);
        };
        Format::named(name).map(Some).ok_or_else(|| {
            let known = Format::ALL.map(Format::name).join(", ");
            ApiError::invalid(format!("parameter `format` is `{name}`, known are {known}"))
        })
    }
}

/// Splits a list at its commas. An item in double quotes may hold commas, and two quotes for one.
fn items(name: &str, text: &str) -> Result<Vec<String>, ApiError> {
    let mut items = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (item, after) = match rest.trim_start().strip_prefix('"') {
            Some(quoted) => quoted_item(quoted).ok_or_else(|| {
                ApiError::invalid(format!(
                    "an item of parameter `{name}` has no closing quote: `{text}`"
                ))
            })?,
            None => {
                let (item, after) = rest.split_once(',').unwrap_or((rest, ""));
                (item.trim().to_owned(), after)
            }
        };
        if !item.is_empty() || rest.trim_start().starts_with('"') {
            items.push(item);
        }
        if items.len() > ITEMS_MAX {
            return Err(ApiError::invalid(format!(
                "parameter `{name}` has more than {ITEMS_MAX} items"
            )));
        }
        rest = after;
    }
    Ok(items)
}

/// Reads an item to its closing quote and the comma after it; returns it and what follows.
fn quoted_item(text: &str) -> Option<(String, &str)> {
    let mut item = String::new();
    let mut rest = text;
    loop {
        let (before, after) = rest.split_once('"')?;
        item.push_str(before);
        match after.strip_prefix('"') {
            Some(more) => {
                item.push('"');
                rest = more;
            }
            None => {
                let (between, after) = after.split_once(',').unwrap_or((after, ""));
                return between.trim().is_empty().then_some((item, after));
            }
        }
    }
}

fn order_by(item: String) -> OrderBy {
    match item.strip_prefix('-') {
        Some(column) => OrderBy {
            column: column.to_owned(),
            descending: true,
        },
        None => OrderBy {
            column: item,
            descending: false,
        },
    }
}

/// Reads `function`, `function:column` or `function:column:name`; `*` stands for all rows.
fn aggregate(text: &str) -> Result<Aggregate, ApiError> {
    let mut parts = text.splitn(3, ':');
    let function = parts.next().unwrap_or_default();
    let column = parts.next().filter(|column| !column.is_empty() && *column != "*");
    let name = parts.next().filter(|name| !name.is_empty());
    let found = FUNCTIONS.iter().find(|(known, _)| *known == function);
    let Some((known, function)) = found else {
        let known: Vec<_> = FUNCTIONS.iter().map(|(name, _)| *name).collect();
        return Err(ApiError::invalid(format!(
            "aggregate `{text}` has unknown function `{function}`, known are {}",
            known.join(", ")
        )));
    };
    if column.is_none() && *function != AggregateFunction::Count {
        return Err(ApiError::invalid(format!(
            "aggregate `{text}` names no column, as `{known}:delay` does"
        )));
    }
    let default_name = || match column {
        Some(column) => format!("{known}_{column}"),
        None => (*known).to_owned(),
    };
    Ok(Aggregate {
        function: *function,
        column: column.map(str::to_owned),
        name: name.map_or_else(default_name, str::to_owned),
    })
}

/// Reads `column=value` or `column.operator=value`.
fn typed_filter(name: &str, value: &str) -> Result<Filter, ApiError> {
    let split = name.rsplit_once('.').and_then(|(column, name)| {
        let (_, operator) = OPERATORS.iter().find(|(known, _)| *known == name)?;
        Some((column, *operator))
    });
    let (column, operator) = split.unwrap_or((name, FilterOperator::Eq));
    let value = match operator {
        FilterOperator::In | FilterOperator::NotIn => FilterValue::Texts(items(name, value)?),
        _ => FilterValue::Text(value.to_owned()),
    };
    Ok(Filter {
        column: column.to_owned(),
        operator,
        value,
    })
}

fn json_filters(text: &str) -> Result<Vec<Filter>, ApiError> {
    let Ok(Value::Object(conditions)) = serde_json::from_str(text) else {
        return Err(ApiError::invalid(format!(
            "parameter `filters` is not a JSON object such as {{\"carrier\":\"UA\"}}: `{text}`"
        )));
    };
    let mut filters = Vec::with_capacity(conditions.len());
    for (column, condition) in conditions {
        match condition {
            Value::Object(operators) => {
                for (name, value) in operators {
                    filters.push(json_filter(&column, operator(&column, &name)?, value)?);
                }
            }
            Value::Array(_) => filters.push(json_filter(&column, FilterOperator::In, condition)?),
            value => filters.push(json_filter(&column, FilterOperator::Eq, value)?),
        }
    }
    Ok(filters)
}

fn operator(column: &str, name: &str) -> Result<FilterOperator, ApiError> {
    let found = OPERATORS.iter().find(|(known, _)| *known == name);
    found
        .map(|(_, operator)| *operator)
        .ok_or_else(|| unknown_operator(column, name))
}

/// Makes the error of an operator that is none.
pub fn unknown_operator(column: &str, name: &str) -> ApiError {
    let known: Vec<_> = OPERATORS.iter().map(|(name, _)| *name).collect();
    ApiError::invalid(format!(
        "filter on column `{column}` has unknown operator `{name}`, known are {}",
        known.join(", ")
    ))
}

fn json_filter(column: &str, operator: FilterOperator, value: Value) -> Result<Filter, ApiError> {
    let (fits, expected) = match operator {
        FilterOperator::In | FilterOperator::NotIn => (
            value
                .as_array()
                .is_some_and(|items| items.len() <= ITEMS_MAX && items.iter().all(scalar)),
            "an array of scalars",
        ),
        FilterOperator::Like | FilterOperator::ILike => (value.is_string(), "a text"),
        FilterOperator::IsNull => (value.is_boolean(), "true or false"),
        _ => (scalar(&value), "a scalar"),
    };
    if !fits {
        return Err(ApiError::invalid(format!(
            "filter on column `{column}` has value {value}, expected {expected}"
        )));
    }
    Ok(Filter {
        column: column.to_owned(),
        operator,
        value: FilterValue::Json(value),
    })
}

fn scalar(value: &Value) -> bool {
    !matches!(value, Value::Array(_) | Value::Object(_))
}

fn instant(text: &str) -> Option<i64> {
    if let Ok(milliseconds) = text.parse() {
        return Some(milliseconds);
    }
    if let Ok(instant) = DateTime::parse_from_rfc3339(text) {
        return Some(instant.timestamp_millis());
    }
    // Without an offset: UTC.
    let instant = text.parse::<NaiveDateTime>().ok()?;
    Some(instant.and_utc().timestamp_millis())
}

#[cfg(test)]
mod tests;
