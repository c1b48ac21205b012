//! The calls that list what there is, as queries of `information_schema`: the same rows, under the same rules.
//!
//! Names are patterns, in which `%` and `_` stand for others; one that is not given stands for all. Columns are JDBC's,
//! `DATA_TYPE` the numbers of `java.sql.Types`. Source: Hive, `TCLIService.thrift`; JDBC, `DatabaseMetaData`.

use ingot_common::port::StatementParameter;

use crate::thrift::{Struct, Value};

/// A query, and the values of its markers.
pub(super) type Listing = (String, Vec<StatementParameter>);

/// Returns the query of a call that lists; `None` for other calls.
pub(super) fn listing(call: &str, request: &Struct) -> Option<Listing> {
    let (query, names): (&str, &[(&str, i16)]) = match call {
        "GetCatalogs" => (CATALOGS, &[]),
        "GetSchemas" => (SCHEMAS, &[("catalog", 2), ("schema", 3)]),
        "GetTables" => return Some(tables(request)),
        "GetColumns" => (
            COLUMNS,
            &[("catalog", 2), ("schema", 3), ("table", 4), ("column", 5)],
        ),
        "GetFunctions" => (FUNCTIONS, &[("catalog", 2), ("schema", 3), ("name", 4)]),
        "GetTableTypes" => (TABLE_TYPES, &[]),
        "GetTypeInfo" => (TYPES, &[]),
        "GetPrimaryKeys" => (PRIMARY_KEYS, &[]),
        "GetCrossReference" => (FOREIGN_KEYS, &[]),
        _ => return None,
    };
    let parameters = names
        .iter()
        .map(|(name, field)| pattern(name, request.text(*field)));
    Some((query.to_owned(), parameters.collect()))
}

fn pattern(name: &str, given: Option<&str>) -> StatementParameter {
    let given = given.filter(|given| !given.is_empty() && *given != "*");
    parameter(name, given.unwrap_or("%"))
}

fn parameter(name: &str, value: &str) -> StatementParameter {
    StatementParameter {
        name: Some(name.to_owned()),
        value: Some(value.to_owned()),
        type_text: None,
    }
}

/// Tables of the kinds that are asked for, of all where none is named.
fn tables(request: &Struct) -> Listing {
    let mut parameters = vec![
        pattern("catalog", request.text(2)),
        pattern("schema", request.text(3)),
        pattern("table", request.text(4)),
    ];
    let kinds: Vec<StatementParameter> = request
        .items(5)
        .iter()
        .filter_map(Value::as_text)
        .enumerate()
        .map(|(place, kind)| parameter(&format!("kind{place}"), kind))
        .collect();
    let markers: Vec<String> = (0..kinds.len()).map(|place| format!(":kind{place}")).collect();
    let condition = match markers.is_empty() {
        true => String::new(),
        false => format!(" AND {TABLE_TYPE} IN ({})", markers.join(", ")),
    };
    parameters.extend(kinds);
    let order = "ORDER BY 4, 1, 2, 3";
    (format!("{TABLES}{condition} {order}"), parameters)
}

const CATALOGS: &str = "\
    SELECT catalog_name AS TABLE_CAT FROM system.information_schema.catalogs ORDER BY TABLE_CAT";

const SCHEMAS: &str = "\
    SELECT schema_name AS TABLE_SCHEM, catalog_name AS TABLE_CATALOG FROM system.information_schema.schemata \
    WHERE catalog_name LIKE :catalog AND schema_name LIKE :schema ORDER BY TABLE_CATALOG, TABLE_SCHEM";

const TABLE_TYPE: &str = "CASE WHEN table_type LIKE '%VIEW' THEN 'VIEW' ELSE 'TABLE' END";

const TABLES: &str = "\
    SELECT table_catalog AS TABLE_CAT, table_schema AS TABLE_SCHEM, table_name AS TABLE_NAME, \
    CASE WHEN table_type LIKE '%VIEW' THEN 'VIEW' ELSE 'TABLE' END AS TABLE_TYPE, comment AS REMARKS, \
    CAST(NULL AS STRING) AS TYPE_CAT, CAST(NULL AS STRING) AS TYPE_SCHEM, CAST(NULL AS STRING) AS TYPE_NAME, \
    CAST(NULL AS STRING) AS SELF_REFERENCING_COL_NAME, CAST(NULL AS STRING) AS REF_GENERATION \
    FROM system.information_schema.tables WHERE table_catalog LIKE :catalog AND table_schema LIKE :schema \
    AND table_name LIKE :table";

