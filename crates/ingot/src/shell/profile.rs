//! A profile as a person reads it: the tree of operators, with what matters of their numbers.

use ingot_common::history::{OperatorProfile, StatementProfile};

use super::progress::{grouped, size};

/// Signs of what an operator was told to do.
const DETAILS_MAX: usize = 100;

/// Writes a profile.
pub(super) fn text(profile: &StatementProfile) -> String {
    let statement = &profile.statement;
    let (times, counts) = (statement.times, statement.counts);
    let mut text = format!(
        "{} {} in {} ms: {} compiling, {} executing, {} waiting, {} fetching\n",
        statement.statement_id,
        statement.status,
        times.total,
        times.compilation,
        times.execution,
        times.waiting_at_capacity,
        times.result_fetch
    );
    text += &format!(
        "read {} rows, {} in {} files ({} pruned); gave {} rows",
        grouped(counts.read_rows),
        size(counts.read_bytes),
        counts.read_files,
        counts.pruned_files,
        grouped(counts.produced_rows)
    );
    if counts.written_files > 0 {
        text += &format!(
            "; wrote {} rows, {} in {} files",
            grouped(counts.written_rows),
            size(counts.written_bytes),
            counts.written_files
        );
    }
    for plan in &profile.plans {
        text.push('\n');
        operator(&mut text, plan, 0);
    }
    text.trim_end().to_owned()
}

fn operator(text: &mut String, profile: &OperatorProfile, depth: usize) {
    let number = |name: &str| profile.metrics.get(name).copied();
    let mut told = Vec::new();
    if let Some(rows) = number("output_rows") {
        told.push(format!("{} rows", grouped(rows)));
    }
    let time = number("time_elapsed_processing").or_else(|| number("elapsed_compute"));
    if let Some(nanoseconds) = time {
        told.push(format!("{:.1} ms", nanoseconds as f64 / 1e6));
    }
    if let Some(bytes) = number("bytes_scanned") {
        told.push(size(bytes));
    }
    if let Some(bytes) = number("spilled_bytes").filter(|bytes| *bytes > 0) {
        told.push(format!("{} spilled", size(bytes)));
    }
    let details = console::truncate_str(&profile.details, DETAILS_MAX, "…");
    *text += &format!(
        "{}{} [{}] {details}\n",
        "  ".repeat(depth),
        profile.name,
        told.join(", ")
    );
    for child in &profile.children {
        operator(text, child, depth + 1);
    }
}
