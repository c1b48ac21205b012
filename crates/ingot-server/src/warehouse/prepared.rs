//! A statement that is prepared: its text, what is known of it, and the values that it runs with.

use std::sync::Mutex;

use arrow::array::RecordBatch;
use ingot_common::port::StatementDescription;
use uuid::Uuid;

use super::lock;

/// See the module's documentation.
#[derive(Debug)]
pub struct Prepared {
    id: Uuid,
    statement: String,
    description: StatementDescription,
    values: Mutex<Vec<RecordBatch>>,
}

impl Prepared {
    /// Prepares a statement.
    pub fn new(statement: String, description: StatementDescription) -> Self {
        Self {
            id: Uuid::new_v4(),
            statement,
            description,
            values: Mutex::default(),
        }
    }

    /// Returns its number, which nobody guesses.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// Returns its text.
    pub fn statement(&self) -> &str {
        &self.statement
    }

    /// Returns what is known of it.
    pub fn description(&self) -> &StatementDescription {
        &self.description
    }

    /// Takes the values for its markers in the place of those before. It runs once for each row.
    pub fn bind(&self, values: Vec<RecordBatch>) {
        *lock(&self.values) = values;
    }

    /// Returns the values, a batch of one row for each time that it runs; none where it has not got any.
    pub fn rows(&self) -> Vec<RecordBatch> {
        let values = lock(&self.values).clone();
        let rows = values
            .iter()
            .flat_map(|batch| (0..batch.num_rows()).map(|row| batch.slice(row, 1)));
        rows.collect()
    }
}
