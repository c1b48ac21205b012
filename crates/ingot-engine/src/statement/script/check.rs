//! The statements of a script, read before any of them runs.
//!
//! A statement that cannot be read is refused here. What else may be wrong with one can depend on what those before it
//! do, and shows when it runs.

use ingot_common::Classify;

use super::set::{self, Target};
use super::{Block, Step};
use crate::stack::with_room;
use crate::{Error, Result, Session};

/// Reads the statements of a block.
///
/// # Errors
/// `PARSE_SYNTAX_ERROR`, `FAILED_TO_PARSE_TOO_COMPLEX`.
pub(super) fn block(session: &Session, block: &Block) -> Result<()> {
    for handler in &block.handlers {
        steps(session, &handler.action)?;
    }
    steps(session, &block.body)
}

fn steps(session: &Session, steps: &[Step]) -> Result<()> {
    steps.iter().try_for_each(|one| step(session, one))
}

fn step(session: &Session, step: &Step) -> Result<()> {
    match step {
        Step::Block(inner) => block(session, inner),
        Step::Statement(text) => {
            let work = with_room(|| super::super::parse(session, text));
            unreadable(work.err())
        }
        Step::Set(text) => match set::target(text)? {
            Target::Variables => unreadable(set::variables(session, text).err()),
            Target::Setting | Target::Qualified(_) => Ok(()),
        },
        Step::If { branches, otherwise } => {
            for (_, body) in branches {
                steps(session, body)?;
            }
            steps(session, otherwise)
        }
        Step::While { body, .. }
        | Step::Repeat { body, .. }
        | Step::Loop { body, .. }
        | Step::For { body, .. } => steps(session, body),
        Step::Open { .. }
        | Step::Fetch { .. }
        | Step::Close(_)
        | Step::Leave(_)
        | Step::Iterate(_)
        | Step::Signal(_)
        | Step::Resignal
        | Step::Diagnostics(_) => Ok(()),
    }
}

/// Passes on what says that a text cannot be read.
fn unreadable(error: Option<Error>) -> Result<()> {
    match error {
        Some(error)
            if matches!(
                error.condition(),
                Some("PARSE_SYNTAX_ERROR" | "FAILED_TO_PARSE_TOO_COMPLEX")
            ) =>
        {
            Err(error)
        }
        _ => Ok(()),
    }
}
