//! Where a script (`BEGIN … END`) goes on behind a `;`.
//!
//! Words open and close statements: which do depends on where they stand, as `IF` is also a function and `CASE` also an
//! expression. Source: Databricks, "SQL scripting".

/// A statement, or an expression, that is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Open {
    Block,
    If,
    Case,
    CaseExpression,
    While,
    For,
    Loop,
    Repeat,
}

/// What the words of a text, one after the other, have opened.
#[derive(Debug, Default)]
pub(super) struct Script {
    open: Vec<Open>,
    /// Something was read, of the script or before one could begin.
    started: bool,
    /// A statement may begin here.
    at_statement: bool,
    /// The word before was the first of a statement, and may be a label.
    after_first: bool,
    /// The word before was END.
    after_end: bool,
}

impl Script {
    /// Says if a `;` here ends no more than a statement of a script.
    pub fn goes_on(&self) -> bool {
        let only_begun = self.open.len() == 1 && self.at_begin();
        !(self.open.is_empty() || only_begun)
    }

    /// Says if nothing has followed the first BEGIN.
    fn at_begin(&self) -> bool {
        self.at_statement && !self.after_first && self.open == [Open::Block] && !self.started
    }

    /// Reads a `;` that the script goes on behind.
    pub fn semicolon(&mut self) {
        self.statement();
    }

    /// Reads a `:`.
    pub fn colon(&mut self) {
        match self.after_first {
            true => self.statement(),
            false => self.other(),
        }
    }

    /// Reads anything else that is no word.
    pub fn other(&mut self) {
        self.started = true;
        self.at_statement = false;
        self.after_first = false;
        self.after_end = false;
    }

    fn statement(&mut self) {
        self.at_statement = true;
        self.after_first = false;
        self.after_end = false;
    }

    /// Reads a word.
    pub fn word(&mut self, word: &str) {
        let upper = word.to_ascii_uppercase();
        if self.open.is_empty() {
            let script = !self.started && upper == "BEGIN";
            self.started = true;
            if script {
                self.open.push(Open::Block);
                self.started = false;
                self.statement();
            }
            return;
        }
        self.started = true;
        if self.after_end {
            // What ends: `END IF`, `END label`.
            self.other();
            return;
        }
        let first = std::mem::take(&mut self.at_statement);
        self.after_first = false;
        if upper == "END" {
            // What follows the END of an expression goes on with the statement.
            self.after_end = self.open.pop() != Some(Open::CaseExpression);
            return;
        }
        let within = self.open.last().copied();
        let opened = match upper.as_str() {
            "BEGIN" => Some(Open::Block),
            "CASE" if first => Some(Open::Case),
            "CASE" => Some(Open::CaseExpression),
            "IF" if first => Some(Open::If),
            "WHILE" if first => Some(Open::While),
            "FOR" if first => Some(Open::For),
            "LOOP" if first => Some(Open::Loop),
            "REPEAT" if first => Some(Open::Repeat),
            _ => None,
        };
        if let Some(opened) = opened {
            self.open.push(opened);
            if matches!(opened, Open::Block | Open::Loop | Open::Repeat) {
                self.statement();
            }
            return;
        }
        let begins = match upper.as_str() {
            "THEN" | "ELSE" => matches!(within, Some(Open::If | Open::Case)),
            "DO" => matches!(within, Some(Open::While | Open::For)),
            _ => false,
        };
        match begins {
            true => self.statement(),
            false => self.after_first = first,
        }
    }
}
