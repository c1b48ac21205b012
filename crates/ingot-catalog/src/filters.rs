//! Row filters and column masks of tables: functions of the catalog that say what is shown of a table's rows.
//!
//! Source: Databricks, "Row filters and column masks"; Unity Catalog REST API, `TableRowFilter`, `ColumnMask`.

use std::collections::BTreeMap;

use ingot_common::FunctionName;
use serde::{Deserialize, Serialize};

use crate::model::FunctionId;

/// What is shown of a table's rows: all, unless there is a filter or a mask.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TableFilters {
    pub row_filter: Option<RowFilter>,
    /// By the names of the columns that they hide.
    pub column_masks: BTreeMap<String, ColumnMask>,
}

/// Shows the rows for which a function is true.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowFilter {
    pub function: TableFunction,
    pub columns: Vec<FunctionArgument>,
}

/// Shows what a function makes of a column, and of others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnMask {
    pub function: TableFunction,
    pub using_columns: Vec<FunctionArgument>,
}

/// A function of the catalog. One that is made anew under the name is another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableFunction {
    pub name: FunctionName,
    pub id: FunctionId,
}

/// What a function is given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FunctionArgument {
    Column(String),
    /// A literal, as SQL writes it.
    Constant(String),
}

impl FunctionArgument {
    /// Returns the name of the column, or the literal.
    pub fn text(&self) -> &str {
        match self {
            Self::Column(text) | Self::Constant(text) => text,
        }
    }
}

/// What becomes of a table's filters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FilterChange {
    RowFilter(Option<RowFilter>),
    /// The mask of a column, by the name that the table has for it.
    ColumnMask(String, Option<ColumnMask>),
    /// Those of a table that is made anew.
    All(TableFilters),
}

impl TableFilters {
    /// Says if all of a table's rows are shown as they are.
    pub fn is_empty(&self) -> bool {
        self.row_filter.is_none() && self.column_masks.is_empty()
    }

    /// Returns what the filters are after a change.
    pub fn after(mut self, change: FilterChange) -> Self {
        match change {
            FilterChange::RowFilter(filter) => self.row_filter = filter,
            FilterChange::ColumnMask(column, mask) => {
                self.column_masks
                    .retain(|known, _| !known.eq_ignore_ascii_case(&column));
                self.column_masks.extend(mask.map(|mask| (column, mask)));
            }
            FilterChange::All(filters) => return filters,
        }
        self
    }

    /// Returns the mask of a column, whatever the case of its name.
    pub fn mask(&self, column: &str) -> Option<&ColumnMask> {
        let mut masks = self.column_masks.iter();
        let found = masks.find(|(known, _)| known.eq_ignore_ascii_case(column));
        found.map(|(_, mask)| mask)
    }

    /// Says if a filter or a mask is of a column, or is given it.
    pub fn names(&self, column: &str) -> bool {
        let given = self.row_filter.iter().flat_map(|filter| &filter.columns);
        let given = given.chain(self.column_masks.values().flat_map(|mask| &mask.using_columns));
        let mut named = given.filter_map(|argument| match argument {
            FunctionArgument::Column(name) => Some(name),
            FunctionArgument::Constant(_) => None,
        });
        named.any(|name| name.eq_ignore_ascii_case(column)) || self.mask(column).is_some()
    }
}

#[cfg(test)]
mod tests {
    use ingot_common::{Identifier, SchemaName};
    use uuid::Uuid;

    use super::*;

    fn mask(using: &str) -> ColumnMask {
        let part = |text: &str| Identifier::new(text).expect("a name");
        ColumnMask {
            function: TableFunction {
                name: FunctionName::new(SchemaName::new(part("c"), part("s")), part("f")),
                id: FunctionId(Uuid::nil()),
            },
            using_columns: vec![
                FunctionArgument::Column(using.to_owned()),
                FunctionArgument::Constant("'x'".to_owned()),
            ],
        }
    }

    #[test]
    fn a_column_has_one_mask_whatever_its_case() {
        let filters = TableFilters::default()
            .after(FilterChange::ColumnMask("Phone".to_owned(), Some(mask("a"))))
            .after(FilterChange::ColumnMask("phone".to_owned(), Some(mask("b"))));
        assert_eq!(filters.column_masks.len(), 1);
        assert_eq!(filters.mask("PHONE"), Some(&mask("b")));
        assert!(filters.names("PHONE") && filters.names("B"));
        assert!(!filters.names("a") && !filters.names("'x'"));
        assert!(
            filters
                .after(FilterChange::ColumnMask("PHONE".to_owned(), None))
                .is_empty()
        );
    }

    #[test]
    fn filters_are_read_back() {
        let filters =
            TableFilters::default().after(FilterChange::ColumnMask("p".to_owned(), Some(mask("a"))));
        let text = serde_json::to_string(&filters).expect("JSON");
        assert_eq!(
            serde_json::from_str::<TableFilters>(&text).expect("read"),
            filters
        );
        assert!(
            serde_json::from_str::<TableFilters>("{}")
                .expect("read")
                .is_empty()
        );
    }
}
