//! What was typed, cut into words, quotes and the rest: enough to colour it and to know what comes next.
//!
//! Follows the same rules as [`crate::sql_text`], and takes any text: what is not closed goes to the end.

/// What a piece of the text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Word,
    /// A name in back-ticks.
    Quoted,
    Text,
    Number,
    Comment,
    /// One sign.
    Other,
}

/// A piece of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece<'a> {
    pub kind: Kind,
    pub start: usize,
    pub text: &'a str,
}

impl Piece<'_> {
    pub fn end(&self) -> usize {
        self.start + self.text.len()
    }

    /// Says if it is the sign.
    pub fn is(&self, sign: &str) -> bool {
        self.kind == Kind::Other && self.text == sign
    }

    /// Says if it is the word.
    pub fn is_word(&self, word: &str) -> bool {
        self.kind == Kind::Word && self.text.eq_ignore_ascii_case(word)
    }

    /// Returns the name that it is, if it is one.
    pub fn name(&self) -> Option<String> {
        match self.kind {
            Kind::Word => Some(self.text.to_owned()),
            Kind::Quoted => Some(self.text.trim_matches('`').replace("``", "`")),
            _ => None,
        }
    }
}

/// Cuts a text. Space is left out.
pub(super) fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut start = 0;
    while let Some(first) = text[start..].chars().next() {
        let rest = &text[start..];
        if first.is_whitespace() {
            start += first.len_utf8();
            continue;
        }
        let (kind, length) = piece(rest, first);
        pieces.push(Piece {
            kind,
            start,
            text: &rest[..length],
        });
        start += length;
    }
    pieces
}

fn piece(rest: &str, first: char) -> (Kind, usize) {
    let word = |character: char| character.is_alphanumeric() || character == '_';
    let while_ = |part: &dyn Fn(char) -> bool| rest.find(|character| !part(character)).unwrap_or(rest.len());
    if rest.starts_with("--") {
        return (Kind::Comment, rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return (Kind::Comment, rest.find("*/").map_or(rest.len(), |end| end + 2));
    }
    match first {
        '\'' | '"' => (Kind::Text, quoted(rest, first, true)),
        '`' => (Kind::Quoted, quoted(rest, first, false)),
        digit if digit.is_ascii_digit() => {
            let number = |character: char| word(character) || character == '.';
            (Kind::Number, while_(&number))
        }
        letter if word(letter) => (Kind::Word, while_(&word)),
        other => (Kind::Other, other.len_utf8()),
    }
}

/// Returns the length of a quoted piece; all of it where nothing closes it.
fn quoted(rest: &str, quote: char, escapes: bool) -> usize {
    let mut characters = rest.char_indices().skip(1);
    while let Some((at, character)) = characters.next() {
        if character == '\\' && escapes {
            characters.next();
        } else if character == quote {
            return at + quote.len_utf8();
        }
    }
    rest.len()
}

/// Words of statements that are no names, in upper case.
pub(super) const KEYWORDS: [&str; 133] = [
    "ADD",
    "ALL",
    "ALTER",
    "ANALYZE",
    "AND",
    "ANTI",
    "AS",
    "ASC",
    "BEGIN",
    "BETWEEN",
    "BY",
    "CACHE",
    "CASCADE",
    "CASE",
    "CAST",
    "CATALOG",
    "CATALOGS",
    "CLONE",
    "CLUSTER",
    "COLUMN",
    "COLUMNS",
    "COMMENT",
    "CONSTRAINT",
    "COPY",
    "CREATE",
    "CROSS",
    "CUBE",
    "CURRENT_DATE",
    "CURRENT_TIMESTAMP",
    "DATABASE",
    "DECLARE",
    "DEEP",
    "DELETE",
    "DESC",
    "DESCRIBE",
    "DETAIL",
    "DISTINCT",
    "DISTRIBUTE",
    "DROP",
    "ELSE",
    "END",
    "EXCEPT",
    "EXECUTE",
    "EXISTS",
    "EXPLAIN",
    "EXTENDED",
    "EXTERNAL",
    "FALSE",
    "FILTER",
    "FIRST",
    "FOR",
    "FORMATTED",
    "FROM",
    "FULL",
    "FUNCTION",
    "FUNCTIONS",
    "GRANT",
    "GROUP",
    "GROUPING",
    "HAVING",
    "HISTORY",
    "IF",
    "ILIKE",
    "IMMEDIATE",
    "IN",
    "INNER",
    "INSERT",
    "INTERSECT",
    "INTERVAL",
    "INTO",
    "IS",
    "JOIN",
    "LAST",
    "LATERAL",
    "LEFT",
    "LIKE",
    "LIMIT",
    "LOCATION",
    "MATCHED",
    "MERGE",
    "MINUS",
    "NATURAL",
    "NOT",
    "NULL",
    "NULLS",
    "OFFSET",
    "ON",
    "OPTIMIZE",
    "OR",
    "ORDER",
    "OUTER",
    "OVER",
    "OVERWRITE",
    "PARTITION",
    "PARTITIONED",
    "PIVOT",
    "PROPERTIES",
    "QUALIFY",
    "REFRESH",
    "RENAME",
    "REPLACE",
    "RESET",
    "RESTORE",
    "REVOKE",
    "RIGHT",
    "RLIKE",
    "ROLLUP",
    "SCHEMA",
    "SCHEMAS",
    "SELECT",
    "SEMI",
    "SET",
    "SHALLOW",
    "SHOW",
    "TABLE",
    "TABLES",
    "TBLPROPERTIES",
    "TEMPORARY",
    "THEN",
    "TO",
    "TRUE",
    "TRUNCATE",
    "UNION",
    "UNPIVOT",
    "UPDATE",
    "USE",
    "USING",
    "VACUUM",
    "VALUES",
    "VIEW",
    "WHEN",
    "WHERE",
    "WITH",
];

/// Says if a word is one of statements.
pub(super) fn is_keyword(word: &str) -> bool {
    KEYWORDS
        .binary_search(&word.to_ascii_uppercase().as_str())
        .is_ok()
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case("SELECT a.`b``c`, 'it\\'s'", &["SELECT", "a", ".", "`b`", "`c`", ",", "'it\\'s'"])]
    #[test_case("1.5e3 -- ; no\n/* x */y", &["1.5e3", "-- ; no", "/* x */", "y"]; "numbers and comments")]
    #[test_case("'open", &["'open"]; "a quote that nothing closes")]
    #[test_case("ä§\\", &["ä", "§", "\\"]; "other signs")]
    #[test_case("", &[]; "nothing")]
    fn a_text_is_cut(text: &str, expected: &[&str]) {
        let found: Vec<&str> = pieces(text).iter().map(|piece| piece.text).collect();
        assert_eq!(found, expected);
        for piece in pieces(text) {
            assert_eq!(&text[piece.start..piece.end()], piece.text);
        }
    }

    #[test]
    fn keywords_are_sorted_and_found() {
        assert!(KEYWORDS.is_sorted());
        assert!(is_keyword("select") && is_keyword("WITH") && !is_keyword("selec"));
    }
}
