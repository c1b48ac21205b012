//! `STREAM t` as a relation is the call `STREAM(t)`, token by token.
//!
//! Source: Databricks, "Query", `STREAM`.

use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use super::{AFTER_RELATION, is_word};

/// Rewrites each such relation among the tokens.
pub(super) fn rewrite(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let streams: Vec<Stream> = places(&tokens);
    if streams.is_empty() {
        return tokens;
    }
    let mut read = Vec::with_capacity(tokens.len() + 2 * streams.len());
    for (place, token) in tokens.into_iter().enumerate() {
        let span = token.span;
        if streams.iter().any(|stream| stream.first == place) {
            read.push(TokenWithSpan::new(Token::LParen, span));
        }
        read.push(token);
        if streams.iter().any(|stream| stream.last == place) {
            read.push(TokenWithSpan::new(Token::RParen, span));
        }
    }
    read
}

/// The places of the first and the last token of a name after STREAM.
struct Stream {
    first: usize,
    last: usize,
}

fn places(tokens: &[TokenWithSpan]) -> Vec<Stream> {
    let spoken: Vec<usize> = (0..tokens.len())
        .filter(|place| !matches!(tokens[*place].token, Token::Whitespace(_)))
        .collect();
    let token = |nth: usize| spoken.get(nth).map(|place| &tokens[*place].token);
    let is = |nth: usize, word: &str| token(nth).is_some_and(|token| is_word(token, word));
    let mut streams = Vec::new();
    for nth in 1..spoken.len() {
        let relation = is(nth, "STREAM") && (is(nth - 1, "FROM") || is(nth - 1, "JOIN"));
        let named = matches!(token(nth + 1), Some(Token::Word(_)))
            && !AFTER_RELATION.iter().any(|word| is(nth + 1, word));
        if !relation || !named {
            continue;
        }
        let mut last = nth + 1;
        while token(last + 1) == Some(&Token::Period) && matches!(token(last + 2), Some(Token::Word(_))) {
            last += 2;
        }
        if token(last + 1) == Some(&Token::LParen) {
            last = closing(&spoken, tokens, last + 1);
        }
        if let (Some(first), Some(last)) = (spoken.get(nth + 1), spoken.get(last)) {
            streams.push(Stream {
                first: *first,
                last: *last,
            });
        }
    }
    streams
}

/// Returns where the parenthesis ends that begins at `open`.
fn closing(spoken: &[usize], tokens: &[TokenWithSpan], open: usize) -> usize {
    let mut depth = 0_usize;
    for (nth, place) in spoken.iter().enumerate().skip(open) {
        match tokens[*place].token {
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return nth;
        }
    }
    open
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::super::statements;

    #[test_case("SELECT * FROM STREAM t", "SELECT * FROM STREAM(t)")]
    #[test_case(
        "SELECT x.a FROM stream `c`.s.`t` AS x WHERE a > 1",
        "SELECT x.a FROM stream(`c`.s.`t`) AS x WHERE a > 1"
    )]
    #[test_case(
        "SELECT * FROM d JOIN STREAM(t) ON d.a = t.a",
        "SELECT * FROM d JOIN STREAM(t) ON d.a = t.a"
    )]
    #[test_case(
        "SELECT * FROM STREAM read_files('/p', format => 'csv')",
        "SELECT * FROM STREAM(read_files('/p', format => 'csv'))"
    )]
    #[test_case(
        "SELECT stream FROM stream WHERE stream > 1",
        "SELECT stream FROM stream WHERE stream > 1"
    )]
    #[test_case("SELECT * FROM stream AS s", "SELECT * FROM stream AS s")]
    #[test_case("SELECT * FROM stream", "SELECT * FROM stream")]
    fn a_stream_is_a_call(text: &str, expected: &str) {
        let read: Vec<String> = statements(text)
            .expect("a query")
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(read, [expected]);
    }
}
