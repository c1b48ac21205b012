//! Commands of the shell itself: `.tables`, and `\dt` for who knows psql. A command is one line, without `;`.

use std::path::PathBuf;

use clap::ValueEnum;

use crate::output::Format;

/// What a line asks of the shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    Help,
    Quit,
    /// A statement that is easier to type so.
    Statement(String),
    /// Runs the statements of a file.
    Read(PathBuf),
    /// `None` asks what it is.
    Output(Option<Format>),
    Timing(Option<bool>),
    Progress(Option<bool>),
    /// The profile of the last statement, or of one by id.
    Profile(Option<String>),
    Clear,
}

/// Commands, their other names, what follows them, and what they do.
const COMMANDS: [(&str, &[&str], &str, &str); 15] = [
    (".catalogs", &["\\l"], "", "list catalogs"),
    (".clear", &[], "", "clear the screen"),
    (".describe", &["\\d", ".schema"], "TABLE", "columns of a table"),
    (".functions", &["\\df"], "[PATTERN]", "list functions"),
    (".help", &["help", "\\?", "\\h"], "", "this text"),
    (".history", &[], "[N]", "the last statements on the server"),
    (
        ".output",
        &[".mode", "\\format"],
        "[FORMAT]",
        "how results are printed",
    ),
    (".profile", &[], "[ID]", "what the last statement did"),
    (".progress", &[], "[on|off]", "show how far a statement is"),
    (
        ".quit",
        &["quit", "exit", ".exit", "\\q"],
        "",
        "leave (also Ctrl-D)",
    ),
    (
        ".read",
        &["source", "\\i"],
        "FILE",
        "run the statements of a file",
    ),
    (".schemas", &["\\dn"], "[CATALOG]", "list schemas"),
    (".tables", &["\\dt"], "[SCHEMA]", "list tables and views"),
    (
        ".timing",
        &[".timer", "\\timing"],
        "[on|off]",
        "show how long statements take",
    ),
    (".use", &["\\c"], "[CATALOG.]SCHEMA", "where names are looked up"),
];

/// Reads a line; `None` where it is no command.
///
/// # Errors
/// What is wrong with it, for the person.
pub(super) fn parse(line: &str) -> Option<Result<Command, String>> {
    let line = line.trim().trim_end_matches(';').trim_end();
    let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let rest = rest.trim();
    let Some(name) = name_of(word) else {
        let unknown = line.starts_with(['.', '\\']);
        return unknown.then(|| Err(format!("there is no command `{word}`; `.help` lists them")));
    };
    // `help` and `source` may begin a statement one day, and `quit` is short for nothing.
    let bare = !word.starts_with(['.', '\\']);
    if bare && (rest.is_empty() == (name == ".read")) {
        return None;
    }
    Some(command(name, rest))
}

fn name_of(word: &str) -> Option<&'static str> {
    let word = word.to_lowercase();
    let found = COMMANDS
        .iter()
        .find(|(name, others, ..)| *name == word || others.contains(&word.as_str()));
    found.map(|(name, ..)| *name)
}

fn command(name: &str, rest: &str) -> Result<Command, String> {
    let statement = |text: String| Ok(Command::Statement(text));
    let needed = |what: &str| match rest.is_empty() {
        true => Err(format!("{name} takes {what}")),
        false => Ok(rest.to_owned()),
    };
    match name {
        ".catalogs" => statement("SHOW CATALOGS".to_owned()),
        ".clear" => Ok(Command::Clear),
        ".describe" => statement(format!("DESCRIBE TABLE {}", needed("the name of a table")?)),
        ".functions" => statement(match rest {
            "" => "SHOW USER FUNCTIONS".to_owned(),
            pattern => format!("SHOW FUNCTIONS LIKE '{}'", pattern.replace('\'', "''")),
        }),
        ".history" => statement(recent(rest)?),
        ".output" if rest.is_empty() => Ok(Command::Output(None)),
        ".output" => Format::from_str(rest, true)
            .map(|format| Command::Output(Some(format)))
            .map_err(|_| format!("there is no format `{rest}`; there are {}", formats().join(", "))),
        ".profile" => Ok(Command::Profile((!rest.is_empty()).then(|| rest.to_owned()))),
        ".progress" => switch(rest).map(Command::Progress),
        ".quit" => Ok(Command::Quit),
        ".read" => Ok(Command::Read(PathBuf::from(needed("the name of a file")?))),
        ".schemas" => statement(within("SHOW SCHEMAS", rest)),
        ".tables" => statement(within("SHOW TABLES", rest)),
        ".timing" => switch(rest).map(Command::Timing),
        ".use" => statement(format!("USE {}", needed("the name of a schema")?)),
        _ => Ok(Command::Help),
    }
}

fn within(show: &str, name: &str) -> String {
    match name {
        "" => show.to_owned(),
        name => format!("{show} IN {name}"),
    }
}

