//! What the server is and can, for clients that ask. Source: `FlightSql.proto`, `SqlInfo`.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use arrow_flight::sql::metadata::SqlInfoDataBuilder;
use arrow_flight::sql::{
    SqlInfo, SqlNullOrdering, SqlOuterJoinsSupportLevel, SqlSupportedCaseSensitivity,
    SqlSupportedElementActions, SqlSupportedGroupBy, SqlSupportedResultSetConcurrency,
    SqlSupportedResultSetType, SqlSupportedSubqueries, SqlSupportedTransaction, SqlSupportedUnions,
    SqlSupportsConvert, SqlTransactionIsolationLevel, SupportedSqlGrammar,
};
use ingot_common::name::NAME_CHARS_MAX;
use ingot_common::{Kind, ServiceError};

/// JDBC's functions of numbers that there are.
const NUMERIC: [&str; 23] = [
    "ABS", "ACOS", "ASIN", "ATAN", "ATAN2", "CEILING", "COS", "COT", "DEGREES", "EXP", "FLOOR", "LOG",
    "LOG10", "MOD", "PI", "POWER", "RADIANS", "RAND", "ROUND", "SIGN", "SIN", "SQRT", "TAN",
];

/// JDBC's functions of texts that there are.
const STRING: [&str; 20] = [
    "ASCII",
    "CHAR",
    "CHAR_LENGTH",
    "CHARACTER_LENGTH",
    "CONCAT",
    "LCASE",
    "LEFT",
    "LENGTH",
    "LOCATE",
    "LTRIM",
    "OCTET_LENGTH",
    "POSITION",
    "REPEAT",
    "REPLACE",
    "RIGHT",
    "RTRIM",
    "SOUNDEX",
    "SPACE",
    "SUBSTRING",
    "UCASE",
];

const SYSTEM: [&str; 2] = ["IFNULL", "USER"];

const DATETIME: [&str; 18] = [
    "CURDATE",
    "CURRENT_DATE",
    "CURRENT_TIMESTAMP",
    "DAYNAME",
    "DAYOFMONTH",
    "DAYOFWEEK",
    "DAYOFYEAR",
    "EXTRACT",
    "HOUR",
    "MINUTE",
    "MONTH",
    "MONTHNAME",
    "NOW",
    "QUARTER",
    "SECOND",
    "TIMESTAMPADD",
    "TIMESTAMPDIFF",
    "YEAR",
];

/// Words that are not SQL:2003's.
const KEYWORDS: [&str; 16] = [
    "ANTI",
    "CACHE",
    "CLONE",
    "DESCRIBE",
    "LATERAL",
    "MINUS",
    "OPTIMIZE",
    "OVERWRITE",
    "PIVOT",
    "QUALIFY",
    "RESTORE",
    "RLIKE",
    "SEMI",
    "SHOW",
    "UNPIVOT",
    "VACUUM",
];

/// Returns the rows that are asked for; all of them where none is named.
///
/// # Errors
/// `Internal` where they cannot be put together.
pub(super) fn rows(asked: &[u32]) -> Result<RecordBatch, ServiceError> {
    let mut infos = SqlInfoDataBuilder::new();
    server(&mut infos);
    names(&mut infos);
    grammar(&mut infos);
    limits(&mut infos);
    transactions(&mut infos);
    let built = infos
        .build()
        .and_then(|infos| infos.record_batch(asked.iter().copied()));
    built.map_err(|error| ServiceError::new(Kind::Internal, error.to_string()))
}

fn server(infos: &mut SqlInfoDataBuilder) {
    infos.append(SqlInfo::FlightSqlServerName, "Ingot");
    infos.append(SqlInfo::FlightSqlServerVersion, env!("CARGO_PKG_VERSION"));
    infos.append(SqlInfo::FlightSqlServerArrowVersion, arrow::ARROW_VERSION);
    infos.append(SqlInfo::FlightSqlServerReadOnly, false);
    infos.append(SqlInfo::FlightSqlServerSql, true);
    infos.append(SqlInfo::FlightSqlServerSubstrait, false);
    let none: i32 = SqlSupportedTransaction::None.into();
    infos.append(SqlInfo::FlightSqlServerTransaction, none);
    infos.append(SqlInfo::FlightSqlServerCancel, true);
    infos.append(SqlInfo::FlightSqlServerBulkIngestion, true);
    infos.append(SqlInfo::FlightSqlServerIngestTransactionsSupported, false);
    infos.append(SqlInfo::FlightSqlServerStatementTimeout, 2 * 3600 * 1000);
    infos.append(SqlInfo::FlightSqlServerTransactionTimeout, 0);
}

