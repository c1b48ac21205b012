//! Renaming and dropping columns of a table that maps them: files stay as they are.

use serde_json::Value;

use super::assign::{name, parse};
use super::mode;
use crate::column::{GENERATION_EXPRESSION, INVARIANTS};
use crate::{Error, Metadata, Result};

/// Properties that list columns by their logical names, separated by commas.
const COLUMN_LISTS: [&str; 1] = ["delta.dataSkippingStatsColumns"];

/// Returns the metadata of the table with the column at `path` (names from the top level down; `element`, `key` and
/// `value` lead into lists and maps) called `new_name`.
///
/// # Errors
/// `InvalidArgument` with Delta's condition where the table does not map columns, where there is no such column or one
/// of the new name already, and for a column that a constraint or a generated column names.
pub fn renamed_column(metadata: &Metadata, path: &[String], new_name: &str) -> Result<Metadata> {
    check_mode(metadata, "RENAME COLUMN")?;
    let mut schema = parse(&metadata.schema_string)?;
    let (fields, place) = find(&mut schema, path)?;
    let taken = fields
        .iter()
        .enumerate()
        .any(|(other, field)| other != place && name(field).eq_ignore_ascii_case(new_name));
    if taken {
        return Err(Error::refused(
            "DELTA_DUPLICATE_COLUMNS_FOUND",
            "42711",
            format!(
                "column `{}` cannot be called `{new_name}`: there is such a column",
                path.join(".")
            ),
        ));
    }
    let old_name = name(&fields[place]).to_owned();
    fields[place]["name"] = new_name.into();
    let spelled = spelled_path(path, &old_name);
    check_unreferenced(metadata, &spelled, "rename")?;
    let mut renamed = metadata.clone();
    if path.len() == 1 {
        for column in &mut renamed.partition_columns {
            if *column == old_name {
                new_name.clone_into(column);
            }
        }
    }
    for property in COLUMN_LISTS {
        if let Some(list) = renamed.configuration.get_mut(property) {
            *list = renamed_list(list, &spelled, new_name);
        }
    }
    renamed.schema_string = schema.to_string();
    Ok(renamed)
}

/// Returns the metadata of the table without the columns at `paths`.
///
/// # Errors
/// `InvalidArgument` with Delta's condition where the table does not map columns, where there is no such column, for
/// the last column of a struct or of the table, a partition column, one of `clustering` (logical paths), and for a
/// column that a constraint or a generated column names.
pub fn dropped_columns(
    metadata: &Metadata,
    paths: &[Vec<String>],
    clustering: &[Vec<String>],
) -> Result<Metadata> {
    check_mode(metadata, "DROP COLUMN")?;
    let mut schema = parse(&metadata.schema_string)?;
    let mut dropped = metadata.clone();
    for path in paths {
        let (fields, place) = find(&mut schema, path)?;
        let spelled = spelled_path(path, name(&fields[place]));
        let dotted = spelled.join(".");
        if path.len() == 1 && metadata.partition_columns.contains(&spelled[0]) {
            return Err(Error::refused(
                "DELTA_UNSUPPORTED_DROP_PARTITION_COLUMN",
                "0AKDC",
                format!("dropping partition columns (`{dotted}`) is not allowed"),
            ));
        }
        if clustering.iter().any(|column| same_or_below(column, &spelled)) {
            return Err(Error::refused(
                "DELTA_UNSUPPORTED_DROP_CLUSTERING_COLUMN",
                "0AKDC",
                format!("dropping clustering columns (`{dotted}`) is not allowed"),
            ));
        }
        check_unreferenced(metadata, &spelled, "drop")?;
        if fields.len() == 1 {
            let of = if path.len() == 1 {
                "the table"
            } else {
                "its struct"
            };
            return Err(Error::refused(
                "DELTA_DROP_COLUMN_ON_SINGLE_FIELD_SCHEMA",
                "0AKDC",
                format!("cannot drop column `{dotted}`, the only one of {of}"),
            ));
        }
        fields.remove(place);
        for property in COLUMN_LISTS {
            if let Some(list) = dropped.configuration.get_mut(property) {
                *list = list_without(list, &spelled);
            }
        }
    }
    for property in COLUMN_LISTS {
        if dropped.configuration.get(property).is_some_and(String::is_empty) {
            dropped.configuration.remove(property);
        }
    }
    dropped.schema_string = schema.to_string();
    Ok(dropped)
}

