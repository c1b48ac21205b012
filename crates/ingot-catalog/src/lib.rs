//! The metastore: which catalogs, schemas, tables and views exist, where they are and whose. Rows in SQL
//! (decision D4); it decides, it never touches a table's files.
//!
//! Creating a table takes three steps, so that a crash at any point leaves either no table or a whole one:
//! ```text
//! reserve_table (state CREATING, name and location taken) ─► the caller writes the Delta log ─► publish_table
//!                         └─ crash: the reservation expires and the next creator takes the name over
//! ```

pub mod error;
pub mod filters;
pub mod history;
pub mod metastore;
pub mod model;
pub mod policy;
pub mod privilege;
pub mod securable;

pub use error::{Error, Result};
pub use filters::{ColumnMask, FilterChange, FunctionArgument, RowFilter, TableFilters, TableFunction};
pub use history::{HistoryRetention, HistoryStore, history_file};
pub use metastore::{GrantChange, Metastore, Sight, check_principal};
pub use model::*;
pub use policy::{ACCOUNT_USERS, Denied, Grant, GrantOn, Identity, Need, Policy};
pub use privilege::Privilege;
pub use securable::{Securable, SecurableKind, SecurableName};
