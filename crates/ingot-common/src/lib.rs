//! What every crate of Ingot shares and none of them owns: error kinds, three-part names, the request
//! context, time and randomness, retries, supervised tasks, and the ports through which the front doors
//! reach the engine.
//!
//! Nothing here does I/O on its own, and nothing here knows Delta, SQL or HTTP.

pub mod clock;
pub mod context;
pub mod error;
pub mod history;
pub mod name;
pub mod port;
pub mod retry;
pub mod task;

pub use context::{Principal, RequestContext};
pub use error::{Classify, Kind, ServiceError};
pub use name::{FunctionName, Identifier, SchemaName, TableName, VolumeName};
