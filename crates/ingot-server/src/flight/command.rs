//! Commands, as descriptors and tickets carry them.

use arrow_flight::sql::{Any, Command};
use bytes::Bytes;
use ingot_common::ServiceError;
use prost::Message;

use super::invalid;

/// Reads a command.
///
/// # Errors
/// `InvalidArgument` for what is none of Flight SQL's.
pub(super) fn command(bytes: &Bytes) -> Result<Command, ServiceError> {
    let message = any(bytes)?;
    let command = Command::try_from(message);
    match command.map_err(|error| invalid(format!("the command cannot be read: {error}")))? {
        Command::Unknown(other) => {
            let url = other.type_url.chars().take(200).collect::<String>();
            Err(invalid(format!("`{url}` is no command of Flight SQL")))
        }
        command => Ok(command),
    }
}

/// Reads a message with its type.
///
/// # Errors
/// `InvalidArgument` for what is none.
pub(super) fn any(bytes: &Bytes) -> Result<Any, ServiceError> {
    Any::decode(bytes.clone()).map_err(|_| invalid("the message has no command of Flight SQL"))
}