fn recent(count: &str) -> Result<String, String> {
    let count: u32 = match count {
        "" => 20,
        count => count
            .parse()
            .map_err(|_| format!("`{count}` is no number of statements"))?,
    };
    Ok(format!(
        "SELECT start_time, execution_status AS status, total_duration_ms AS ms, produced_rows AS rows, statement_text \
         FROM system.query.history WHERE NOT array_contains(map_keys(query_tags), 'ingot_shell') ORDER BY start_time DESC \
         LIMIT {count}"
    ))
}

fn switch(text: &str) -> Result<Option<bool>, String> {
    match text.to_lowercase().as_str() {
        "" => Ok(None),
        "on" | "true" => Ok(Some(true)),
        "off" | "false" => Ok(Some(false)),
        other => Err(format!("`{other}` is neither `on` nor `off`")),
    }
}

fn formats() -> Vec<String> {
    let names = Format::value_variants()
        .iter()
        .filter_map(ValueEnum::to_possible_value);
    names.map(|name| name.get_name().to_owned()).collect()
}

/// Completes a command, and what follows it; `None` where the line is none.
pub(super) fn complete(before: &str) -> Option<(usize, Vec<String>)> {
    if !before.starts_with(['.', '\\']) {
        return None;
    }
    let Some((word, rest)) = before.split_once(char::is_whitespace) else {
        let names = COMMANDS.iter().map(|(name, ..)| *name);
        let found = names.filter(|name| name.starts_with(before)).map(str::to_owned);
        return Some((0, found.collect()));
    };
    let values = match name_of(word)? {
        ".output" => formats(),
        ".timing" | ".progress" => vec!["on".to_owned(), "off".to_owned()],
        // Names of tables and schemas are those of statements.
        _ => return None,
    };
    let begun = rest.trim_start();
    let found = values
        .into_iter()
        .filter(|value| value.starts_with(begun))
        .collect();
    Some((before.len() - begun.len(), found))
}

/// Says what there is.
pub(super) fn help() -> String {
    let mut text = "Statements end with `;` and may span lines. Tab completes.\n".to_owned();
    for (name, others, takes, does) in COMMANDS {
        let call = format!("{name} {takes}");
        let others = match others {
            [] => String::new(),
            others => format!(" (also {})", others.join(", ")),
        };
        text += &format!("  {call:<24} {does}{others}\n");
    }
    text + "Ctrl-C clears what is typed, or stops the statement that runs; Ctrl-R searches what was typed before."
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    fn statement(text: &str) -> Command {
        Command::Statement(text.to_owned())
    }

    #[test_case(".help", Command::Help)]
    #[test_case("help;", Command::Help)]
    #[test_case("\\?", Command::Help; "help in psql")]
    #[test_case(" quit ", Command::Quit)]
    #[test_case("\\q", Command::Quit; "quit in psql")]
    #[test_case(".tables", statement("SHOW TABLES"))]
    #[test_case("\\dt main.gold", statement("SHOW TABLES IN main.gold"); "tables in psql")]
    #[test_case(".describe t;", statement("DESCRIBE TABLE t"))]
    #[test_case(".functions it's", statement("SHOW FUNCTIONS LIKE 'it''s'"))]
    #[test_case("source a b.sql", Command::Read(PathBuf::from("a b.sql")); "a file")]
    #[test_case(".output csv", Command::Output(Some(Format::Csv)); "a format")]
    #[test_case(".mode NDJSON", Command::Output(Some(Format::Json)); "a format by another name")]
    #[test_case(".output", Command::Output(None); "which format")]
    #[test_case("\\timing off", Command::Timing(Some(false)); "a switch")]
    #[test_case(".profile", Command::Profile(None); "the last profile")]
    fn a_command_is_read(line: &str, expected: Command) {
        assert_eq!(parse(line), Some(Ok(expected)));
    }

    #[test_case("SELECT 1;")]
    #[test_case("")]
    #[test_case("help me;"; "a statement that begins with help")]
    #[test_case("source"; "no file")]
    #[test_case("1.tables"; "a dot within")]
    fn other_lines_are_statements(line: &str) {
        assert_eq!(parse(line), None);
    }

    #[test_case(".nothing", "there is no command"; "unknown")]
    #[test_case(".describe", "takes the name"; "nothing follows")]
    #[test_case(".output xml", "there are table, json"; "no format")]
    #[test_case(".timing perhaps", "neither"; "no switch")]
    #[test_case(".history x", "no number"; "no number")]
    fn a_wrong_command_says_what_is_wrong(line: &str, expected: &str) {
        let error = parse(line).expect("a command").expect_err("wrong");
        assert!(error.contains(expected), "{error}");
    }

    #[test_case(".ta", Some((0, vec![".tables"])))]
    #[test_case(".output ve", Some((8, vec!["vertical"])))]
    #[test_case(".timing o", Some((8, vec!["on", "off"])))]
    #[test_case(".tables go", None; "a name")]
    #[test_case("sel", None; "a statement")]
    fn a_command_is_completed(line: &str, expected: Option<(usize, Vec<&str>)>) {
        let expected = expected.map(|(start, found)| (start, found.into_iter().map(str::to_owned).collect()));
        assert_eq!(complete(line), expected);
    }
}
