//! Tokens with their places, and a position among them.

use datafusion::sql::sqlparser::dialect::DatabricksDialect;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, Tokenizer, TokenizerError};
use ingot_common::{Identifier, SchemaName, TableName};

use crate::definition::{Place, Reference};
use crate::text::{FilledText, offset_of};
use crate::{Error, Result};

/// A file of the project.
#[derive(Debug, Clone, Copy)]
pub struct SourceFile<'a> {
    pub text: &'a FilledText,
    /// Completes names of fewer than three parts.
    pub namespace: &'a SchemaName,
}

/// A token that is neither white space nor comment.
#[derive(Debug, Clone)]
pub struct Lexeme {
    pub token: Token,
    /// Bytes of the text.
    pub start: usize,
    pub end: usize,
}

impl Lexeme {
    /// Says if this is the unquoted word `word`, in any case.
    pub fn is(&self, word: &str) -> bool {
        matches!(&self.token, Token::Word(found) if found.quote_style.is_none() && found.value.eq_ignore_ascii_case(word))
    }
}

/// Cuts a file into tokens.
pub fn lex(file: &SourceFile<'_>) -> Result<Vec<Lexeme>> {
    let text = file.text.as_str();
    let tokens = Tokenizer::new(&DatabricksDialect {}, text)
        .tokenize_with_location()
        .map_err(|TokenizerError { message, location }| Error::Definition {
            place: file.text.place(offset_of(text, location.line, location.column)),
            message,
        })?;
    let lines = line_starts(text);
    let offset = |location: Location| byte_offset(text, &lines, location);
    let mut lexemes: Vec<Lexeme> = Vec::with_capacity(tokens.len());
    for (number, token) in tokens.iter().enumerate() {
        if matches!(token.token, Token::Whitespace(_) | Token::EOF) {
            continue;
        }
        // Tokens follow each other without gaps, white space being one of them.
        let end = tokens
            .get(number + 1)
            .map_or(text.len(), |next| match next.token {
                Token::EOF => text.len(),
                _ => offset(next.span.start),
            });
        lexemes.push(Lexeme {
            token: token.token.clone(),
            start: offset(token.span.start),
            end,
        });
    }
    Ok(lexemes)
}

fn line_starts(text: &str) -> Vec<usize> {
    let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
    std::iter::once(0)
        .chain(breaks.map(|(place, _)| place + 1))
        .collect()
}

fn byte_offset(text: &str, lines: &[usize], location: Location) -> usize {
    let line = usize::try_from(location.line.saturating_sub(1)).unwrap_or(usize::MAX);
    let column = usize::try_from(location.column.saturating_sub(1)).unwrap_or(usize::MAX);
    let Some(&start) = lines.get(line) else {
        return text.len();
    };
    text[start..]
        .char_indices()
        .nth(column)
        .map_or(text.len(), |(offset, _)| start + offset)
}

/// A position in a statement.
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    pub file: SourceFile<'a>,
    lexemes: &'a [Lexeme],
    at: usize,
}

impl<'a> Cursor<'a> {
    /// Stands before the first of `lexemes`.
    pub fn new(file: SourceFile<'a>, lexemes: &'a [Lexeme]) -> Self {
        Self { file, lexemes, at: 0 }
    }

