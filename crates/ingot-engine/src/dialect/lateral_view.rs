//! `LATERAL VIEW [OUTER] f(…) [t] [AS a, b]` is `[LEFT | CROSS] JOIN LATERAL f(…) AS t (a, b)`, token by token.
//!
//! sqlparser takes what follows a LATERAL VIEW for its columns, as the ORDER of ORDER BY. Source: Spark,
//! `lateralView`.

use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Whitespace};

use super::{AFTER_RELATION, is_word};

/// What a view without a name is called.
const NAMELESS: &str = "__ingot_lateral_view";

/// Rewrites each LATERAL VIEW among the tokens.
pub(super) fn rewrite(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let begins = |place: usize| {
        let [lateral, view] = next_two(&tokens, place)?;
        (is_word(&tokens[lateral].token, "LATERAL") && is_word(&tokens[view].token, "VIEW")).then_some(view)
    };
    if (0..tokens.len()).all(|place| begins(place).is_none()) {
        return tokens;
    }
    let mut read = Vec::with_capacity(tokens.len() + 8);
    let mut place = 0;
    while place < tokens.len() {
        match begins(place) {
            Some(view) if matches!(&tokens[place].token, Token::Word(_)) => {
                place = join(&tokens, view, &mut read);
            }
            _ => {
                read.push(tokens[place].clone());
                place += 1;
            }
        }
    }
    read
}

/// Returns the places of two tokens from `place`, without spaces.
fn next_two(tokens: &[TokenWithSpan], place: usize) -> Option<[usize; 2]> {
    let first = skip(tokens, place);
    let second = skip(tokens, first.checked_add(1)?);
    (second < tokens.len()).then_some([first, second])
}

fn skip(tokens: &[TokenWithSpan], place: usize) -> usize {
    let mut place = place;
    while place < tokens.len() && matches!(tokens[place].token, Token::Whitespace(_)) {
        place += 1;
    }
    place
}

/// Writes the join of the view whose word VIEW is at `view`. Returns the place after it.
fn join(tokens: &[TokenWithSpan], view: usize, read: &mut Vec<TokenWithSpan>) -> usize {
    let span = tokens[view].span;
    let push = |read: &mut Vec<TokenWithSpan>, token: Token| {
        read.push(TokenWithSpan::new(token, span));
        read.push(TokenWithSpan::new(Token::Whitespace(Whitespace::Space), span));
    };
    let mut place = skip(tokens, view + 1);
    let outer = tokens
        .get(place)
        .is_some_and(|token| is_word(&token.token, "OUTER"));
    if outer {
        place = skip(tokens, place + 1);
    }
    for word in [if outer { "LEFT" } else { "CROSS" }, "JOIN", "LATERAL"] {
        push(read, Token::make_word(word, None));
    }
    let mut depth = 0_usize;
    while let Some(token) = tokens.get(place) {
        match token.token {
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.saturating_sub(1),
            _ => {}
        }
        read.push(token.clone());
        place += 1;
        if depth == 0 && token.token == Token::RParen {
            break;
        }
    }
    push(read, Token::make_word("AS", None));
    let next = skip(tokens, place);
    match tokens.get(next) {
        Some(token) if named(&token.token) => {
            read.push(token.clone());
            place = next + 1;
        }
        _ => push(read, Token::make_word(NAMELESS, None)),
    }
    columns(tokens, place, read)
}

fn named(token: &Token) -> bool {
    matches!(token, Token::Word(_)) && !AFTER_RELATION.iter().any(|end| is_word(token, end))
}

/// Writes `(a, b)` of `AS a, b`, if that comes next. Returns the place after it.
fn columns(tokens: &[TokenWithSpan], place: usize, read: &mut Vec<TokenWithSpan>) -> usize {
    let next = skip(tokens, place);
    let Some(as_word) = tokens.get(next).filter(|token| is_word(&token.token, "AS")) else {
        return place;
    };
    read.push(TokenWithSpan::new(Token::LParen, as_word.span));
    let mut place = skip(tokens, next + 1);
    while let Some(name) = tokens
        .get(place)
        .filter(|token| matches!(token.token, Token::Word(_)))
    {
        read.push(name.clone());
        place += 1;
        let comma = skip(tokens, place);
        match tokens.get(comma) {
            Some(token) if token.token == Token::Comma => {
                read.push(token.clone());
                place = skip(tokens, comma + 1);
            }
            _ => break,
        }
    }
    read.push(TokenWithSpan::new(Token::RParen, as_word.span));
    place
}
