//! A script, read whole.
//!
//! Statements and expressions are kept as the pieces of the text that they are.

use datafusion::sql::sqlparser::tokenizer::Token;
use ingot_common::Kind;

use super::super::cursor::Cursor;
use super::diagnostics::Item;
use super::{Block, Caught, Declaration, Handler, Raised, Signal, Step, cursors};
use crate::{Error, Result};

/// Statements in statements, at most.
const DEPTH_MAX: usize = 64;

/// The state of a condition that is declared without one.
const UNSPECIFIED: &str = "45000";

/// Reads a script after its BEGIN.
///
/// # Errors
/// `PARSE_SYNTAX_ERROR`, and conditions of labels and declarations.
pub(super) fn script(cursor: &mut Cursor<'_>) -> Result<Block> {
    let mut labels = Labels::default();
    let block = block(cursor, None, &mut labels)?;
    cursor.end()?;
    Ok(block)
}

/// What a label is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Labelled {
    Block,
    Loop,
}

/// The labels around a statement.
#[derive(Debug, Default)]
struct Labels(Vec<(Option<String>, Labelled)>);

impl Labels {
    fn enter(&mut self, label: Option<&String>, what: Labelled) -> Result<()> {
        if self.0.len() >= DEPTH_MAX {
            return Err(Error::parse(format!(
                "a script nests more than {DEPTH_MAX} statements"
            )));
        }
        let known = |label: &String| self.0.iter().any(|(known, _)| known.as_ref() == Some(label));
        if let Some(label) = label.filter(|label| known(label)) {
            return Err(refused(
                "LABEL_ALREADY_EXISTS",
                format!("the label `{label}` is that of a statement around this one"),
            ));
        }
        self.0.push((label.cloned(), what));
        Ok(())
    }

    fn leave(&mut self) {
        self.0.pop();
    }

    fn find(&self, label: &str) -> Option<Labelled> {
        let mut labels = self.0.iter().rev();
        labels
            .find(|(known, _)| known.as_deref() == Some(label))
            .map(|(_, what)| *what)
    }
}

fn refused(condition: &'static str, message: String) -> Error {
    Error::Condition {
        kind: Kind::InvalidArgument,
        condition,
        sqlstate: "42K0L",
        message,
    }
}

/// Takes what follows BEGIN, with its END.
fn block(cursor: &mut Cursor<'_>, label: Option<String>, labels: &mut Labels) -> Result<Block> {
    let _ = cursor.accept_all(&["NOT", "ATOMIC"]);
    labels.enter(label.as_ref(), Labelled::Block)?;
    let (mut declarations, mut handlers) = (Vec::new(), Vec::new());
    while cursor.accept("DECLARE") {
        match declaration(cursor, labels)? {
            Declared::Handler(handler) => handlers.push(handler),
            Declared::Plain(declaration) => {
                check_place(&declaration, declarations.last(), &handlers)?;
                declarations.push(declaration);
            }
        }
        cursor.expect_token(&Token::SemiColon)?;
    }
    let body = steps(cursor, &["END"], labels)?;
    cursor.expect("END")?;
    end_label(cursor, label.as_deref())?;
    labels.leave();
    Ok(Block {
        label,
        declarations,
        handlers,
        body,
    })
}

/// Checks that a declaration stands where it may: variables and conditions come first, then cursors, then handlers.
fn check_place(declaration: &Declaration, before: Option<&Declaration>, handlers: &[Handler]) -> Result<()> {
    let of_cursor = matches!(declaration, Declaration::Cursor { .. });
    if !handlers.is_empty() {
        return Err(match of_cursor {
            true => cursors::misplaced(),
            false => Error::Condition {
                kind: Kind::InvalidArgument,
                condition: "INVALID_HANDLER_DECLARATION.WRONG_PLACE_OF_DECLARATION",
                sqlstate: "42K0Q",
                message: "handlers are declared after variables, conditions and cursors".to_owned(),
            },
        });
    }
    let after_cursor = matches!(before, Some(Declaration::Cursor { .. }));
    match declaration {
        Declaration::Variable { .. } if after_cursor => Err(late_variable()),
        Declaration::Condition { name, .. } if after_cursor => Err(Error::Condition {
            kind: Kind::InvalidArgument,
            condition: "INVALID_ERROR_CONDITION_DECLARATION.NOT_AT_START_OF_COMPOUND_STATEMENT",
            sqlstate: "42K0R",
            message: format!("the condition {name} is declared after a cursor; conditions come before"),
        }),
        _ => Ok(()),
    }
}

fn late_variable() -> Error {
    Error::Condition {
        kind: Kind::InvalidArgument,
        condition: "INVALID_VARIABLE_DECLARATION.ONLY_AT_BEGINNING",
        sqlstate: "42K0M",
        message: "variables are declared at the beginning of a compound statement".to_owned(),
    }
}