    /// Returns the next token and stays.
    pub fn peek(&self) -> Option<&'a Lexeme> {
        self.lexemes.get(self.at)
    }

    /// Returns the next token and goes past it.
    pub fn next(&mut self) -> Option<&'a Lexeme> {
        let lexeme = self.peek()?;
        self.at += 1;
        Some(lexeme)
    }

    /// Returns the file's text.
    pub fn text(&self) -> &'a str {
        self.file.text.as_str()
    }

    /// Returns the tokens that are left.
    pub fn rest(&self) -> &'a [Lexeme] {
        &self.lexemes[self.at.min(self.lexemes.len())..]
    }

    /// Returns where the next token stands, or the end of the last.
    pub fn place(&self) -> Place {
        match self.peek().or(self.lexemes.last()) {
            Some(lexeme) => self.file.text.place(lexeme.start),
            None => self.file.text.place(0),
        }
    }

    /// Makes an error at the next token.
    pub fn error(&self, message: impl Into<String>) -> Error {
        Error::Definition {
            place: self.place(),
            message: message.into(),
        }
    }

    /// Goes past `words` if they come next.
    pub fn accept(&mut self, words: &str) -> bool {
        let words: Vec<&str> = words.split(' ').collect();
        let next = self.rest();
        let found = next.len() >= words.len() && words.iter().zip(next).all(|(word, lexeme)| lexeme.is(word));
        if found {
            self.at += words.len();
        }
        found
    }

    /// Goes past `words`.
    ///
    /// # Errors
    /// `InvalidArgument`, with the place, when something else comes.
    pub fn expect(&mut self, words: &str) -> Result<()> {
        if self.accept(words) {
            return Ok(());
        }
        Err(self.expected(words))
    }

    /// Makes the error of something other than `what` coming next.
    pub fn expected(&self, what: &str) -> Error {
        match self.peek() {
            Some(lexeme) => self.error(format!("expected {what}, found `{}`", lexeme.token)),
            None => self.error(format!("expected {what}, found the end of the statement")),
        }
    }

    /// Goes past `token` if it comes next.
    pub fn accept_token(&mut self, token: &Token) -> bool {
        let found = self.peek().is_some_and(|lexeme| lexeme.token == *token);
        self.at += usize::from(found);
        found
    }

    /// Goes past `token`.
    pub fn expect_token(&mut self, token: &Token) -> Result<()> {
        if self.accept_token(token) {
            return Ok(());
        }
        Err(self.expected(&format!("`{token}`")))
    }

    /// Reads a word.
    pub fn word(&mut self, what: &str) -> Result<String> {
        match self.peek().map(|lexeme| &lexeme.token) {
            Some(Token::Word(word)) => {
                self.at += 1;
                Ok(word.value.clone())
            }
            _ => Err(self.expected(what)),
        }
    }

    /// Reads a text in quotes.
    pub fn quoted_text(&mut self) -> Result<String> {
        match self.peek().map(|lexeme| &lexeme.token) {
            Some(Token::SingleQuotedString(text) | Token::DoubleQuotedString(text)) => {
                self.at += 1;
                Ok(text.clone())
            }
            _ => Err(self.expected("a text in quotes")),
        }
    }

    /// Reads a name of one to three parts and completes it.
    pub fn table_name(&mut self) -> Result<Reference> {
        let place = self.place();
        let mut parts = vec![self.word("a name")?];
        while self.accept_token(&Token::Period) {
            parts.push(self.word("a part of a name")?);
        }
        let wrong = |message: String| Error::Definition {
            place: place.clone(),
            message,
        };
        let mut names = Vec::with_capacity(parts.len());
        for part in &parts {
            names.push(Identifier::new(part).map_err(|error| wrong(error.to_string()))?);
        }
        let SchemaName { catalog, schema } = self.file.namespace.clone();
        let name = match <[Identifier; 3]>::try_from(names) {
            Ok([catalog, schema, table]) => TableName::new(catalog, schema, table),
            Err(mut names) => match (names.pop(), names.pop(), names.len()) {
                (Some(table), Some(schema), 0) => TableName::new(catalog, schema, table),
                (Some(table), None, 0) => TableName::new(catalog, schema, table),
                _ => return Err(wrong(format!("name has {} parts, expected 1 to 3", parts.len()))),
            },
        };
        Ok(Reference { name, place })
    }

    /// Reads `(a, b, …)`.
    pub fn columns(&mut self) -> Result<Vec<String>> {
        self.expect_token(&Token::LParen)?;
        let mut columns = vec![self.word("a column")?];
        while self.accept_token(&Token::Comma) {
            columns.push(self.word("a column")?);
        }
        self.expect_token(&Token::RParen)?;
        Ok(columns)
    }

    /// Reads `( … )` and returns the text within.
    pub fn parenthesised(&mut self) -> Result<&'a str> {
        let open = self.peek().map(|lexeme| lexeme.end);
        self.expect_token(&Token::LParen)?;
        let start = open.unwrap_or_default();
        let mut depth = 1;
        while let Some(lexeme) = self.next() {
            match lexeme.token {
                Token::LParen => depth += 1,
                Token::RParen => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return Ok(self.text()[start..lexeme.start].trim());
            }
        }
        Err(self.expected("`)`"))
    }

    /// Returns the text up to one of `words` at this depth of parentheses, or to the end.
    pub fn text_until(&mut self, words: &[&str]) -> &'a str {
        let start = self.peek().map_or(self.text().len(), |lexeme| lexeme.start);
        let mut end = start;
        let mut depth = 0;
        while let Some(lexeme) = self.peek() {
            if depth == 0 && words.iter().any(|word| lexeme.is(word)) {
                break;
            }
            match lexeme.token {
                Token::LParen => depth += 1,
                Token::RParen => depth -= 1,
                _ => {}
            }
            end = lexeme.end;
            self.at += 1;
        }
        self.text()[start..end].trim()
    }
}
