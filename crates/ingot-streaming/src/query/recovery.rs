//! Decides, from what a checkpoint and a sink hold, where a query goes on.
//!
//! The order of writes is `offsets/N`, sink, `commits/N`; each state that a crash can leave is a prefix of it.
//! Any other state means that one of the two was replaced (a table restored or made anew, a checkpoint copied),
//! and going on would lose rows or double them.

/// Where a query goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recovery {
    /// No batch has been recorded.
    New,
    /// The newest recorded batch is committed; the next one is new.
    After { batch_id: i64 },
    /// The sink has the newest recorded batch; only its commit is missing from the checkpoint.
    Acknowledge { batch_id: i64 },
    /// The newest recorded batch has to run again, with the offsets recorded.
    Rerun { batch_id: i64 },
    /// Checkpoint and sink contradict each other.
    Mismatch(Mismatch),
}

/// How checkpoint and sink contradict each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    #[error(
        "the sink holds batch {sink} of the query, and the checkpoint records none after {recorded:?}: the \
         checkpoint was lost or is older than the sink, and going on would double rows; bring the checkpoint back, or \
         start over: drop the sink's table and delete the checkpoint"
    )]
    SinkAhead { sink: i64, recorded: Option<i64> },
    #[error(
        "the checkpoint has batch {committed} committed, and the sink holds none after {sink:?}: the sink was \
         replaced or restored; start over with a new checkpoint"
    )]
    SinkBehind { sink: Option<i64>, committed: i64 },
    #[error("batch {committed} is committed and its offsets are not recorded")]
    OffsetsMissing { committed: i64 },
}

/// Decides. `recorded` and `committed` are the newest batches in `offsets` and `commits`, `sink` the newest
/// batch that the sink holds.
pub fn recover(recorded: Option<i64>, committed: Option<i64>, sink: Option<i64>) -> Recovery {
    if let Some(committed) = committed {
        if recorded.is_none_or(|recorded| recorded < committed) {
            return Recovery::Mismatch(Mismatch::OffsetsMissing { committed });
        }
        if sink.is_none_or(|sink| sink < committed) {
            return Recovery::Mismatch(Mismatch::SinkBehind { sink, committed });
        }
    }
    if let Some(sink) = sink
        && recorded.is_none_or(|recorded| recorded < sink)
    {
        return Recovery::Mismatch(Mismatch::SinkAhead { sink, recorded });
    }
    match recorded {
        None => Recovery::New,
        Some(batch_id) if committed == Some(batch_id) => Recovery::After { batch_id },
        Some(batch_id) if sink == Some(batch_id) => Recovery::Acknowledge { batch_id },
        Some(batch_id) => Recovery::Rerun { batch_id },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use test_case::test_case;

    #[test_case(None, None, None => Recovery::New; "new query")]
    #[test_case(Some(0), None, None => Recovery::Rerun { batch_id: 0 }; "crash before the first sink commit")]
    #[test_case(Some(4), Some(3), Some(3) => Recovery::Rerun { batch_id: 4 }; "crash before the sink commit")]
    #[test_case(Some(4), Some(3), Some(4) => Recovery::Acknowledge { batch_id: 4 }; "crash after the sink commit")]
    #[test_case(Some(4), Some(4), Some(4) => Recovery::After { batch_id: 4 }; "clean stop")]
    #[test_case(None, None, Some(2) => Recovery::Mismatch(Mismatch::SinkAhead { sink: 2, recorded: None }); "checkpoint lost")]
    #[test_case(Some(1), Some(1), Some(2) => Recovery::Mismatch(Mismatch::SinkAhead { sink: 2, recorded: Some(1) }); "checkpoint restored")]
    #[test_case(Some(4), Some(4), None => Recovery::Mismatch(Mismatch::SinkBehind { sink: None, committed: 4 }); "table made anew")]
    #[test_case(Some(4), Some(4), Some(3) => Recovery::Mismatch(Mismatch::SinkBehind { sink: Some(3), committed: 4 }); "table restored")]
    #[test_case(None, Some(4), Some(4) => Recovery::Mismatch(Mismatch::OffsetsMissing { committed: 4 }); "offsets deleted")]
    fn decides(recorded: Option<i64>, committed: Option<i64>, sink: Option<i64>) -> Recovery {
        recover(recorded, committed, sink)
    }
}