/// Takes the label after an END, which is that of the beginning.
fn end_label(cursor: &mut Cursor<'_>, label: Option<&str>) -> Result<()> {
    if cursor.at_end() {
        return Ok(());
    }
    let end = cursor.name()?.to_lowercase();
    match label {
        Some(label) if label == end => Ok(()),
        Some(label) => Err(refused(
            "LABELS_MISMATCH",
            format!("a statement begins with the label `{label}` and ends with `{end}`"),
        )),
        None => Err(refused(
            "END_LABEL_WITHOUT_BEGIN_LABEL",
            format!("a statement ends with the label `{end}` and begins with none"),
        )),
    }
}

enum Declared {
    Plain(Declaration),
    Handler(Handler),
}

/// Takes what follows DECLARE.
fn declaration(cursor: &mut Cursor<'_>, labels: &mut Labels) -> Result<Declared> {
    for (word, goes_on) in [("EXIT", false), ("CONTINUE", true)] {
        if cursor.accept_all(&[word, "HANDLER", "FOR"]) {
            return handler(cursor, goes_on, labels).map(Declared::Handler);
        }
    }
    if cursor.accept_all(&["OR", "REPLACE"]) {
        return Err(Error::Condition {
            kind: Kind::InvalidArgument,
            condition: "INVALID_VARIABLE_DECLARATION.REPLACE_LOCAL_VARIABLE",
            sqlstate: "42K0M",
            message: "a variable of a script is declared once".to_owned(),
        });
    }
    let of_variable = cursor.accept("VARIABLE");
    let mut names = vec![local_name(cursor)?];
    if !of_variable && cursors::accept_cursor(cursor) {
        let name = names.pop().unwrap_or_default().to_lowercase();
        let query = cursors::query(cursor)?;
        return Ok(Declared::Plain(Declaration::Cursor { name, query }));
    }
    if cursor.accept("CONDITION") {
        let mut sqlstate = UNSPECIFIED.to_owned();
        if cursor.accept_all(&["FOR", "SQLSTATE"]) {
            let _ = cursor.accept("VALUE");
            sqlstate = state(cursor)?;
        }
        let name = names.pop().unwrap_or_default().to_uppercase();
        return Ok(Declared::Plain(Declaration::Condition { name, sqlstate }));
    }
    while cursor.accept_token(&Token::Comma) {
        names.push(local_name(cursor)?);
    }
    let untyped = cursor.at("DEFAULT") || cursor.at_token(&Token::Eq) || cursor.at_end();
    let sql_type = match untyped {
        true => None,
        false => Some(cursor.data_type()?),
    };
    let mut default = None;
    if cursor.accept("DEFAULT") || cursor.accept_token(&Token::Eq) {
        default = Some(cursor.expression_text()?.to_owned());
    } else if sql_type.is_none() {
        return Err(cursor.expected("a type or DEFAULT"));
    }
    Ok(Declared::Plain(Declaration::Variable {
        names,
        sql_type,
        default,
    }))
}

fn local_name(cursor: &mut Cursor<'_>) -> Result<String> {
    let mut parts = crate::resolve::parts(&cursor.object_name()?)?;
    match (parts.pop(), parts.is_empty()) {
        (Some(name), true) => Ok(name),
        _ => Err(Error::Condition {
            kind: Kind::InvalidArgument,
            condition: "INVALID_VARIABLE_DECLARATION.QUALIFIED_LOCAL_VARIABLE",
            sqlstate: "42K0M",
            message: "what a script declares has a name of one part".to_owned(),
        }),
    }
}

/// Takes a state of five letters and digits.
fn state(cursor: &mut Cursor<'_>) -> Result<String> {
    let state = cursor.string()?.to_uppercase();
    let valid = state.len() == 5 && state.chars().all(|c| c.is_ascii_alphanumeric());
    let reserved = ["00", "01", "XX"].iter().any(|class| state.starts_with(class));
    match valid && !reserved {
        true => Ok(state),
        false => Err(Error::Condition {
            kind: Kind::InvalidArgument,
            condition: "INVALID_SQLSTATE",
            sqlstate: "428B3",
            message: format!("`{state}` is no SQLSTATE that a script may raise or handle"),
        }),
    }
}

