//! Text with several statements, cut at `;`, and what they leave behind for those after them.
//!
//! Follows Spark's lexer: `'…'` and `"…"` with backslash escapes, `r'…'` and `r"…"` without, `` `…` `` with doubled
//! back-ticks, `--` to the end of the line, nested `/* … */`. A `;` within these cuts nothing, nor does one within a script
//! (`BEGIN … END`).

mod script;

use std::collections::BTreeMap;

use self::script::Script;

use ingot_common::port::StatementRequest;
use ingot_engine::{SettingChange, setting_change};

/// Text cut into statements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statements<'a> {
    /// Statements that a `;` ended, trimmed, without it; empty ones left out.
    pub complete: Vec<&'a str>,
    /// What follows the last `;`, trimmed; empty when there is nothing but comments.
    pub rest: &'a str,
}

impl<'a> Statements<'a> {
    /// Returns all statements; the last needs no `;`.
    pub fn all(self) -> Vec<&'a str> {
        let mut all = self.complete;
        if !self.rest.is_empty() {
            all.push(self.rest);
        }
        all
    }
}

/// Cuts `text` into statements.
pub fn split(text: &str) -> Statements<'_> {
    let bytes = text.as_bytes();
    let mut complete = Vec::new();
    let mut start = 0;
    let mut at = 0;
    // Whether the piece at hand holds anything but white space and comments.
    let mut substance = false;
    let mut script = Script::default();
    while let Some(&byte) = bytes.get(at) {
        match (byte, bytes.get(at + 1)) {
            (b'\'' | b'"' | b'`', _) => {
                substance = true;
                at = after_quoted(bytes, at);
                script.other();
            }
            (b'-', Some(b'-')) => at = after_line(bytes, at),
            (b'/', Some(b'*')) => at = after_comment(bytes, at),
            (b';', _) if script.goes_on() => {
                script.semicolon();
                at += 1;
            }
            (b';', _) => {
                script = Script::default();
                if substance {
                    complete.push(text[start..at].trim());
                }
                at += 1;
                start = at;
                substance = false;
            }
            _ if is_word(byte) => {
                let length = bytes[at..].iter().take_while(|byte| is_word(**byte)).count();
                substance = true;
                script.word(&text[at..at + length]);
                at += length;
            }
            _ => {
                substance |= !byte.is_ascii_whitespace();
                match byte {
                    b':' => script.colon(),
                    byte if byte.is_ascii_whitespace() => {}
                    _ => script.other(),
                }
                at += 1;
            }
        }
    }
    let rest = if substance { text[start..].trim() } else { "" };
    Statements { complete, rest }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || !byte.is_ascii()
}

fn after_quoted(bytes: &[u8], start: usize) -> usize {
    let quote = bytes[start];
    let escapes = quote != b'`' && !raw(&bytes[..start]);
    let mut at = start + 1;
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        if byte == b'\\' && escapes {
            at += 1;
        } else if byte == quote {
            // A doubled quote starts the next quoted piece at once, which comes to the same.
            return at;
        }
    }
    bytes.len()
}

/// Says if the text that ends with `before` makes a quote raw: an `r` that is no word's end.
fn raw(before: &[u8]) -> bool {
    let word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_' || !byte.is_ascii();
    match before {
        [.., previous, b'r' | b'R'] => !word(previous),
        [b'r' | b'R'] => true,
        _ => false,
    }
}

/// Returns `text` with a space for each comment.
fn without_comments(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut kept = String::with_capacity(text.len());
    let (mut start, mut at) = (0, 0);
    while let Some(&byte) = bytes.get(at) {
        let comment_end = match (byte, bytes.get(at + 1)) {
            (b'-', Some(b'-')) => Some(after_line(bytes, at)),
            (b'/', Some(b'*')) => Some(after_comment(bytes, at)),
            _ => None,
        };
        match comment_end {
            Some(end) => {
                kept.push_str(&text[start..at]);
                kept.push(' ');
                (start, at) = (end, end);
            }
            None if matches!(byte, b'\'' | b'"' | b'`') => at = after_quoted(bytes, at),
            None => at += 1,
        }
    }
    kept.push_str(&text[start..]);
    kept
}

fn after_line(bytes: &[u8], start: usize) -> usize {
    let end = bytes[start..].iter().position(|byte| *byte == b'\n');
    end.map_or(bytes.len(), |length| start + length + 1)
}