const COLUMNS: &str = "\
    SELECT table_catalog AS TABLE_CAT, table_schema AS TABLE_SCHEM, table_name AS TABLE_NAME, \
    column_name AS COLUMN_NAME, \
    CASE upper(data_type) WHEN 'BOOLEAN' THEN 16 WHEN 'BYTE' THEN -6 WHEN 'TINYINT' THEN -6 WHEN 'SHORT' THEN 5 \
    WHEN 'SMALLINT' THEN 5 WHEN 'INT' THEN 4 WHEN 'LONG' THEN -5 WHEN 'BIGINT' THEN -5 WHEN 'FLOAT' THEN 6 \
    WHEN 'DOUBLE' THEN 8 WHEN 'DECIMAL' THEN 3 WHEN 'DATE' THEN 91 WHEN 'TIMESTAMP' THEN 93 \
    WHEN 'TIMESTAMP_NTZ' THEN 93 WHEN 'BINARY' THEN -2 WHEN 'ARRAY' THEN 2003 WHEN 'STRUCT' THEN 2002 \
    WHEN 'MAP' THEN 2000 ELSE 12 END AS DATA_TYPE, upper(full_data_type) AS TYPE_NAME, \
    numeric_precision AS COLUMN_SIZE, CAST(NULL AS TINYINT) AS BUFFER_LENGTH, numeric_scale AS DECIMAL_DIGITS, \
    10 AS NUM_PREC_RADIX, CASE is_nullable WHEN 'NO' THEN 0 ELSE 1 END AS NULLABLE, comment AS REMARKS, \
    column_default AS COLUMN_DEF, CAST(NULL AS INT) AS SQL_DATA_TYPE, CAST(NULL AS INT) AS SQL_DATETIME_SUB, \
    character_octet_length AS CHAR_OCTET_LENGTH, ordinal_position AS ORDINAL_POSITION, is_nullable AS IS_NULLABLE, \
    CAST(NULL AS STRING) AS SCOPE_CATALOG, CAST(NULL AS STRING) AS SCOPE_SCHEMA, CAST(NULL AS STRING) AS SCOPE_TABLE, \
    CAST(NULL AS SMALLINT) AS SOURCE_DATA_TYPE, is_identity AS IS_AUTO_INCREMENT \
    FROM system.information_schema.columns WHERE table_catalog LIKE :catalog AND table_schema LIKE :schema \
    AND table_name LIKE :table AND column_name LIKE :column \
    ORDER BY TABLE_CAT, TABLE_SCHEM, TABLE_NAME, ORDINAL_POSITION";

const FUNCTIONS: &str = "\
    SELECT routine_catalog AS FUNCTION_CAT, routine_schema AS FUNCTION_SCHEM, routine_name AS FUNCTION_NAME, \
    comment AS REMARKS, 1 AS FUNCTION_TYPE, specific_name AS SPECIFIC_NAME \
    FROM system.information_schema.routines WHERE routine_catalog LIKE :catalog AND routine_schema LIKE :schema \
    AND routine_name LIKE :name ORDER BY FUNCTION_CAT, FUNCTION_SCHEM, FUNCTION_NAME";

const TABLE_TYPES: &str = "\
    SELECT TABLE_TYPE FROM VALUES ('TABLE'), ('VIEW') AS types(TABLE_TYPE) ORDER BY TABLE_TYPE";

const TYPES: &str = "\
    SELECT TYPE_NAME, DATA_TYPE, PRECISION FROM VALUES ('VOID', 0, 0), ('BOOLEAN', 16, 1), ('TINYINT', -6, 3), \
    ('SMALLINT', 5, 5), ('INT', 4, 10), ('BIGINT', -5, 19), ('FLOAT', 6, 7), ('DOUBLE', 8, 15), ('DECIMAL', 3, 38), \
    ('STRING', 12, NULL), ('DATE', 91, 10), ('TIMESTAMP', 93, 29), ('BINARY', -2, NULL), ('ARRAY', 2003, NULL), \
    ('MAP', 2000, NULL), ('STRUCT', 2002, NULL) AS types(TYPE_NAME, DATA_TYPE, PRECISION)";

/// Tables have no keys that are known.
const PRIMARY_KEYS: &str = "\
    SELECT '' AS TABLE_CAT, '' AS TABLE_SCHEM, '' AS TABLE_NAME, '' AS COLUMN_NAME, 1 AS KEY_SEQ, '' AS PK_NAME \
    WHERE false";

const FOREIGN_KEYS: &str = "\
    SELECT '' AS PKTABLE_CAT, '' AS PKTABLE_SCHEM, '' AS PKTABLE_NAME, '' AS PKCOLUMN_NAME, '' AS FKTABLE_CAT, \
    '' AS FKTABLE_SCHEM, '' AS FKTABLE_NAME, '' AS FKCOLUMN_NAME, 1 AS KEY_SEQ, 1 AS UPDATE_RULE, \
    1 AS DELETE_RULE, '' AS FK_NAME, '' AS PK_NAME, 1 AS DEFERRABILITY WHERE false";
