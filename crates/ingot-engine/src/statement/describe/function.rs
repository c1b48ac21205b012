//! `DESCRIBE FUNCTION [EXTENDED] name`.
//!
//! Source: Databricks, `DESCRIBE FUNCTION`.

use ingot_catalog::{DataAccess, FunctionReturns, Need, ParameterInfo};
use ingot_common::port::StatementResult;

use super::super::{function, text_rows};
use crate::resolve::{Reads, Scope, routines};
use crate::session::Routine;
use crate::{Result, Session, access};

/// Describes a function: what it takes and returns, and with `extended` also its body and whose it is.
pub(super) async fn describe(
    session: &Session,
    name: Vec<String>,
    extended: bool,
) -> Result<StatementResult> {
    let lower: Vec<String> = name.iter().map(|part| part.to_lowercase()).collect();
    let words: Vec<&str> = lower.iter().map(String::as_str).collect();
    let builtin = match words.as_slice() {
        [name] | ["builtin", name] | ["system", "builtin", name] => Some(*name),
        _ => None,
    };
    if let Some(name) = builtin.filter(|name| routines::is_builtin(&session.datafusion().state(), name)) {
        let lines = own(session, name, extended);
        return text_rows(&[("function_desc", lines.iter().map(String::as_str).collect())]);
    }
    let scope = Scope::of(&session.namespace());
    let found = routines::find(session, &lower, &scope, &Reads::default()).await?;
    let routine = found.ok_or_else(|| function::not_found(&name.join(".")))?;
    if let Some(securable) = routine.securable() {
        access::check(session, securable, Need::Sight).await?;
    }
    let mut lines = signature(&routine);
    if extended {
        lines.extend(details(&routine));
    }
    text_rows(&[("function_desc", lines.iter().map(String::as_str).collect())])
}

/// Describes a function of the engine, as far as it says something of itself.
fn own(session: &Session, name: &str, extended: bool) -> Vec<String> {
    let state = session.datafusion().state();
    let scalar = state.scalar_functions().get(name);
    let aggregate = state.aggregate_functions().get(name);
    let window = state.window_functions().get(name);
    let said = scalar
        .and_then(|function| function.documentation())
        .or_else(|| aggregate.and_then(|function| function.documentation()))
        .or_else(|| window.and_then(|function| function.documentation()));
    let kind = match (scalar, aggregate, window) {
        (Some(_), ..) => "a value of each row",
        (_, Some(_), _) => "a value of a group of rows, or of a window",
        (.., Some(_)) => "a value of a window",
        _ => "rows, or a value that has a syntax of its own",
    };
    let mut lines = vec![format!("Function: {name}"), format!("Kind: {kind}")];
    match said {
        Some(said) => lines.push(format!(
            "Usage: {} - {}",
            said.syntax_example,
            said.description.trim()
        )),
        None => lines.push("Usage: N/A.".to_owned()),
    }
    if extended && let Some(example) = said.and_then(|said| said.sql_example.as_deref()) {
        lines.push("Extended Usage:".to_owned());
        let text = example
            .lines()
            .filter(|line| !line.trim_start().starts_with("```"));
        lines.extend(text.map(|line| format!("    {line}")));
    }
    lines
}

fn line(label: &str, value: &str) -> String {
    format!("{:<15}{value}", format!("{label}:"))
}

fn signature(routine: &Routine) -> Vec<String> {
    let kind = match routine.returns {
        FunctionReturns::Scalar(_) => "SCALAR",
        FunctionReturns::Table(_) => "TABLE",
    };
    let mut lines = vec![line("Function", &routine.full_name()), line("Type", kind)];
    match routine.parameters.is_empty() {
        true => lines.push(line("Input", "()")),
        false => lines.extend(columns("Input", &routine.parameters)),
    }
    match &routine.returns {
        FunctionReturns::Scalar(type_text) => lines.push(line("Returns", &type_text.to_uppercase())),
        FunctionReturns::Table(returned) => lines.extend(columns("Returns", returned)),
    }
    lines
}

/// Writes names and types one below the other.
fn columns(label: &str, columns: &[ParameterInfo]) -> Vec<String> {
    let width = columns
        .iter()
        .map(|column| column.name.chars().count())
        .max()
        .unwrap_or(0);
    let described = columns.iter().enumerate().map(|(place, column)| {
        let mut text = format!("{:<width$} {}", column.name, column.type_text.to_uppercase());
        if let Some(default) = &column.default {
            text += &format!(" DEFAULT {default}");
        }
        if let Some(comment) = &column.comment {
            text += &format!(" '{comment}'");
        }
        match place {
            0 => line(label, &text),
            _ => format!("{:<15}{text}", ""),
        }
    });
    described.collect()
}

fn details(routine: &Routine) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(comment) = &routine.comment {
        lines.push(line("Comment", comment));
    }
    lines.push(line("Deterministic", &routine.deterministic.to_string()));
    let access = match routine.data_access {
        DataAccess::ContainsSql => "CONTAINS SQL",
        DataAccess::ReadsSqlData => "READS SQL DATA",
    };
    lines.push(line("Data Access", access));
    if let Some(audit) = &routine.audit {
        lines.push(line("Owner", &audit.owner));
        if let Some(created) = chrono::DateTime::from_timestamp_millis(audit.created_at) {
            lines.push(line(
                "Create Time",
                &created.format("%a %b %d %H:%M:%S UTC %Y").to_string(),
            ));
        }
    }
    lines.push(line("Body", &routine.definition));
    lines
}
