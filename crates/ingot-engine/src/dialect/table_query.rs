//! `TABLE t` as a query is `SELECT * FROM t`, token by token: sqlparser reads names of two parts at most there.
//!
//! Source: Spark, `queryPrimary`.

use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Whitespace};

use super::is_word;

/// Words after which a query begins.
const BEFORE: [&str; 7] = ["AS", "UNION", "EXCEPT", "INTERSECT", "MINUS", "ALL", "DISTINCT"];

/// Words after which a query in parentheses begins.
const BEFORE_PARENTHESIS: [&str; 12] = [
    "AS",
    "FROM",
    "JOIN",
    "IN",
    "EXISTS",
    "LATERAL",
    "UNION",
    "EXCEPT",
    "INTERSECT",
    "MINUS",
    "ALL",
    "DISTINCT",
];

/// Words that cannot begin the name of a table here.
const NO_NAMES: [&str; 12] = [
    "FROM",
    "WHERE",
    "GROUP",
    "ORDER",
    "LIMIT",
    "UNION",
    "EXCEPT",
    "INTERSECT",
    "MINUS",
    "HAVING",
    "AS",
    "JOIN",
];

/// Rewrites each such query among the tokens.
pub(super) fn rewrite(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let places: Vec<usize> = (0..tokens.len())
        .filter(|place| !matches!(tokens[*place].token, Token::Whitespace(_)))
        .collect();
    let token = |nth: Option<usize>| {
        nth.and_then(|nth| places.get(nth))
            .map(|place| &tokens[*place].token)
    };
    let any = |token: Option<&Token>, words: &[&str]| {
        token.is_some_and(|token| words.iter().any(|word| is_word(token, word)))
    };
    let begins = |nth: usize| {
        let named =
            matches!(token(Some(nth + 1)), Some(Token::Word(_))) && !any(token(Some(nth + 1)), &NO_NAMES);
        let before = token(nth.checked_sub(1));
        let first = match before {
            None => true,
            Some(Token::LParen) => match token(nth.checked_sub(2)) {
                None | Some(Token::LParen | Token::Comma) => true,
                before => any(before, &BEFORE_PARENTHESIS),
            },
            before => any(before, &BEFORE),
        };
        named && first
    };
    let found: Vec<usize> = places
        .iter()
        .enumerate()
        .filter(|(nth, place)| is_word(&tokens[**place].token, "TABLE") && begins(*nth))
        .map(|(_, place)| *place)
        .collect();
    if found.is_empty() {
        return tokens;
    }
    let mut read = Vec::with_capacity(tokens.len() + 4 * found.len());
    for (place, token) in tokens.into_iter().enumerate() {
        if !found.contains(&place) {
            read.push(token);
            continue;
        }
        let space = Token::Whitespace(Whitespace::Space);
        let select = Token::make_word("SELECT", None);
        let from = Token::make_word("FROM", None);
        for made in [select, space.clone(), Token::Mul, space, from] {
            read.push(TokenWithSpan::new(made, token.span));
        }
    }
    read
}
