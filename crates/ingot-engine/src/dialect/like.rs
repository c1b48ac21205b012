//! `a [NOT] [I]LIKE ANY | ALL | SOME (…)`: as many LIKE, joined by OR or AND.
//!
//! Source: Spark, `LikeAny`, `LikeAll`.

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr};
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::Token;

use super::is_word;

/// Reads the operator that comes next and what is to its right, if it is one of these.
pub(super) fn infix(parser: &mut Parser<'_>, left: &Expr) -> Option<Result<Expr, ParserError>> {
    let like = Like::next(parser)?;
    Some(like.read(parser, left))
}

/// A LIKE of several patterns.
struct Like {
    negated: bool,
    ignores_case: bool,
    all: bool,
    words: usize,
}

impl Like {
    fn next(parser: &Parser<'_>) -> Option<Self> {
        let at = |place: usize, word: &str| is_word(&parser.peek_nth_token_ref(place).token, word);
        let negated = at(0, "NOT");
        let like = usize::from(negated);
        let ignores_case = at(like, "ILIKE");
        if !ignores_case && !at(like, "LIKE") {
            return None;
        }
        let all = at(like + 1, "ALL");
        let any = at(like + 1, "ANY") || at(like + 1, "SOME");
        let list = parser.peek_nth_token_ref(like + 2).token == Token::LParen;
        ((all || any) && list).then_some(Self {
            negated,
            ignores_case,
            all,
            words: like + 2,
        })
    }

    fn read(self, parser: &mut Parser<'_>, left: &Expr) -> Result<Expr, ParserError> {
        for _ in 0..self.words {
            parser.next_token();
        }
        parser.expect_token(&Token::LParen)?;
        let patterns = parser.parse_comma_separated(Parser::parse_expr)?;
        parser.expect_token(&Token::RParen)?;
        let op = match self.all {
            true => BinaryOperator::And,
            false => BinaryOperator::Or,
        };
        let each = patterns
            .into_iter()
            .map(|pattern| self.one(left.clone(), pattern));
        let all = each.reduce(|left, right| Expr::BinaryOp {
            left: Box::new(left),
            op: op.clone(),
            right: Box::new(right),
        });
        let all = all.ok_or_else(|| ParserError::ParserError("expected a pattern".to_owned()))?;
        Ok(Expr::Nested(Box::new(all)))
    }

    fn one(&self, expr: Expr, pattern: Expr) -> Expr {
        let (negated, any) = (self.negated, false);
        let (expr, pattern, escape_char) = (Box::new(expr), Box::new(pattern), None);
        match self.ignores_case {
            true => Expr::ILike {
                negated,
                any,
                expr,
                pattern,
                escape_char,
            },
            false => Expr::Like {
                negated,
                any,
                expr,
                pattern,
                escape_char,
            },
        }
    }
}
