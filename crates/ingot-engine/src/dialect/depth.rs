//! How deep a statement nests, told by its tokens before it is parsed.
//!
//! The parser bounds how deep expressions and queries stand within each other, but neither types in types nor operators
//! in a row, of which each makes one level more of the tree: `1 + 1 + 1` is `(1 + 1) + 1`. What comes of a tree goes down
//! it by calls.
//! A part that the parser reads in two ways, one after the other, it reads in twice as many for each that it stands in: so
//! the steps of a parser are counted too. Source: Spark, `FAILED_TO_PARSE_TOO_COMPLEX`.

use std::cell::Cell;

use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use super::is_word;
use crate::{Error, Result};

/// Operators in a row, at most, together with those around them.
const OPERATORS_MAX: usize = 3_000;

/// As how many operators those count that nobody writes in rows: DataFusion looks at all of their operands again and again.
const RARE: usize = 20;

/// Expressions, queries and relations within each other, at most. A CASE between parentheses counts as three.
pub(super) const PARTS_MAX: usize = 150;

/// As how many operators a join or a union counts.
const RELATION: usize = 4;

/// Types within types, at most.
const TYPES_MAX: usize = 64;

/// Steps of a parser, at most: so many, and so many for each token.
const STEPS_MAX: (usize, usize) = (10_000, 8);

thread_local! {
    /// The steps that are left to the newest parser of the thread; a parser does not change its thread while it reads.
    static STEPS: Cell<usize> = const { Cell::new(0) };
}

/// Checks the tokens of a statement.
///
/// # Errors
/// `FAILED_TO_PARSE_TOO_COMPLEX`.
pub(super) fn check(tokens: &[TokenWithSpan]) -> Result<()> {
    let mut depth = Depth::default();
    for token in tokens {
        depth.take(&token.token);
        if depth.of_trees() > OPERATORS_MAX || depth.types > TYPES_MAX {
            return Err(Error::too_complex());
        }
    }
    let (once, each) = STEPS_MAX;
    STEPS.set(once + each * tokens.len());
    Ok(())
}

/// Counts a step of the parser of this thread, and says if it may be taken.
pub(super) fn step() -> bool {
    let left = STEPS.get();
    STEPS.set(left.saturating_sub(1));
    left > 0
}

/// Where in a statement a token stands.
#[derive(Default)]
struct Depth {
    /// What is around, the innermost last.
    around: Vec<Around>,
    /// Levels of what is around.
    levels: usize,
    /// Operators to the left in this expression.
    operators: usize,
    /// The AND and OR among them.
    row: usize,
    /// Operators of relations to the left: joins, unions, pipes.
    relations: usize,
    types: usize,
    /// The token before is the name of a type that has types.
    type_word: bool,
    /// The token before is an operator: what follows is an operand, though it may be called as a keyword is.
    operand: bool,
}

/// A parenthesis, a bracket or a CASE.
struct Around {
    case: bool,
    levels: usize,
    operators: usize,
    row: usize,
    relations: usize,
}

impl Depth {
    fn of_trees(&self) -> usize {
        self.levels + self.operators + self.relations
    }

    fn take(&mut self, token: &Token) {
        match token {
            Token::Whitespace(_) => return,
            Token::LParen | Token::LBracket => self.open(false),
            Token::RParen | Token::RBracket => {
                while self.around.last().is_some_and(|around| around.case) {
                    self.close();
                }
                self.close();
                // `a[0][0]` has a level for each subscript.
                if *token == Token::RBracket {
                    self.operators += RARE;
                }
            }
            Token::Comma => self.begin(),
            Token::SemiColon => {
                self.begin();
                self.relations = 0;
            }
            Token::Word(_) if !self.operand => self.word(token),
            Token::Word(_)
            | Token::Number(..)
            | Token::SingleQuotedString(_)
            | Token::DoubleQuotedString(_) => {}
            Token::VerticalBarRightAngleBracket => {
                self.relations += RELATION;
                self.begin();
            }
            other => {
                self.operators += weight(other);
                match other {
                    Token::Lt if self.type_word => self.types += 1,
                    Token::Gt => self.types = self.types.saturating_sub(1),
                    Token::ShiftRight => self.types = self.types.saturating_sub(2),
                    _ => {}
                }
            }
        }
        let ends = matches!(
            token,
            Token::RParen | Token::RBracket | Token::Comma | Token::SemiColon
        );
        let value = matches!(
            token,
            Token::Word(_) | Token::Number(..) | Token::SingleQuotedString(_) | Token::DoubleQuotedString(_)
        );
        self.operand = !ends && !value;
        self.type_word = ["ARRAY", "MAP", "STRUCT"].iter().any(|word| is_word(token, word));
    }