fn check_mode(metadata: &Metadata, operation: &str) -> Result<()> {
    let mapped = mode(&metadata.configuration).map_err(|message| Error::InvalidArgument { message })?;
    match mapped {
        Some(_) => Ok(()),
        None => Err(Error::refused(
            match operation {
                "DROP COLUMN" => "DELTA_UNSUPPORTED_DROP_COLUMN",
                _ => "DELTA_UNSUPPORTED_RENAME_COLUMN",
            },
            "0AKDC",
            format!(
                "{operation} is not supported for this table: it does not map columns; turn column mapping on with \
                 ALTER TABLE … SET TBLPROPERTIES ('delta.columnMapping.mode' = 'name')"
            ),
        )),
    }
}

/// Finds the struct that holds a column, and the column's place in it.
fn find<'a>(schema: &'a mut Value, path: &[String]) -> Result<(&'a mut Vec<Value>, usize)> {
    let missing = || {
        Error::refused(
            "DELTA_COLUMN_NOT_FOUND_IN_SCHEMA",
            "42703",
            format!("cannot find column `{}` in the table's schema", path.join(".")),
        )
    };
    let (last, parents) = path.split_last().ok_or_else(missing)?;
    let mut inside = schema;
    for parent in parents {
        inside = step(inside, parent).ok_or_else(missing)?;
    }
    let fields = inside
        .get_mut("fields")
        .and_then(Value::as_array_mut)
        .ok_or_else(missing)?;
    let place = fields
        .iter()
        .position(|field| name(field).eq_ignore_ascii_case(last));
    let place = place.ok_or_else(missing)?;
    Ok((fields, place))
}

/// Goes into a type by one name of a path.
fn step<'a>(data_type: &'a mut Value, part: &str) -> Option<&'a mut Value> {
    let inner = match (data_type.get("type").and_then(Value::as_str)?, part) {
        ("array", "element") => "elementType",
        ("map", "key") => "keyType",
        ("map", "value") => "valueType",
        ("struct", _) => {
            let mut fields = data_type.get_mut("fields")?.as_array_mut()?.iter_mut();
            let field = fields.find(|field| name(field).eq_ignore_ascii_case(part))?;
            return field.get_mut("type");
        }
        _ => return None,
    };
    data_type.get_mut(inner)
}

fn spelled_path(path: &[String], last: &str) -> Vec<String> {
    let mut spelled = path.to_vec();
    if let Some(name) = spelled.last_mut() {
        last.clone_into(name);
    }
    spelled
}

/// Says if `column` is the one at `path`, or inside of it.
fn same_or_below(column: &[String], path: &[String]) -> bool {
    column.len() >= path.len() && column.iter().zip(path).all(|(a, b)| a.eq_ignore_ascii_case(b))
}

/// A rule of a table that names a column.
enum Rule {
    /// A CHECK constraint or an invariant.
    Constraint(String),
    Generated(String),
}

/// Finds a rule that names the column at `path`: expressions are texts, and would name another column, or one of
/// another type, after a change.
fn rule_on(metadata: &Metadata, path: &[String]) -> Result<Option<Rule>> {
    let mut constraints = metadata.configuration.iter().filter_map(|(key, expression)| {
        let name = key.strip_prefix("delta.constraints.")?;
        mentions(expression, path).then(|| format!("CHECK constraint `{name}` ({expression})"))
    });
    if let Some(constraint) = constraints.next() {
        return Ok(Some(Rule::Constraint(constraint)));
    }
    let schema = parse(&metadata.schema_string)?;
    let mut found = Vec::new();
    invariants(&schema, &mut found);
    if let Some(invariant) = found.iter().find(|invariant| mentions(invariant, path)) {
        return Ok(Some(Rule::Constraint(format!(
            "invariant {invariant} of a column"
        ))));
    }
    let fields = schema.get("fields").and_then(Value::as_array);
    let generated = fields.into_iter().flatten().find_map(|field| {
        let expression = field.get("metadata")?.get(GENERATION_EXPRESSION)?.as_str()?;
        mentions(expression, path).then(|| format!("generated column `{}` ({expression})", name(field)))
    });
    Ok(generated.map(Rule::Generated))
}

/// Refuses to change a column that a rule of the table names.
pub(crate) fn check_unreferenced(metadata: &Metadata, path: &[String], change: &str) -> Result<()> {
    let column = path.join(".");
    match rule_on(metadata, path)? {
        None => Ok(()),
        Some(Rule::Constraint(rule)) => Err(Error::refused(
            "DELTA_CONSTRAINT_DEPENDENT_COLUMN_CHANGE",
            "42K09",
            format!("cannot {change} column `{column}`: the {rule} refers to it; drop the constraint first"),
        )),
        Some(Rule::Generated(rule)) => Err(Error::refused(
            "DELTA_GENERATED_COLUMNS_DEPENDENT_COLUMN_CHANGE",
            "42K09",
            format!("cannot {change} column `{column}`: the {rule} depends on it"),
        )),
    }
}