fn names(infos: &mut SqlInfoDataBuilder) {
    let insensitive: i32 = SqlSupportedCaseSensitivity::SqlCaseSensitivityCaseInsensitive.into();
    infos.append(SqlInfo::SqlIdentifierCase, insensitive);
    infos.append(SqlInfo::SqlQuotedIdentifierCase, insensitive);
    infos.append(SqlInfo::SqlIdentifierQuoteChar, "`");
    infos.append(SqlInfo::SqlSearchStringEscape, "\\");
    infos.append(SqlInfo::SqlExtraNameCharacters, "");
    infos.append(SqlInfo::SqlKeywords, &KEYWORDS[..]);
    infos.append(SqlInfo::SqlSchemaTerm, "schema");
    infos.append(SqlInfo::SqlProcedureTerm, "");
    infos.append(SqlInfo::SqlCatalogTerm, "catalog");
    infos.append(SqlInfo::SqlCatalogAtStart, true);
    let everywhere = bits(&[SqlSupportedElementActions::SqlElementInPrivilegeDefinitions as i32]);
    infos.append(SqlInfo::SqlSchemasSupportedActions, everywhere);
    infos.append(SqlInfo::SqlCatalogsSupportedActions, everywhere);
    infos.append(SqlInfo::SqlAllTablesAreSelectable, false);
}

fn grammar(infos: &mut SqlInfoDataBuilder) {
    for supported in [
        SqlInfo::SqlDdlCatalog,
        SqlInfo::SqlDdlSchema,
        SqlInfo::SqlDdlTable,
        SqlInfo::SqlSupportsColumnAliasing,
        SqlInfo::SqlNullPlusNullIsNull,
        SqlInfo::SqlSupportsTableCorrelationNames,
        SqlInfo::SqlSupportsExpressionsInOrderBy,
        SqlInfo::SqlSupportsOrderByUnrelated,
        SqlInfo::SqlSupportsLikeEscapeClause,
        SqlInfo::SqlSupportsNonNullableColumns,
        SqlInfo::SqlCorrelatedSubqueriesSupported,
        SqlInfo::SqlBatchUpdatesSupported,
        SqlInfo::SqlNamedParametersSupported,
    ] {
        infos.append(supported, true);
    }
    for lacking in [
        SqlInfo::SqlSupportsDifferentTableCorrelationNames,
        SqlInfo::SqlSupportsIntegrityEnhancementFacility,
        SqlInfo::SqlSelectForUpdateSupported,
        SqlInfo::SqlStoredProceduresSupported,
        SqlInfo::SqlSavepointsSupported,
        SqlInfo::SqlLocatorsUpdateCopy,
        SqlInfo::SqlStoredFunctionsUsingCallSyntaxSupported,
    ] {
        infos.append(lacking, false);
    }
    // Nulls are less than all else: first when ascending, last when descending.
    let low: i32 = SqlNullOrdering::SqlNullsSortedLow.into();
    infos.append(SqlInfo::SqlNullOrdering, low);
    infos.append(SqlInfo::SqlNumericFunctions, &NUMERIC[..]);
    infos.append(SqlInfo::SqlStringFunctions, &STRING[..]);
    infos.append(SqlInfo::SqlSystemFunctions, &SYSTEM[..]);
    infos.append(SqlInfo::SqlDatetimeFunctions, &DATETIME[..]);
    infos.append(SqlInfo::SqlSupportsConvert, conversions());
    infos.append(
        SqlInfo::SqlSupportedGroupBy,
        bits(&[
            SqlSupportedGroupBy::SqlGroupByUnrelated as i32,
            SqlSupportedGroupBy::SqlGroupByBeyondSelect as i32,
        ]),
    );
    infos.append(
        SqlInfo::SqlSupportedGrammar,
        bits(&[
            SupportedSqlGrammar::SqlMinimumGrammar as i32,
            SupportedSqlGrammar::SqlCoreGrammar as i32,
        ]),
    );
    // ANSI92_ENTRY_SQL.
    infos.append(SqlInfo::SqlAnsi92SupportedLevel, bits(&[0]));
    let joins: i32 = SqlOuterJoinsSupportLevel::SqlFullOuterJoins.into();
    infos.append(SqlInfo::SqlOuterJoinsSupportLevel, bits(&[joins]));
    infos.append(SqlInfo::SqlSupportedPositionedCommands, 0);
    infos.append(
        SqlInfo::SqlSupportedSubqueries,
        bits(&[
            SqlSupportedSubqueries::SqlSubqueriesInComparisons as i32,
            SqlSupportedSubqueries::SqlSubqueriesInExists as i32,
            SqlSupportedSubqueries::SqlSubqueriesInIns as i32,
        ]),
    );
    infos.append(
        SqlInfo::SqlSupportedUnions,
        bits(&[
            SqlSupportedUnions::SqlUnion as i32,
            SqlSupportedUnions::SqlUnionAll as i32,
        ]),
    );
}

