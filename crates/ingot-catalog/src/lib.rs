//! The metastore: which catalogs, schemas, tables and views exist, where they are and whose. Rows in SQL
//! (decision D4); it decides, it never touches a table's files.
//!
//! Creating a table takes three steps, so that a crash at any point leaves either no table or a whole one:
//! ```text
//! reserve_table (state CREATING, name and location taken) ─► the caller writes the Delta log ─► publish_table
//!                         └─ crash: the reservation expires and the next creator takes the name over
//! ```

pub mod error;
pub mod metastore;
pub mod model;

pub use error::{Error, Result};
pub use metastore::Metastore;
pub use model::*;
