//! A session over stateless HTTP: the schema and the settings go with each statement.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sqllogictest::{DB, DBOutput, DefaultColumnType};

/// What went wrong with a statement.
#[derive(Debug, thiserror::Error)]
pub enum StatementError {
    #[error("[{condition}] {message} SQLSTATE: {sqlstate}")]
    Refused {
        condition: String,
        message: String,
        sqlstate: String,
    },
    #[error("the server does not answer")]
    Transport(#[from] ureq::Error),
    #[error("the server answered with something that is not JSON")]
    Answer(#[from] serde_json::Error),
}

/// One file's session.
pub struct Session {
    agent: ureq::Agent,
    url: String,
    schema: String,
    settings: BTreeMap<String, String>,
}

impl Session {
    /// Makes a session in schema `main.{schema}` of the server at `url`.
    pub fn new(url: &str, schema: &str) -> Self {
        let config = ureq::Agent::config_builder().http_status_as_error(false);
        Self {
            agent: config.build().new_agent(),
            url: format!("{url}/api/v1/sql"),
            schema: schema.to_owned(),
            settings: BTreeMap::new(),
        }
    }

    /// Runs a statement and returns its rows as objects.
    pub fn execute(&mut self, statement: &str) -> Result<Vec<Value>, StatementError> {
        let request = json!({
            "statement": statement, "catalog": "main", "schema": self.schema, "settings": self.settings,
        });
        let mut answer = self
            .agent
            .post(&self.url)
            .header("accept", "application/json")
            .send_json(&request)?;
        let ok = answer.status().is_success();
        let body: Value = serde_json::from_str(&answer.body_mut().read_to_string()?)?;
        if !ok {
            let text = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
            return Err(StatementError::Refused {
                condition: text("condition"),
                message: text("message"),
                sqlstate: text("sqlstate"),
            });
        }
        self.remember(statement);
        match body {
            Value::Array(rows) => Ok(rows),
            other => Ok(vec![other]),
        }
    }

    fn remember(&mut self, statement: &str) {
        let statement = statement.trim();
        let (word, rest) = statement
            .split_once(char::is_whitespace)
            .unwrap_or((statement, ""));
        if word.eq_ignore_ascii_case("SET")
            && let Some((key, value)) = rest.split_once('=')
        {
            let unquoted = |text: &str| text.trim().trim_matches(['`', '\'', '"']).to_owned();
            self.settings.insert(unquoted(key), unquoted(value));
        } else if word.eq_ignore_ascii_case("RESET") {
            let key = rest.trim();
            self.settings.retain(|known, _| !key.is_empty() && known != key);
        }
    }
}

impl DB for Session {
    type Error = StatementError;
    type ColumnType = DefaultColumnType;

    fn run(&mut self, statement: &str) -> Result<DBOutput<Self::ColumnType>, Self::Error> {
        let rows = self.execute(statement)?;
        let rows: Vec<Vec<String>> = rows
            .iter()
            .map(|row| match row {
                Value::Object(columns) => columns.values().map(text).collect(),
                other => vec![text(other)],
            })
            .collect();
        let columns = rows.first().map_or(0, Vec::len);
        Ok(DBOutput::Rows {
            types: vec![DefaultColumnType::Any; columns],
            rows,
        })
    }

    fn engine_name(&self) -> &'static str {
        "ingot"
    }

    fn error_sql_state(error: &Self::Error) -> Option<String> {
        match error {
            StatementError::Refused { sqlstate, .. } => Some(sqlstate.clone()),
            StatementError::Transport(_) | StatementError::Answer(_) => None,
        }
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::String(text) if text.is_empty() => "(empty)".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
