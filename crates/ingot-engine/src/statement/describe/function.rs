//! `DESCRIBE FUNCTION [EXTENDED] name`.
//!
//! Source: Databricks, `DESCRIBE FUNCTION`.

use ingot_catalog::{DataAccess, FunctionReturns, ParameterInfo};
use ingot_common::port::StatementResult;

use super::super::{function, text_rows};
use crate::resolve::{Reads, Scope, routines};
use crate::session::Routine;
use crate::{Result, Session};

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
        let line = format!("Function: {name}");
        return text_rows(&[("function_desc", vec![line.as_str()])]);
    }
    let scope = Scope::of(&session.namespace());
    let found = routines::find(session, &lower, &scope, &Reads::default()).await?;
    let routine = found.ok_or_else(|| function::not_found(&name.join(".")))?;
    let mut lines = signature(&routine);
    if extended {
        lines.extend(details(&routine));
    }
    text_rows(&[("function_desc", lines.iter().map(String::as_str).collect())])
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