    fn word(&mut self, token: &Token) {
        const OPERATORS: [&str; 2] = ["AND", "OR"];
        const RARE_OPERATORS: [&str; 6] = ["NOT", "IS", "IN", "LIKE", "BETWEEN", "DIV"];
        const RELATIONS: [&str; 5] = ["JOIN", "UNION", "EXCEPT", "INTERSECT", "MINUS"];
        const CLAUSES: [&str; 7] = ["SELECT", "FROM", "WHERE", "ON", "BY", "HAVING", "QUALIFY"];
        const BRANCHES: [&str; 3] = ["WHEN", "THEN", "ELSE"];
        let one_of = |words: &[&str]| words.iter().any(|word| is_word(token, word));
        let in_case = self.around.last().is_some_and(|around| around.case);
        if is_word(token, "CASE") {
            self.open(true);
        } else if in_case && is_word(token, "END") {
            self.close();
        } else if one_of(&OPERATORS) {
            // What stands to the left of it is done: `a = 1 AND b = 2`.
            self.operators = self.row + 1;
            self.row = self.operators;
        } else if one_of(&RARE_OPERATORS) {
            self.operators += RARE;
        } else if one_of(&RELATIONS) {
            self.relations += RELATION;
            self.begin();
        } else if one_of(&CLAUSES) || (in_case && one_of(&BRANCHES)) {
            self.begin();
        }
    }

    /// Begins an expression beside the one before.
    fn begin(&mut self) {
        self.operators = 0;
        self.row = 0;
    }

    fn open(&mut self, case: bool) {
        self.around.push(Around {
            case,
            levels: self.levels,
            operators: self.operators,
            row: self.row,
            relations: self.relations,
        });
        self.levels = self.of_trees();
        self.begin();
        self.relations = 0;
    }

    fn close(&mut self) {
        if let Some(around) = self.around.pop() {
            self.levels = around.levels;
            self.operators = around.operators;
            self.row = around.row;
            self.relations = around.relations;
        }
    }
}

fn weight(operator: &Token) -> usize {
    match operator {
        Token::Plus | Token::Minus | Token::Mul | Token::Div | Token::StringConcat | Token::Period => 1,
        _ => RARE,
    }
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::super::parser;
    use crate::Error;

    #[test_case("1", " + 1", 2_900, true)]
    #[test_case("1", " + 1", 5_000, false)]
    #[test_case("true", " AND a = 1", 2_000, true)]
    #[test_case("true", " AND a < 1 AND b >= 2", 900, true; "comparisons")]
    #[test_case("1", " :: INT", 300, false)]
    #[test_case("a IN (1", ", 2", 50_000, true)]
    #[test_case("a IN (1", ", 2 + 2", 50_000, true; "sums in a list")]
    #[test_case("true", " AND a, b AND c", 2_000, true; "items with conditions")]
    #[test_case("1", "; SELECT 1 UNION SELECT 2", 2_000, true; "statements of a script")]
    #[test_case("CASE", " WHEN a > 1 AND b < 2 THEN 3", 1_000, true)]
    #[test_case("CAST(NULL AS ", "ARRAY<", 60, true; "arrays")]
    #[test_case("CAST(NULL AS ", "ARRAY<", 70, false; "arrays in too many")]
    fn a_statement_nests_so_deep_at_most(begin: &str, each: &str, times: usize, allowed: bool) {
        let read = parser(&format!("SELECT {begin}{}", each.repeat(times)));
        match read.map(drop) {
            Ok(()) => assert!(allowed),
            Err(Error::Condition { condition, .. }) => {
                assert_eq!((condition, allowed), ("FAILED_TO_PARSE_TOO_COMPLEX", false));
            }
            Err(other) => panic!("{other}"),
        }
    }
}