fn handler(cursor: &mut Cursor<'_>, goes_on: bool, labels: &mut Labels) -> Result<Handler> {
    let mut conditions = Vec::new();
    loop {
        let caught = if cursor.accept("SQLSTATE") {
            let _ = cursor.accept("VALUE");
            Caught::SqlState(state(cursor)?)
        } else if cursor.accept("SQLEXCEPTION") {
            Caught::Exception
        } else if cursor.accept_all(&["NOT", "FOUND"]) {
            Caught::NotFound
        } else {
            Caught::Named(condition_name(cursor)?)
        };
        if conditions.contains(&caught) {
            return Err(Error::Condition {
                kind: Kind::InvalidArgument,
                condition: "INVALID_HANDLER_DECLARATION.DUPLICATE_CONDITION_IN_HANDLER_DECLARATION",
                sqlstate: "42K0Q",
                message: format!("a handler is for {caught:?} twice"),
            });
        }
        conditions.push(caught);
        if !cursor.accept_token(&Token::Comma) {
            break;
        }
    }
    let action = vec![step(cursor, labels)?];
    Ok(Handler {
        conditions,
        goes_on,
        action,
    })
}

fn condition_name(cursor: &mut Cursor<'_>) -> Result<String> {
    let parts = crate::resolve::parts(&cursor.object_name()?)?;
    Ok(parts.join(".").to_uppercase())
}

/// Takes statements, each with its semicolon, up to one of the words.
fn steps(cursor: &mut Cursor<'_>, ends: &[&str], labels: &mut Labels) -> Result<Vec<Step>> {
    let mut steps = Vec::new();
    while !ends.iter().any(|end| cursor.at(end)) {
        if cursor.accept("DECLARE") {
            let of_cursor = cursor.object_name().is_ok() && cursors::accept_cursor(cursor);
            return Err(match of_cursor {
                true => cursors::misplaced(),
                false => late_variable(),
            });
        }
        steps.push(step(cursor, labels)?);
        cursor.expect_token(&Token::SemiColon)?;
    }
    Ok(steps)
}

/// Takes one statement.
fn step(cursor: &mut Cursor<'_>, labels: &mut Labels) -> Result<Step> {
    let label = cursor.label(&["BEGIN", "WHILE", "REPEAT", "LOOP", "FOR"])?;
    if cursor.accept("BEGIN") {
        return block(cursor, label, labels).map(Step::Block);
    }
    for word in ["WHILE", "REPEAT", "LOOP", "FOR"] {
        if cursor.accept(word) {
            labels.enter(label.as_ref(), Labelled::Loop)?;
            let step = repeated(cursor, word, label.clone(), labels)?;
            end_label(cursor, label.as_deref())?;
            labels.leave();
            return Ok(step);
        }
    }
    labels.enter(None, Labelled::Block)?;
    let step = unlabelled(cursor, labels);
    labels.leave();
    step
}

/// Takes a loop after its first word, with its END.
fn repeated(cursor: &mut Cursor<'_>, word: &str, label: Option<String>, labels: &mut Labels) -> Result<Step> {
    let step = match word {
        "WHILE" => {
            let condition = cursor.expression_text()?.to_owned();
            cursor.expect("DO")?;
            let body = steps(cursor, &["END"], labels)?;
            Step::While {
                label,
                condition,
                body,
            }
        }
        "REPEAT" => {
            let body = steps(cursor, &["UNTIL"], labels)?;
            cursor.expect("UNTIL")?;
            let until = cursor.expression_text()?.to_owned();
            Step::Repeat { label, body, until }
        }
        "FOR" => {
            let variable = match cursor.next_is("AS") {
                true => Some(cursor.name()?.to_lowercase()),
                false => None,
            };
            let _ = cursor.accept("AS");
            let query = cursor.statement_until(|cursor| cursor.at("DO"))?.to_owned();
            super::super::parse_query(&query)?;
            cursor.expect("DO")?;
            let body = steps(cursor, &["END"], labels)?;
            Step::For {
                label,
                variable,
                query,
                body,
            }
        }
        _ => {
            let body = steps(cursor, &["END"], labels)?;
            Step::Loop { label, body }
        }
    };
    cursor.expect("END")?;
    cursor.expect(word)?;
    Ok(step)
}

/// Takes a statement that has no label.
fn unlabelled(cursor: &mut Cursor<'_>, labels: &mut Labels) -> Result<Step> {
    if cursor.accept("IF") {
        return conditional(cursor, labels);
    }
    if cursor.accept("CASE") {
        return case(cursor, labels);
    }
    if cursor.accept("LEAVE") {
        return jump(cursor, labels, "LEAVE").map(Step::Leave);
    }
    if cursor.accept("ITERATE") {
        return jump(cursor, labels, "ITERATE").map(Step::Iterate);
    }
    if cursor.accept("SIGNAL") {
        return signal(cursor).map(Step::Signal);
    }
    if cursor.accept("RESIGNAL") {
        return Ok(Step::Resignal);
    }
    if cursor.accept_all(&["GET", "DIAGNOSTICS"]) {
        return diagnostics(cursor);
    }
    if cursor.accept("OPEN") {
        return cursors::open(cursor);
    }
    if cursor.accept("FETCH") {
        return cursors::fetch(cursor);
    }
    if cursor.accept("CLOSE") {
        return cursors::close(cursor);
    }
    // SET TAG is a statement like others.
    let set = cursor.at("SET") && !cursor.at_all(&["SET", "TAG", "ON"]);
    let text = cursor.statement_until(|_| false)?.to_owned();
    match text.is_empty() {
        true => Err(cursor.expected("a statement")),
        false if set => Ok(Step::Set(text)),
        false => Ok(Step::Statement(text)),
    }
}

