//! What there is, as queries of `information_schema`: the same rows, under the same rules. Doors that list stand on them.
//!
//! Columns are JDBC's, `DATA_TYPE` the numbers of `java.sql.Types`. Names are kept in lower case, and asked for in any.
//! Source: JDBC, `DatabaseMetaData`.

use ingot_common::port::StatementParameter;

/// A query, and the values of its markers.
pub type Listing = (String, Vec<StatementParameter>);

/// Which names are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names<'a> {
    All,
    /// `%` and `_` stand for others.
    Like(&'a str),
    One(&'a str),
}

impl Names<'_> {
    fn parameter(self, name: &str) -> StatementParameter {
        let pattern = match self {
            Self::All => "%".to_owned(),
            Self::Like(pattern) => pattern.to_lowercase(),
            Self::One(name) => escaped(&name.to_lowercase()),
        };
        parameter(name, &pattern)
    }
}

/// Writes a name as the pattern that it alone matches.
fn escaped(name: &str) -> String {
    let mut pattern = String::with_capacity(name.len());
    for character in name.chars() {
        if matches!(character, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern
}

fn parameter(name: &str, value: &str) -> StatementParameter {
    StatementParameter {
        name: Some(name.to_owned()),
        value: Some(value.to_owned()),
        type_text: None,
    }
}

/// Lists catalogs: TABLE_CAT.
pub fn catalogs() -> Listing {
    (CATALOGS.to_owned(), Vec::new())
}

/// Lists schemas: TABLE_SCHEM, TABLE_CATALOG.
pub fn schemas(catalog: Names<'_>, schema: Names<'_>) -> Listing {
    (
        SCHEMAS.to_owned(),
        vec![catalog.parameter("catalog"), schema.parameter("schema")],
    )
}

/// Lists tables of the kinds that are asked for, of all where none is named: TABLE_CAT, TABLE_SCHEM, TABLE_NAME,
/// TABLE_TYPE, REMARKS, ….
pub fn tables(catalog: Names<'_>, schema: Names<'_>, table: Names<'_>, kinds: &[&str]) -> Listing {
    let mut parameters = vec![
        catalog.parameter("catalog"),
        schema.parameter("schema"),
        table.parameter("table"),
    ];
    let kinds: Vec<StatementParameter> = kinds
        .iter()
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

/// Lists columns.
pub fn columns(catalog: Names<'_>, schema: Names<'_>, table: Names<'_>, column: Names<'_>) -> Listing {
    let parameters = vec![
        catalog.parameter("catalog"),
        schema.parameter("schema"),
        table.parameter("table"),
        column.parameter("column"),
    ];
    (COLUMNS.to_owned(), parameters)
}

/// Lists functions.
pub fn functions(catalog: Names<'_>, schema: Names<'_>, name: Names<'_>) -> Listing {
    let parameters = vec![
        catalog.parameter("catalog"),
        schema.parameter("schema"),
        name.parameter("name"),
    ];
    (FUNCTIONS.to_owned(), parameters)
}

/// Lists the kinds of tables: TABLE_TYPE.
pub fn table_types() -> Listing {
    (TABLE_TYPES.to_owned(), Vec::new())
}

/// Lists the types of columns.
pub fn types() -> Listing {
    (TYPES.to_owned(), Vec::new())
}

/// Lists the columns of primary keys: TABLE_CAT, TABLE_SCHEM, TABLE_NAME, COLUMN_NAME, KEY_SEQ, PK_NAME.
pub fn primary_keys(catalog: Names<'_>, schema: Names<'_>, table: Names<'_>) -> Listing {
    let parameters = vec![
        catalog.parameter("catalog"),
        schema.parameter("schema"),
        table.parameter("table"),
    ];
    (PRIMARY_KEYS.to_owned(), parameters)
}

/// Lists the columns of foreign keys: PKTABLE_CAT, …, FKTABLE_CAT, …, KEY_SEQ, UPDATE_RULE, DELETE_RULE, FK_NAME, PK_NAME, ….
///
/// Tables are given as catalog, schema and name: the one that has the primary key, and the one that has the foreign key.
pub fn foreign_keys(parent: [Names<'_>; 3], foreign: [Names<'_>; 3]) -> Listing {
    let parent = parent
        .iter()
        .zip(["parent_catalog", "parent_schema", "parent_table"]);
    let foreign = foreign
        .iter()
        .zip(["foreign_catalog", "foreign_schema", "foreign_table"]);
    let parameters = parent.chain(foreign).map(|(names, name)| names.parameter(name));
    (FOREIGN_KEYS.to_owned(), parameters.collect())
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

const PRIMARY_KEYS: &str = "\
    SELECT k.table_catalog AS TABLE_CAT, k.table_schema AS TABLE_SCHEM, k.table_name AS TABLE_NAME, \
    k.column_name AS COLUMN_NAME, k.ordinal_position AS KEY_SEQ, k.constraint_name AS PK_NAME \
    FROM system.information_schema.key_column_usage AS k \
    JOIN system.information_schema.table_constraints AS c ON c.table_catalog = k.table_catalog \
    AND c.table_schema = k.table_schema AND c.table_name = k.table_name AND c.constraint_name = k.constraint_name \
    WHERE c.constraint_type = 'PRIMARY KEY' AND k.table_catalog LIKE :catalog \
    AND k.table_schema LIKE :schema AND k.table_name LIKE :table \
    ORDER BY TABLE_CAT, TABLE_SCHEM, TABLE_NAME, KEY_SEQ";

/// `UPDATE_RULE` and `DELETE_RULE` are JDBC's `importedKeyNoAction`, `DEFERRABILITY` its `importedKeyInitiallyImmediate`.
const FOREIGN_KEYS: &str = "\
    SELECT p.table_catalog AS PKTABLE_CAT, p.table_schema AS PKTABLE_SCHEM, p.table_name AS PKTABLE_NAME, \
    p.column_name AS PKCOLUMN_NAME, f.table_catalog AS FKTABLE_CAT, f.table_schema AS FKTABLE_SCHEM, \
    f.table_name AS FKTABLE_NAME, f.column_name AS FKCOLUMN_NAME, f.ordinal_position AS KEY_SEQ, 3 AS UPDATE_RULE, \
    3 AS DELETE_RULE, f.constraint_name AS FK_NAME, p.constraint_name AS PK_NAME, 6 AS DEFERRABILITY \
    FROM system.information_schema.referential_constraints AS r \
    JOIN system.information_schema.key_column_usage AS f ON f.constraint_catalog = r.constraint_catalog \
    AND f.constraint_schema = r.constraint_schema AND f.constraint_name = r.constraint_name \
    JOIN system.information_schema.key_column_usage AS p ON p.constraint_catalog = r.unique_constraint_catalog \
    AND p.constraint_schema = r.unique_constraint_schema AND p.constraint_name = r.unique_constraint_name \
    AND p.ordinal_position = f.position_in_unique_constraint \
    WHERE p.table_catalog LIKE :parent_catalog \
    AND p.table_schema LIKE :parent_schema \
    AND p.table_name LIKE :parent_table \
    AND f.table_catalog LIKE :foreign_catalog \
    AND f.table_schema LIKE :foreign_schema \
    AND f.table_name LIKE :foreign_table \
    ORDER BY FKTABLE_CAT, FKTABLE_SCHEM, FKTABLE_NAME, FK_NAME, KEY_SEQ";

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case(Names::All, "%")]
    #[test_case(Names::Like("My_%"), "my_%"; "a pattern")]
    #[test_case(Names::One(r"A_b%\"), r"a\_b\%\\"; "a name that holds what patterns are made of")]
    fn names_become_patterns(names: Names<'_>, pattern: &str) {
        assert_eq!(names.parameter("table").value.as_deref(), Some(pattern));
    }
}