/// Refuses to give a column that a rule of the table names another type because rows that are written have it.
/// Source: Delta, `ImplicitMetadataOperation.checkDependentExpressions`.
pub(crate) fn check_type_unreferenced(
    metadata: &Metadata,
    path: &[String],
    (from, to): (&Value, &Value),
) -> Result<()> {
    let (condition, rule) = match rule_on(metadata, path)? {
        None => return Ok(()),
        Some(Rule::Constraint(rule)) => ("DELTA_CONSTRAINT_DATA_TYPE_MISMATCH", rule),
        Some(Rule::Generated(rule)) => ("DELTA_GENERATED_COLUMNS_DATA_TYPE_MISMATCH", rule),
    };
    Err(Error::refused(
        condition,
        "42K09",
        format!(
            "column `{}` has data type {from} and cannot be altered to data type {to}, for the {rule} refers to it\n\
             hint: cast the rows to the column's type",
            path.join(".")
        ),
    ))
}

/// Collects the invariants of the columns in a struct, at any depth.
fn invariants(data_type: &Value, found: &mut Vec<String>) {
    for field in data_type
        .get("fields")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let invariant = field
            .get("metadata")
            .and_then(|metadata| metadata.get(INVARIANTS));
        let invariant = invariant.and_then(Value::as_str).map(|text| {
            let parsed: Value = serde_json::from_str(text).unwrap_or_default();
            let expression = parsed["expression"]["expression"].as_str();
            expression.unwrap_or(text).to_owned()
        });
        found.extend(invariant);
        if let Some(data_type) = field.get("type") {
            invariants(data_type, found);
        }
    }
}

/// Says if an expression may name a column: a word of its text, quoted or not, is the name of the column's top level.
/// Texts in quotes count too, so this refuses now and then what could be allowed.
fn mentions(expression: &str, path: &[String]) -> bool {
    let Some(top) = path.first() else { return false };
    let quoted = format!("`{}`", top.replace('`', "``")).to_lowercase();
    let lower = expression.to_lowercase();
    let word = |text: &str| text.chars().all(|c| c.is_alphanumeric() || c == '_');
    lower.contains(&quoted)
        || (word(top)
            && lower
                .split(|c: char| !(c.is_alphanumeric() || c == '_'))
                .any(|part| part == top.to_lowercase()))
}

fn renamed_list(list: &str, path: &[String], new_name: &str) -> String {
    let columns = split_list(list).into_iter().map(|mut column| {
        if same_or_below(&column, path)
            && let Some(name) = column.get_mut(path.len() - 1)
        {
            new_name.clone_into(name);
        }
        quoted(&column)
    });
    columns.collect::<Vec<_>>().join(",")
}

fn list_without(list: &str, path: &[String]) -> String {
    let columns = split_list(list)
        .into_iter()
        .filter(|column| !same_or_below(column, path));
    columns
        .map(|column| quoted(&column))
        .collect::<Vec<_>>()
        .join(",")
}

/// Reads a list of columns: names separated by commas, nested ones by dots, in backticks where they hold either.
pub(crate) fn split_list(list: &str) -> Vec<Vec<String>> {
    let mut columns = vec![vec![String::new()]];
    let mut inside = false;
    let mut characters = list.chars().peekable();
    while let Some(character) = characters.next() {
        let Some(column) = columns.last_mut() else { break };
        match character {
            '`' if inside && characters.peek() == Some(&'`') => {
                characters.next();
                push(column, '`');
            }
            '`' => inside = !inside,
            ',' if !inside => columns.push(vec![String::new()]),
            '.' if !inside => column.push(String::new()),
            ' ' if !inside => {}
            other => push(column, other),
        }
    }
    columns.retain(|column| column.iter().any(|name| !name.is_empty()));
    columns
}

fn push(column: &mut [String], character: char) {
    if let Some(name) = column.last_mut() {
        name.push(character);
    }
}

fn quoted(path: &[String]) -> String {
    let plain = |name: &String| name.chars().all(|c| c.is_alphanumeric() || c == '_');
    let names = path.iter().map(|name| match plain(name) {
        true => name.clone(),
        false => format!("`{}`", name.replace('`', "``")),
    });
    names.collect::<Vec<_>>().join(".")
}