fn after_comment(bytes: &[u8], start: usize) -> usize {
    let mut depth = 0;
    let mut at = start;
    while at < bytes.len() {
        match bytes.get(at..at + 2) {
            Some(b"/*") => {
                depth += 1;
                at += 2;
            }
            Some(b"*/") => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    bytes.len()
}

/// What a session remembers between statements, kept by the client of a service that remembers nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientSession {
    /// Catalog for names of fewer than three parts.
    pub catalog: Option<String>,
    /// Schema for names of one part.
    pub schema: Option<String>,
    /// What `SET` has set.
    pub settings: BTreeMap<String, String>,
}

impl ClientSession {
    /// Returns the session after `statement` ran: `USE …`, `SET …` and `RESET …` change it, anything else does not.
    ///
    /// Source: Databricks SQL, `USE CATALOG`, `USE SCHEMA`, `SET`, `RESET`.
    pub fn after(self, statement: &str) -> Self {
        let plain = without_comments(statement);
        let plain = plain.trim();
        let (word, rest) = plain.split_once(char::is_whitespace).unwrap_or((plain, ""));
        match word.to_ascii_lowercase().as_str() {
            "use" => self.after_use(rest),
            "set" | "reset" => self.with(setting_change(statement)),
            _ => self,
        }
    }

    /// Makes the request of a statement in this session.
    pub fn request(&self, statement: &str) -> StatementRequest {
        StatementRequest {
            statement: statement.to_owned(),
            catalog: self.catalog.clone(),
            schema: self.schema.clone(),
            settings: self.settings.clone(),
            parameters: Vec::new(),
        }
    }

    fn after_use(self, names: &str) -> Self {
        let mut words = names.split_whitespace();
        let Some(first) = words.next() else {
            return self;
        };
        let keyword = |keywords: &[&str]| keywords.iter().any(|keyword| first.eq_ignore_ascii_case(keyword));
        match words.next() {
            Some(name) if keyword(&["catalog"]) => Self {
                catalog: Some(unquoted(name)),
                schema: None,
                ..self
            },
            Some(name) if keyword(&["schema", "database"]) => self.in_schema(name),
            None => self.in_schema(first),
            Some(_) => self,
        }
    }

    fn in_schema(self, name: &str) -> Self {
        match name.split_once('.') {
            Some((catalog, schema)) => Self {
                catalog: Some(unquoted(catalog)),
                schema: Some(unquoted(schema)),
                ..self
            },
            None => Self {
                schema: Some(unquoted(name)),
                ..self
            },
        }
    }

    fn with(mut self, change: Option<SettingChange>) -> Self {
        match change {
            None => {}
            Some(SettingChange::Reset(None)) => self.settings.clear(),
            Some(SettingChange::Reset(Some(key))) => self.forget(&key),
            Some(SettingChange::Set { key, value }) => {
                self.forget(&key);
                self.settings.insert(key, value);
            }
        }
        self
    }

    /// Forgets a setting; names compare without case.
    fn forget(&mut self, key: &str) {
        self.settings.retain(|known, _| !known.eq_ignore_ascii_case(key));
    }
}

fn unquoted(name: &str) -> String {
    name.trim_matches(['`', '\'', '"']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use test_case::test_case;

    #[test_case("select 1", &[], "select 1")]
    #[test_case("select 1; select 2;", &["select 1", "select 2"], "")]
    #[test_case(" ;; select ';' ; x", &["select ';'"], "x")]
    #[test_case(r"select 'a\';b'; y", &[r"select 'a\';b'"], "y")]
    #[test_case("select 'it''s;'; y", &["select 'it''s;'"], "y")]
    #[test_case("select `a;``b`; y", &["select `a;``b`"], "y")]
    #[test_case("select 1 -- ; no\n; y", &["select 1 -- ; no"], "y")]
    #[test_case("/* ; /* ; */ ; */ select 1; -- done", &["/* ; /* ; */ ; */ select 1"], "")]
    #[test_case(r"select r'\'; y", &[r"select r'\'"], "y"; "raw string")]
    #[test_case(r#"select R"\"; y"#, &[r#"select R"\""#], "y"; "raw string in double quotes")]
    #[test_case(r"r'\'; y", &[r"r'\'"], "y"; "raw string at the start")]
    #[test_case(r"select bar'\';'; y", &[r"select bar'\';'"], "y"; "a word that ends with r")]
    #[test_case(r"select `r`'\';'; y", &[r"select `r`'\';'"], "y"; "a quoted name before a string")]
    #[test_case("select 'open; ", &[], "select 'open;")]
    #[test_case("select 'é;'; 'ü'", &["select 'é;'"], "'ü'")]
    #[test_case("-- only a comment;\n", &[], "")]
    #[test_case("begin select 1; select 2; end; x", &["begin select 1; select 2; end"], "x"; "a script")]
    #[test_case("BEGIN IF a THEN b; END IF; END; x", &["BEGIN IF a THEN b; END IF; END"], "x"; "a condition")]
    #[test_case(
        "BEGIN SELECT CASE WHEN a THEN if(b, 1, 2) ELSE 3 END; END; x",
        &["BEGIN SELECT CASE WHEN a THEN if(b, 1, 2) ELSE 3 END; END"],
        "x";
        "an expression of conditions"
    )]
    #[test_case(
        "BEGIN CASE a WHEN 1 THEN IF b THEN c; END IF; ELSE d; END CASE; END; x",
        &["BEGIN CASE a WHEN 1 THEN IF b THEN c; END IF; ELSE d; END CASE; END"],
        "x";
        "a statement of conditions"
    )]
    #[test_case(
        "BEGIN l: WHILE a DO b; m: LOOP c; END LOOP m; REPEAT d; UNTIL repeat('x', 2) = 'y' END REPEAT; END WHILE l; END; x",
        &["BEGIN l: WHILE a DO b; m: LOOP c; END LOOP m; REPEAT d; UNTIL repeat('x', 2) = 'y' END REPEAT; END WHILE l; END"],
        "x";
        "loops"
    )]
    #[test_case(
        "BEGIN DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN a; END; FOR r AS SELECT 1 DO b; END FOR; DROP TABLE IF EXISTS t; END; x",
        &["BEGIN DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN a; END; FOR r AS SELECT 1 DO b; END FOR; DROP TABLE IF EXISTS t; END"],
        "x";
        "a handler and rows"
    )]
    #[test_case(
        "BEGIN IF CASE WHEN a THEN b END THEN IF c THEN d; END IF; END IF; END; x",
        &["BEGIN IF CASE WHEN a THEN b END THEN IF c THEN d; END IF; END IF; END"],
        "x";
        "an expression that ends before THEN"
    )]
    #[test_case(
        "BEGIN WHILE CASE a WHEN 1 THEN b END DO IF c THEN d; END IF; END WHILE; END; x",
        &["BEGIN WHILE CASE a WHEN 1 THEN b END DO IF c THEN d; END IF; END WHILE; END"],
        "x";
        "an expression that ends before DO"
    )]
    #[test_case("BEGIN a; b", &[], "BEGIN a; b"; "a script without an end")]
    #[test_case("begin; commit;", &["begin", "commit"], ""; "no script")]
    #[test_case("select begin; x", &["select begin"], "x"; "a column")]
    fn cuts_where_spark_does(text: &str, complete: &[&str], rest: &str) {
        let statements = split(text);
        assert_eq!(statements.complete, complete);
        assert_eq!(statements.rest, rest);
    }

    #[test_case("use gold", None, Some("gold"))]
    #[test_case("USE SCHEMA main.gold", Some("main"), Some("gold"))]
    #[test_case("use database `gold`", None, Some("gold"))]
    #[test_case("use catalog system", Some("system"), None)]
    #[test_case("-- first\nuse gold", None, Some("gold"))]
    #[test_case(
        "/* a /* b */ */ use /* c */ schema -- d\n main.gold -- e",
        Some("main"),
        Some("gold")
    )]
    #[test_case("use `gold--x`", None, Some("gold--x"))]
    #[test_case("use -- nothing", None, None)]
    #[test_case("select 1", None, None)]
    fn use_moves_the_namespace(statement: &str, catalog: Option<&str>, schema: Option<&str>) {
        let session = ClientSession::default().after(statement);
        assert_eq!(session.catalog.as_deref(), catalog);
        assert_eq!(session.schema.as_deref(), schema);
    }

    #[test_case(&["SET a.b = c"], &[("a.b", "c")])]
    #[test_case(&["set `a.b`='x=y' -- why"], &[("a.b", "x=y")]; "quoted, with a comment")]
    #[test_case(&["SET a = 1", "SET a = 2", "SET b", "SET"], &[("a", "2")]; "the last one holds")]
    #[test_case(&["SET a = 1", "SET b = 2", "RESET A"], &[("b", "2")]; "one is taken back")]
    #[test_case(&["SET a = 1", "reset"], &[]; "all are taken back")]
    #[test_case(&["SET a.b = 1", "SET A.B = 2"], &[("A.B", "2")]; "in another case")]
    #[test_case(&["SETTLE a = 1"], &[]; "another word")]
    #[test_case(&["SET TAG ON TABLE t a = b", "SET TAG ON COLUMN t.a `k` = `v`"], &[]; "tags")]
    #[test_case(&["SET VAR x = 1", "SET VARIABLE (x, y) = (SELECT 1, 2)"], &[]; "variables")]
    #[test_case(
        &["SET TIME ZONE INTERVAL '1' HOUR"],
        &[("spark.sql.session.timeZone", "+01:00")];
        "a time zone that is an interval"
    )]
    #[test_case(&["set time zone local"], &[("spark.sql.session.timeZone", "UTC")]; "the time zone there")]
    #[test_case(&["SET timezone = 'Asia/Tokyo'", "RESET spark.sql.session.timeZone"], &[]; "by another name")]
    #[test_case(
        &["SET TIME ZONE 'Europe/Berlin'"],
        &[("spark.sql.session.timeZone", "Europe/Berlin")];
        "a time zone"
    )]
    fn settings_are_remembered(statements: &[&str], expected: &[(&str, &str)]) {
        let session = statements
            .iter()
            .fold(ClientSession::default(), |session, statement| {
                session.after(statement)
            });
        let expected = expected
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        assert_eq!(session.settings, expected.collect());
        assert_eq!(session.request("SELECT 1").settings, session.settings);
    }
}
