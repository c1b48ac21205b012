//! The checkpoint directory, in Spark's layout.
