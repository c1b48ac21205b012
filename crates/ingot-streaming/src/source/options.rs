//! Reading of a source's options: names without regard to case, as in Spark; unknown ones are refused.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use crate::{Error, Result};

/// Options of one source that have not been read yet.
#[derive(Debug)]
pub struct Options {
    origin: &'static str,
    /// By name in lower case: the name as given, and the value.
    given: BTreeMap<String, (String, String)>,
}

impl Options {
    /// Starts reading the options of the kind of source called `origin`.
    pub fn new(origin: &'static str, options: &BTreeMap<String, String>) -> Self {
        let given = options
            .iter()
            .map(|(name, value)| (name.to_ascii_lowercase(), (name.clone(), value.clone())))
            .collect();
        Self { origin, given }
    }

    /// Takes an option's text.
    pub fn take(&mut self, name: &str) -> Option<String> {
        self.given
            .remove(&name.to_ascii_lowercase())
            .map(|(_, value)| value)
    }

    /// Takes an option and reads it.
    pub fn parse<T>(&mut self, name: &str) -> Result<Option<T>>
    where
        T: FromStr,
        T::Err: Display,
    {
        self.take(name)
            .map(|text| {
                text.trim()
                    .parse()
                    .map_err(|error: T::Err| self.invalid(name, format!("`{text}`: {error}")))
            })
            .transpose()
    }

    /// Takes an option that must be a number above zero.
    pub fn positive(&mut self, name: &str) -> Result<Option<u64>> {
        match self.parse(name)? {
            Some(0) => Err(self.invalid(name, "must be above 0")),
            value => Ok(value),
        }
    }

    /// Takes all options whose name begins with `prefix`, without it.
    pub fn take_prefixed(&mut self, prefix: &str) -> Vec<(String, String)> {
        let mut taken = Vec::new();
        self.given.retain(|lower, (_, value)| {
            let Some(rest) = lower.strip_prefix(prefix) else {
                return true;
            };
            taken.push((rest.to_owned(), value.clone()));
            false
        });
        taken
    }

    /// Returns the options that nobody took, as they were given.
    pub fn rest(self) -> BTreeMap<String, String> {
        self.given.into_values().collect()
    }

    /// Makes the error of a wrong option.
    pub fn invalid(&self, option: &str, message: impl Into<String>) -> Error {
        Error::InvalidOption {
            origin: self.origin,
            option: option.to_owned(),
            message: message.into(),
        }
    }

    /// Ends reading.
    ///
    /// # Errors
    /// `InvalidArgument` for an option that nobody took.
    pub fn finish(self) -> Result<()> {
        match self.given.values().next() {
            None => Ok(()),
            Some((name, _)) => Err(self.invalid(name, "there is no such option")),
        }
    }
}
