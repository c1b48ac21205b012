//! The types of SQL, as ODBC and JDBC describe them. Source: `FlightSql.proto`, `CommandGetXdbcTypeInfo`.

use arrow::array::RecordBatch;
use arrow_flight::sql::metadata::{XdbcTypeInfo, XdbcTypeInfoDataBuilder};
use arrow_flight::sql::{Nullable, Searchable, XdbcDataType, XdbcDatetimeSubcode};
use ingot_common::{Kind, ServiceError};

/// Name, ODBC's type, digits or bytes, and the base that numbers are counted in.
const TYPES: [(&str, XdbcDataType, Option<i32>, Option<i32>); 13] = [
    ("TINYINT", XdbcDataType::XdbcTinyint, Some(3), Some(10)),
    ("BIGINT", XdbcDataType::XdbcBigint, Some(19), Some(10)),
    ("BINARY", XdbcDataType::XdbcBinary, None, None),
    ("DECIMAL", XdbcDataType::XdbcDecimal, Some(38), Some(10)),
    ("INT", XdbcDataType::XdbcInteger, Some(10), Some(10)),
    ("SMALLINT", XdbcDataType::XdbcSmallint, Some(5), Some(10)),
    ("FLOAT", XdbcDataType::XdbcReal, Some(24), Some(2)),
    ("DOUBLE", XdbcDataType::XdbcDouble, Some(53), Some(2)),
    ("STRING", XdbcDataType::XdbcVarchar, None, None),
    ("BOOLEAN", XdbcDataType::XdbcBit, Some(1), None),
    ("DATE", XdbcDataType::XdbcDate, Some(10), None),
    ("TIMESTAMP", XdbcDataType::XdbcTimestamp, Some(26), None),
    ("TIMESTAMP_NTZ", XdbcDataType::XdbcTimestamp, Some(26), None),
];

/// Returns the types that are asked for by ODBC's number, all where none is.
///
/// # Errors
/// `Internal` where they cannot be put together.
pub(super) fn rows(asked: Option<i32>) -> Result<RecordBatch, ServiceError> {
    let mut types = XdbcTypeInfoDataBuilder::new();
    for (name, data_type, size, radix) in TYPES {
        types.append(described(name, data_type, size, radix));
    }
    let built = types.build().and_then(|types| types.record_batch(asked));
    built.map_err(|error| ServiceError::new(Kind::Internal, error.to_string()))
}

fn described(name: &str, data_type: XdbcDataType, size: Option<i32>, radix: Option<i32>) -> XdbcTypeInfo {
    let quote = |before: &str| match data_type {
        XdbcDataType::XdbcVarchar => Some("'".to_owned()),
        XdbcDataType::XdbcBinary => Some(format!("{before}'")),
        XdbcDataType::XdbcDate | XdbcDataType::XdbcTimestamp => Some(match before {
            "" => "'".to_owned(),
            _ => format!("{name} '"),
        }),
        _ => None,
    };
    let (literal_prefix, literal_suffix) = (quote("X"), quote(""));
    let decimal = name == "DECIMAL";
    let (sql_data_type, datetime_subcode) = match data_type {
        XdbcDataType::XdbcDate => (
            XdbcDataType::XdbcDatetime,
            Some(XdbcDatetimeSubcode::XdbcSubcodeYear),
        ),
        XdbcDataType::XdbcTimestamp => (
            XdbcDataType::XdbcDatetime,
            Some(XdbcDatetimeSubcode::XdbcSubcodeTimestamp),
        ),
        other => (other, None),
    };
    XdbcTypeInfo {
        type_name: name.to_owned(),
        data_type,
        column_size: size,
        literal_prefix,
        literal_suffix,
        create_params: decimal.then(|| vec!["precision".to_owned(), "scale".to_owned()]),
        nullable: Nullable::NullabilityNullable,
        case_sensitive: name == "STRING",
        searchable: match name {
            "STRING" => Searchable::Full,
            _ => Searchable::Basic,
        },
        unsigned_attribute: radix.map(|_| false),
        fixed_prec_scale: false,
        auto_increment: radix.map(|_| name == "BIGINT"),
        local_type_name: Some(name.to_owned()),
        minimum_scale: match name {
            "TIMESTAMP" | "TIMESTAMP_NTZ" => Some(6),
            _ => radix.map(|_| 0),
        },
        maximum_scale: match name {
            "DECIMAL" => Some(38),
            "TIMESTAMP" | "TIMESTAMP_NTZ" => Some(6),
            _ => radix.map(|_| 0),
        },
        sql_data_type,
        datetime_subcode,
        num_prec_radix: radix,
        interval_precision: None,
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;

    use super::*;

    #[test]
    fn types_are_found_by_their_numbers() {
        let instants = rows(Some(XdbcDataType::XdbcTimestamp as i32)).expect("rows");
        let names: Vec<_> = instants.column(0).as_string::<i32>().iter().flatten().collect();
        assert_eq!(names, ["TIMESTAMP", "TIMESTAMP_NTZ"]);
        assert_eq!(rows(None).expect("rows").num_rows(), TYPES.len());
    }
}