/// Bounds: 0 where there is none that is known.
fn limits(infos: &mut SqlInfoDataBuilder) {
    let name = i64::try_from(NAME_CHARS_MAX).unwrap_or(i64::MAX);
    for bounded in [
        SqlInfo::SqlDbSchemaNameLength,
        SqlInfo::SqlMaxCatalogNameLength,
        SqlInfo::SqlMaxTableNameLength,
    ] {
        infos.append(bounded, name);
    }
    for unbounded in [
        SqlInfo::SqlMaxBinaryLiteralLength,
        SqlInfo::SqlMaxCharLiteralLength,
        SqlInfo::SqlMaxColumnNameLength,
        SqlInfo::SqlMaxColumnsInGroupBy,
        SqlInfo::SqlMaxColumnsInIndex,
        SqlInfo::SqlMaxColumnsInOrderBy,
        SqlInfo::SqlMaxColumnsInSelect,
        SqlInfo::SqlMaxColumnsInTable,
        SqlInfo::SqlMaxConnections,
        SqlInfo::SqlMaxCursorNameLength,
        SqlInfo::SqlMaxIndexLength,
        SqlInfo::SqlMaxProcedureNameLength,
        SqlInfo::SqlMaxRowSize,
        SqlInfo::SqlMaxStatementLength,
        SqlInfo::SqlMaxStatements,
        SqlInfo::SqlMaxTablesInSelect,
        SqlInfo::SqlMaxUsernameLength,
    ] {
        infos.append(unbounded, 0_i64);
    }
    infos.append(SqlInfo::SqlMaxRowSizeIncludesBlobs, true);
}

fn transactions(infos: &mut SqlInfoDataBuilder) {
    infos.append(SqlInfo::SqlTransactionsSupported, false);
    let none: i32 = SqlTransactionIsolationLevel::SqlTransactionNone.into();
    infos.append(SqlInfo::SqlDefaultTransactionIsolation, i64::from(none));
    infos.append(SqlInfo::SqlSupportedTransactionsIsolationLevels, bits(&[none]));
    infos.append(SqlInfo::SqlDataDefinitionCausesTransactionCommit, true);
    infos.append(SqlInfo::SqlDataDefinitionsInTransactionsIgnored, false);
    let forward = bits(&[SqlSupportedResultSetType::SqlResultSetTypeForwardOnly as i32]);
    infos.append(SqlInfo::SqlSupportedResultSetTypes, forward);
    let read_only = bits(&[SqlSupportedResultSetConcurrency::SqlResultSetConcurrencyReadOnly as i32]);
    infos.append(
        SqlInfo::SqlSupportedConcurrenciesForResultSetForwardOnly,
        read_only,
    );
    for none in [
        SqlInfo::SqlSupportedConcurrenciesForResultSetUnspecified,
        SqlInfo::SqlSupportedConcurrenciesForResultSetScrollSensitive,
        SqlInfo::SqlSupportedConcurrenciesForResultSetScrollInsensitive,
    ] {
        infos.append(none, 0);
    }
}

/// Which types CAST makes of which.
fn conversions() -> BTreeMap<i32, Vec<i32>> {
    use SqlSupportsConvert::*;
    let numbers = [
        SqlConvertBigint,
        SqlConvertDecimal,
        SqlConvertFloat,
        SqlConvertInteger,
        SqlConvertNumeric,
        SqlConvertReal,
        SqlConvertSmallint,
        SqlConvertTinyint,
    ];
    let texts = [SqlConvertChar, SqlConvertVarchar, SqlConvertLongvarchar];
    let instants = [SqlConvertDate, SqlConvertTimestamp];
    let mut made = BTreeMap::new();
    for number in numbers {
        let to = numbers.iter().chain(&texts).chain([&SqlConvertTimestamp]);
        made.insert(number as i32, to.map(|to| *to as i32).collect());
    }
    for text in texts {
        let to = numbers
            .iter()
            .chain(&texts)
            .chain(&instants)
            .chain([&SqlConvertBinary]);
        made.insert(text as i32, to.map(|to| *to as i32).collect());
    }
    for instant in instants {
        let to = texts.iter().chain(&instants);
        made.insert(instant as i32, to.map(|to| *to as i32).collect());
    }
    made
}

/// Returns the mask of the bits at these places.
fn bits(places: &[i32]) -> i32 {
    places.iter().fold(0, |mask, place| mask | (1 << place))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_there_is_to_know_is_told() {
        let all = rows(&[]).expect("rows");
        let substrait_versions = 2;
        let known = (0..=11).chain(100..=101).chain(500..=576);
        assert_eq!(all.num_rows(), known.count() - substrait_versions);
        let two = rows(&[0, 500, 9999]).expect("rows");
        assert_eq!(two.num_rows(), 2);
    }
}
