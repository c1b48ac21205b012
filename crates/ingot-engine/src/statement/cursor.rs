//! Tokens of a command, read from left to right.

use datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use datafusion::sql::sqlparser::ast::{
    DataType, Expr, Ident, ObjectName, Query, SetExpr, Statement, TableFactor, With,
};
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::Token;
use ingot_common::TableName;

use crate::dialect::{self, Places};
use crate::{Error, Result, Session};

/// A place in a command. Words compare without case.
pub(super) struct Cursor<'a> {
    text: &'a str,
    places: Places,
    parser: Parser<'static>,
}

impl<'a> Cursor<'a> {
    pub fn new(text: &'a str) -> Result<Self> {
        Ok(Self {
            text,
            places: Places::new(text),
            parser: dialect::parser(text)?,
        })
    }

    /// Returns the byte of the text at which the next token begins.
    fn next_offset(&self) -> usize {
        let next = self.parser.peek_token();
        match next.token {
            Token::EOF => self.text.len(),
            _ => self.places.offset(self.text, next.span.start),
        }
    }

    /// Runs `take`, and returns what it took as the text has it.
    fn taken<T>(&mut self, take: impl FnOnce(&mut Self) -> Result<T>) -> Result<(T, &'a str)> {
        let start = self.next_offset();
        let value = take(self)?;
        let end = self
            .places
            .offset(self.text, self.parser.get_current_token().span.end);
        let piece = self.text.get(start..end.max(start)).unwrap_or_default();
        Ok((value, piece))
    }

    /// Takes `word` if it comes next.
    pub fn accept(&mut self, word: &str) -> bool {
        self.accept_all(&[word])
    }

    /// Takes `words` if all of them come next.
    pub fn accept_all(&mut self, words: &[&str]) -> bool {
        let matches = self.at_all(words);
        if matches {
            words.iter().for_each(|_| drop(self.parser.next_token()));
        }
        matches
    }

    /// Says if `word` comes next, without taking it.
    pub fn at(&self, word: &str) -> bool {
        self.is_word(0, word)
    }

    /// Says if all of `words` come next, without taking them.
    pub fn at_all(&self, words: &[&str]) -> bool {
        words.iter().enumerate().all(|(n, word)| self.is_word(n, word))
    }

    fn is_word(&self, n: usize, word: &str) -> bool {
        is_word(&self.parser.peek_nth_token(n).token, word)
    }

    /// Takes `word`, which must come next.
    pub fn expect(&mut self, word: &str) -> Result<()> {
        if self.accept(word) {
            return Ok(());
        }
        Err(self.expected(word))
    }

    /// Takes `token` if it comes next.
    pub fn accept_token(&mut self, token: &Token) -> bool {
        self.parser.consume_token(token)
    }

    /// Says if `token` comes next, without taking it.
    pub fn at_token(&self, token: &Token) -> bool {
        self.parser.peek_token().token == *token
    }

    /// Says if names in parentheses come next, rather than a query.
    pub fn at_names(&self) -> bool {
        let queries = ["SELECT", "WITH", "VALUES"];
        let table = self.is_word(1, "TABLE")
            && !matches!(self.parser.peek_nth_token(2).token, Token::Comma | Token::RParen);
        self.at_token(&Token::LParen)
            && self.parser.peek_nth_token(1).token != Token::LParen
            && !table
            && !queries.iter().any(|word| self.is_word(1, word))
    }

    /// Takes `token`, which must come next.
    pub fn expect_token(&mut self, token: &Token) -> Result<()> {
        Ok(self.parser.expect_token(token).map(drop)?)
    }

    /// Takes one name, with or without quotes.
    pub fn name(&mut self) -> Result<String> {
        Ok(self.parser.parse_identifier()?.value)
    }

    /// Takes a name of one part or several, which may stand in `IDENTIFIER('…')`.
    pub fn object_name(&mut self) -> Result<ObjectName> {
        if self.is_word(0, "IDENTIFIER") && self.parser.peek_nth_token(1).token == Token::LParen {
            self.expect("IDENTIFIER")?;
            self.expect_token(&Token::LParen)?;
            let name = crate::resolve::object_name(&self.string()?)?;
            self.expect_token(&Token::RParen)?;
            return Ok(name);
        }
        Ok(self.parser.parse_object_name(true)?)
    }

