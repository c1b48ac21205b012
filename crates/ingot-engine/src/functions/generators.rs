//! Functions beneath the generators: lists of structs that become rows.

mod json_fields;
mod with_positions;

pub(crate) use self::json_fields::json_fields;
pub(crate) use self::with_positions::{POSITION, VALUE, with_positions};