fn conditional(cursor: &mut Cursor<'_>, labels: &mut Labels) -> Result<Step> {
    const ENDS: [&str; 3] = ["ELSEIF", "ELSE", "END"];
    let mut branches = Vec::new();
    loop {
        let condition = cursor.expression_text()?.to_owned();
        cursor.expect("THEN")?;
        branches.push((condition, steps(cursor, &ENDS, labels)?));
        if !cursor.accept("ELSEIF") {
            break;
        }
    }
    let otherwise = match cursor.accept("ELSE") {
        true => steps(cursor, &["END"], labels)?,
        false => Vec::new(),
    };
    cursor.expect("END")?;
    cursor.expect("IF")?;
    Ok(Step::If { branches, otherwise })
}

/// A CASE of a value compares the value with each; it is an IF of the comparisons.
fn case(cursor: &mut Cursor<'_>, labels: &mut Labels) -> Result<Step> {
    const ENDS: [&str; 3] = ["WHEN", "ELSE", "END"];
    let operand = match cursor.at("WHEN") {
        true => None,
        false => Some(cursor.expression_text()?.to_owned()),
    };
    let mut branches = Vec::new();
    while cursor.accept("WHEN") {
        let tested = cursor.expression_text()?;
        let condition = match &operand {
            Some(operand) => format!("({operand}\n) = ({tested}\n)"),
            None => tested.to_owned(),
        };
        cursor.expect("THEN")?;
        branches.push((condition, steps(cursor, &ENDS, labels)?));
    }
    if branches.is_empty() {
        return Err(cursor.expected("WHEN"));
    }
    let otherwise = match cursor.accept("ELSE") {
        true => steps(cursor, &["END"], labels)?,
        false => Vec::new(),
    };
    cursor.expect("END")?;
    cursor.expect("CASE")?;
    Ok(Step::If { branches, otherwise })
}

fn jump(cursor: &mut Cursor<'_>, labels: &Labels, word: &str) -> Result<String> {
    let label = cursor.name()?.to_lowercase();
    match labels.find(&label) {
        None => Err(refused(
            "INVALID_LABEL_USAGE.DOES_NOT_EXIST",
            format!("{word} names the label `{label}`, which no statement around it has"),
        )),
        Some(Labelled::Block) if word == "ITERATE" => Err(refused(
            "INVALID_LABEL_USAGE.ITERATE_IN_COMPOUND",
            format!("`{label}` is the label of a compound statement, which does not repeat"),
        )),
        Some(_) => Ok(label),
    }
}

fn signal(cursor: &mut Cursor<'_>) -> Result<Signal> {
    let raised = match cursor.accept("SQLSTATE") {
        true => {
            let _ = cursor.accept("VALUE");
            Raised::SqlState(state(cursor)?)
        }
        false => Raised::Named(condition_name(cursor)?),
    };
    let (mut message, mut arguments) = (None, None);
    if cursor.accept("SET") {
        let slot = match cursor.accept("MESSAGE_TEXT") {
            true => &mut message,
            false => {
                cursor.expect("MESSAGE_ARGUMENTS")?;
                &mut arguments
            }
        };
        cursor.expect_token(&Token::Eq)?;
        *slot = Some(cursor.expression_text()?.to_owned());
    }
    Ok(Signal {
        raised,
        message,
        arguments,
    })
}

fn diagnostics(cursor: &mut Cursor<'_>) -> Result<Step> {
    cursor.expect("CONDITION")?;
    if cursor.number()? != 1 {
        return Err(Error::parse("diagnostics are those of CONDITION 1".to_owned()));
    }
    let mut assignments = Vec::new();
    loop {
        let name = cursor.object_name_text()?.to_owned();
        cursor.expect_token(&Token::Eq)?;
        let item = cursor.name()?;
        let item = Item::named(&item).ok_or_else(|| Error::parse(format!("`{item}` is no diagnostic")))?;
        assignments.push((name, item));
        if !cursor.accept_token(&Token::Comma) {
            return Ok(Step::Diagnostics(assignments));
        }
    }
}