    /// Takes a name of several parts, as the text has it, quotes and all.
    pub fn object_name_text(&mut self) -> Result<&'a str> {
        Ok(self.taken(Self::object_name)?.1)
    }

    /// Takes the name of a table, or its path as a literal, which is `delta.` and the path as a name.
    pub fn table_or_path(&mut self) -> Result<ObjectName> {
        if !self.at_string() {
            return self.object_name();
        }
        let parts = [Ident::new("delta"), Ident::with_quote('`', self.string()?)];
        Ok(ObjectName::from(parts.to_vec()))
    }

    /// Takes the name of a table, completed with the session's namespace.
    pub fn table_name(&mut self, session: &Session) -> Result<TableName> {
        let name = self.object_name()?;
        session.resolve(&name)
    }

    /// Says if a literal comes next, without taking it.
    pub fn at_string(&self) -> bool {
        matches!(
            self.parser.peek_token().token,
            Token::SingleQuotedString(_) | Token::DoubleQuotedString(_)
        )
    }

    /// Says if a number comes next, without taking it.
    pub fn at_number(&self) -> bool {
        matches!(self.parser.peek_token().token, Token::Number(..))
    }

    pub fn string(&mut self) -> Result<String> {
        Ok(self.parser.parse_literal_string()?)
    }

    /// Takes a text in `$$`, if one comes next.
    pub fn dollar_quoted(&mut self) -> Option<String> {
        let Token::DollarQuotedString(quoted) = self.parser.peek_token().token else {
            return None;
        };
        self.parser.next_token();
        Some(quoted.value)
    }

    pub fn number(&mut self) -> Result<u64> {
        Ok(self.parser.parse_literal_uint()?)
    }

    /// Takes an expression, and returns it also as the text has it.
    pub fn expression(&mut self) -> Result<(Expr, &'a str)> {
        self.taken(|cursor| Ok(cursor.parser.parse_expr()?))
    }

    /// Takes a type.
    pub fn data_type(&mut self) -> Result<DataType> {
        Ok(self.parser.parse_data_type()?)
    }

    /// Takes a whole number, with or without a sign.
    pub fn signed_number(&mut self) -> Result<i64> {
        let minus = self.accept_token(&Token::Minus);
        if !minus {
            self.accept_token(&Token::Plus);
        }
        let digits = match self.parser.next_token().token {
            Token::Number(digits, _) => digits,
            other => return Err(Error::parse(format!("`{other}` is no whole number"))),
        };
        let sign = if minus { "-" } else { "" };
        let number = format!("{sign}{digits}").parse();
        number.map_err(|_| Error::parse(format!("`{sign}{digits}` is no whole number of 64 bits")))
    }

    /// Takes a column's name of one part or several, without their quotes.
    pub fn column_path(&mut self) -> Result<Vec<String>> {
        crate::resolve::parts(&self.object_name()?)
    }

    /// Takes an expression, as the text has it.
    pub fn expression_text(&mut self) -> Result<&'a str> {
        Ok(self.expression()?.1)
    }

    /// Takes the rows of a statement that writes: a query, or `TABLE name`, in parentheses or not.
    pub fn source(&mut self) -> Result<Box<Query>> {
        let inner = |cursor: &Self, n: usize| {
            let names_follow = !matches!(
                cursor.parser.peek_nth_token(n + 1).token,
                Token::Comma | Token::RParen
            );
            cursor.is_word(n, "TABLE") && names_follow
        };
        if self.at_token(&Token::LParen) && inner(self, 1) {
            self.expect_token(&Token::LParen)?;
            let query = self.source()?;
            self.expect_token(&Token::RParen)?;
            return Ok(query);
        }
        if !inner(self, 0) {
            return self.parse_query();
        }
        self.expect("TABLE")?;
        let name = self.object_name()?;
        let mut query = dialect::parser("SELECT * FROM t")?.parse_query()?;
        if let SetExpr::Select(select) = query.body.as_mut()
            && let Some(from) = select.from.first_mut()
            && let TableFactor::Table { name: place, .. } = &mut from.relation
        {
            *place = name;
        }
        Ok(query)
    }

    /// Takes the alias of a table or query, if one comes next: a name, also without `AS` unless it is one of `words`,
    /// which go on with the statement.
    pub fn alias(&mut self, words: &[&str]) -> Result<Option<String>> {
        let explicit = self.accept("AS");
        let free = match self.parser.peek_token().token {
            Token::Word(word) => word.quote_style.is_some() || !words.iter().any(|word| self.at(word)),
            _ => false,
        };
        match explicit || free {
            true => self.name().map(Some),
            false => Ok(None),
        }
    }

    /// Takes a query.
    pub fn query(&mut self) -> Result<Statement> {
        Ok(Statement::Query(self.parse_query()?))
    }

    /// Takes a query, as the text has it.
    pub fn query_text(&mut self) -> Result<&'a str> {
        Ok(self.taken(Self::parse_query)?.1)
    }

    fn parse_query(&mut self) -> Result<Box<Query>> {
        Ok(self.parser.parse_query()?)
    }

    /// Takes a relation of FROM with its alias, and as the text has it.
    pub fn table_factor(&mut self) -> Result<(TableFactor, &'a str)> {
        self.taken(|cursor| Ok(cursor.parser.parse_table_factor()?))
    }

    /// Takes common table expressions and `word`, if that comes after them.
    pub fn with_before(&mut self, word: &str) -> Option<With> {
        if !self.at("WITH") {
            return None;
        }
        let taken = self.parser.maybe_parse(|parser| {
            let with_token = AttachedToken(parser.next_token());
            let recursive = is_word(&parser.peek_token().token, "RECURSIVE");
            if recursive {
                parser.next_token();
            }
            let cte_tables = parser.parse_comma_separated(Parser::parse_cte)?;
            if !is_word(&parser.next_token().token, word) {
                return Err(ParserError::ParserError(format!("expected {word}")));
            }
            Ok(With {
                with_token,
                recursive,
                cte_tables,
            })
        });
        taken.ok().flatten()
    }

    /// Takes `()` if it comes next.
    pub fn accept_empty_parentheses(&mut self) -> bool {
        let empty = self.at_token(&Token::LParen) && self.parser.peek_nth_token(1).token == Token::RParen;
        if empty {
            self.parser.next_token();
            self.parser.next_token();
        }
        empty
    }

    /// Takes `(a, b)`.
    pub fn names_in_parentheses(&mut self) -> Result<Vec<String>> {
        self.in_parentheses(Self::name)
    }

    /// Takes what `take` takes, once or more, between parentheses and commas.
    pub fn in_parentheses<T>(&mut self, mut take: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        self.expect_token(&Token::LParen)?;
        let mut taken = Vec::new();
        loop {
            taken.push(take(self)?);
            if !self.accept_token(&Token::Comma) {
                break;
            }
        }
        self.expect_token(&Token::RParen)?;
        Ok(taken)
    }

    /// Takes a type, up to what ends a column's definition, as text.
    pub fn type_text(&mut self) -> Result<String> {
        self.type_before(&[
            "NOT",
            "NULL",
            "COMMENT",
            "DEFAULT",
            "GENERATED",
            "CONSTRAINT",
            "PRIMARY",
            "FOREIGN",
            "REFERENCES",
            "CHECK",
            "UNIQUE",
            "FIRST",
            "AFTER",
            "MASK",
        ])
    }

    /// Takes a type, up to one of the words that end it, as text.
    pub fn type_before(&mut self, ends: &[&str]) -> Result<String> {
        let start = self.next_offset();
        let mut end = start;
        let mut depth = 0_i32;
        loop {
            let next = self.parser.peek_token();
            let outside = depth <= 0;
            match &next.token {
                Token::EOF => break,
                Token::Comma | Token::RParen if outside => break,
                Token::Word(word)
                    if outside && ends.iter().any(|end| word.value.eq_ignore_ascii_case(end)) =>
                {
                    break;
                }
                Token::Lt | Token::LParen => depth += 1,
                Token::Gt | Token::RParen => depth -= 1,
                Token::ShiftRight => depth -= 2,
                _ => {}
            }
            end = self.places.offset(self.text, next.span.end);
            self.parser.next_token();
        }
        match self.text.get(start..end) {
            Some(text) if !text.is_empty() => Ok(text.to_owned()),
            _ => Err(self.expected("a type")),
        }
    }

    /// Takes the key of a property: a text, or a dotted name.
    pub fn property_key(&mut self) -> Result<String> {
        match self.parser.peek_token().token {
            Token::SingleQuotedString(_) | Token::DoubleQuotedString(_) => self.string(),
            _ => Ok(crate::resolve::parts(&self.object_name()?)?.join(".")),
        }
    }

    /// Takes `('key' = 'value', …)`; keys may be dotted names.
    pub fn properties(&mut self) -> Result<Vec<(String, String)>> {
        self.expect_token(&Token::LParen)?;
        let mut properties = Vec::new();
        loop {
            let key = self.property_key()?;
            self.accept_token(&Token::Eq);
            let value = match self.parser.next_token().token {
                Token::SingleQuotedString(text)
                | Token::DoubleQuotedString(text)
                | Token::Number(text, _) => text,
                Token::Word(word) => word.value,
                other => return Err(Error::parse(format!("`{other}` is no property's value"))),
            };
            properties.push((key, value));
            if !self.accept_token(&Token::Comma) {
                break;
            }
        }
        self.expect_token(&Token::RParen)?;
        Ok(properties)
    }

    /// Takes `IF NOT EXISTS`.
    pub fn if_not_exists(&mut self) -> bool {
        self.accept_all(&["IF", "NOT", "EXISTS"])
    }

    /// Takes `IF EXISTS`.
    pub fn if_exists(&mut self) -> bool {
        self.accept_all(&["IF", "EXISTS"])
    }

    /// Takes what comes before a semicolon, or before where `end` says that it ends, as the text has it.
    pub fn statement_until(&mut self, end: impl Fn(&Self) -> bool) -> Result<&'a str> {
        let mut depth = 0_usize;
        let taken = self.taken(|cursor| {
            loop {
                match cursor.parser.peek_token().token {
                    Token::EOF | Token::SemiColon => return Ok(()),
                    _ if depth == 0 && end(cursor) => return Ok(()),
                    Token::LParen => depth += 1,
                    Token::RParen => depth = depth.saturating_sub(1),
                    _ => {}
                }
                cursor.parser.next_token();
            }
        })?;
        Ok(taken.1.trim())
    }

    /// Takes `label:` if it comes next, before one of `words`: `SELECT :a` begins with none.
    pub fn label(&mut self, words: &[&str]) -> Result<Option<String>> {
        let labels = words.iter().any(|word| self.is_word(2, word));
        if self.parser.peek_nth_token(1).token != Token::Colon || !labels {
            return Ok(None);
        }
        let label = self.name()?.to_lowercase();
        self.expect_token(&Token::Colon)?;
        Ok(Some(label))
    }

    /// Says if `word` comes after the next token.
    pub fn next_is(&self, word: &str) -> bool {
        self.is_word(1, word)
    }

    /// Says if `token` comes after the next one.
    pub fn is_next(&self, token: &Token) -> bool {
        self.parser.peek_nth_token(1).token == *token
    }

    /// Takes everything that is left but for a semicolon at the end, as the text has it.
    pub fn rest(&mut self) -> &'a str {
        let start = self.next_offset();
        while self.parser.next_token().token != Token::EOF {}
        let rest = self.text.get(start..).unwrap_or_default().trim();
        rest.strip_suffix(';').unwrap_or(rest).trim_end()
    }

    /// Says if the command is over, but for a semicolon.
    pub fn at_end(&self) -> bool {
        matches!(self.parser.peek_token().token, Token::EOF | Token::SemiColon)
    }

    /// Checks that the command is over.
    pub fn end(&mut self) -> Result<()> {
        self.accept_token(&Token::SemiColon);
        if matches!(self.parser.peek_token().token, Token::EOF) {
            return Ok(());
        }
        Err(self.expected("the end of the statement"))
    }

    /// Makes the error that something else was expected here.
    pub fn expected(&self, what: &str) -> Error {
        let found = self.parser.peek_token();
        match self.parser.expected::<()>(what, found) {
            Err(error) => error.into(),
            Ok(()) => Error::parse(format!("expected {what}")),
        }
    }
}

fn is_word(token: &Token, word: &str) -> bool {
    match token {
        Token::Word(found) => found.quote_style.is_none() && found.value.eq_ignore_ascii_case(word),
        _ => false,
    }
}
