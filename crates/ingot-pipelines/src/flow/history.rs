//! SCD type 2: a row for each time that a tracked column of a key changed.
//!
//! For the keys of a batch the whole history is made anew from every change that the source table holds, and
//! merged over what the target has of those keys. The history is so a function of the changes alone: it does not
//! matter in which order they came, how they were cut into batches, or how often one was sent.
//!
//! ```text
//! changes of the batch's keys ─► runs of equal tracked values ─► one row a run: values of its last change,
//!                                                                [start of the run, start of the next)
//! rows of the target that the new history lacks ─► deleted
//! ```
//! The price is a scan of the source for each batch. Which of changes with equal sequences counts, and which changes
//! are left out, is told in [`super::cdc`].

use ingot_engine::merge::{MergeAction, MergeClause, MergeMatching};

use super::cdc::{
    CHANGES, DELETED, KeptColumns, assignments, changes_of_keys, differs, listed, newest_first, quoted,
};
use crate::definition::{CdcFlow, Columns};

/// When a row began to be valid. Source: Databricks, AUTO CDC.
pub(crate) const START_AT: &str = "__START_AT";
/// When it ended; null while it is valid.
pub(crate) const END_AT: &str = "__END_AT";
/// Marks rows of the target that are no part of the history any more.
const GONE: &str = "__gone";

/// The merge of a batch: source query, condition and clauses.
pub(crate) fn merge(
    flow: &CdcFlow,
    columns: &KeptColumns,
    track: &Columns,
) -> (String, String, Vec<MergeClause>) {
    let mut stored = columns.all.clone();
    stored.extend([START_AT.to_owned(), END_AT.to_owned()]);
    let mut on: Vec<_> = flow
        .keys
        .iter()
        .map(|key| format!("t.{0} = s.{0}", quoted(key)))
        .collect();
    on.push(format!("t.{0} = s.{0}", quoted(START_AT)));
    let clause = |matching, condition: String, action| MergeClause {
        matching,
        condition: Some(condition),
        action,
    };
    let values = assignments(&stored);
    let clauses = vec![
        clause(MergeMatching::Matched, format!("s.{GONE}"), MergeAction::Delete),
        clause(
            MergeMatching::Matched,
            differs(&stored),
            MergeAction::Update(values.clone()),
        ),
        clause(
            MergeMatching::NotMatchedByTarget,
            format!("NOT s.{GONE}"),
            MergeAction::Insert(values),
        ),
    ];
    (source(flow, columns, track), on.join(" AND "), clauses)
}

fn source(flow: &CdcFlow, kept_columns: &KeptColumns, track: &Columns) -> String {
    let columns = kept_columns.all.as_slice();
    let keys = listed(&flow.keys, "");
    let on_keys = |left: &str, right: &str| {
        let pairs = flow
            .keys
            .iter()
            .map(|key| format!("{left}.{0} = {right}.{0}", quoted(key)));
        pairs.collect::<Vec<_>>().join(" AND ")
    };
    let by_key = format!("PARTITION BY {keys} ORDER BY __sequence");
    // When a change came is no part of what changed, unless it is asked for by name.
    let tracked = columns.iter().filter(|column| match track {
        Columns::Only(_) => track.holds(column),
        _ => track.holds(column) && !column.eq_ignore_ascii_case(&flow.sequence_by),
    });
    let changed: Vec<_> = std::iter::once(DELETED.to_owned())
        .chain(tracked.map(|column| quoted(column)))
        .map(|column| format!("(lag({column}) OVER ({by_key}) IS DISTINCT FROM {column})"))
        .collect();
    let kept = listed(columns, "");
    format!(
        "WITH __keys AS (SELECT DISTINCT {keys} FROM {CHANGES}),
         __changes AS (SELECT {source_columns}, c.{sequence} AS __sequence, c.{DELETED} AS {DELETED}
           FROM ({changes}) c),
         __ordered AS (SELECT * FROM (SELECT *, row_number() OVER (PARTITION BY {keys}, __sequence
           ORDER BY {order}) AS __place FROM __changes) WHERE __place = 1),
         __marked AS (SELECT *, CASE WHEN row_number() OVER ({by_key}) = 1 OR {changed} THEN 1 ELSE 0 END AS __begins
           FROM __ordered),
         __runs AS (SELECT *, sum(__begins) OVER ({by_key} ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS __run
           FROM __marked),
         __rows AS (SELECT *, min(__sequence) OVER (PARTITION BY {keys}, __run) AS __start, row_number() OVER
           (PARTITION BY {keys}, __run ORDER BY __sequence DESC) AS __last FROM __runs),
         __valid AS (SELECT *, lead(__start) OVER (PARTITION BY {keys} ORDER BY __run) AS __end FROM __rows
           WHERE __last = 1),
         __history AS (SELECT {kept}, __start, __end FROM __valid WHERE NOT {DELETED}),
         __present AS (SELECT {target_columns}, t.{start} AS __start, t.{end} AS __end FROM {target} t
           JOIN __keys k ON {target_join})
         SELECT {kept}, __start AS {start}, __end AS {end}, false AS {GONE} FROM __history
         UNION ALL
         SELECT {present_columns}, p.__start AS {start}, p.__end AS {end}, true AS {GONE} FROM __present p
           LEFT JOIN __history h ON {history_join} AND p.__start = h.__start WHERE h.__start IS NULL",
        source_columns = listed(columns, "c."),
        sequence = quoted(&flow.sequence_by),
        changes = changes_of_keys(flow),
        order = newest_first("__sequence", &kept_columns.ordered),
        changed = changed.join(" OR "),
        target_columns = listed(columns, "t."),
        start = quoted(START_AT),
        end = quoted(END_AT),
        target = qualified(&flow.target.name),
        target_join = on_keys("t", "k"),
        present_columns = listed(columns, "p."),
        history_join = on_keys("p", "h"),
    )
}

/// Quotes a table's full name.
pub(crate) fn qualified(name: &ingot_common::TableName) -> String {
    format!(
        "{}.{}.{}",
        quoted(name.catalog.as_str()),
        quoted(name.schema.as_str()),
        quoted(name.table.as_str())
    )
}
