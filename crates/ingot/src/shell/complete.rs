//! What a word that was begun may become.
//!
//! Decided by what stands before the word: after FROM and its like tables come first, after a dot what the name before it
//! has, otherwise columns of the tables that the statement names, functions and keywords.

use super::commands;
use super::names::{Names, Table};
use super::words::{KEYWORDS, Kind, Piece, is_keyword, pieces};

/// Candidates that are offered, at most.
const CANDIDATES_MAX: usize = 200;

/// Words after which a table or view comes.
const BEFORE_TABLES: [&str; 9] = [
    "DESC", "DESCRIBE", "FROM", "INTO", "JOIN", "OPTIMIZE", "TABLE", "UPDATE", "VIEW",
];

/// Words after which a schema comes.
const BEFORE_SCHEMAS: [&str; 5] = ["DATABASE", "IN", "SCHEMA", "USE", "CATALOG"];

/// Where names of fewer than three parts are looked up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Namespace<'a> {
    pub catalog: &'a str,
    pub schema: &'a str,
}

/// Returns where the word at `place` begins, and what it may become.
pub(super) fn complete(
    text: &str,
    place: usize,
    names: &Names,
    namespace: Namespace<'_>,
) -> (usize, Vec<String>) {
    let before = text.get(..place).unwrap_or(text);
    if let Some(found) = commands::complete(before) {
        return found;
    }
    // A statement that has ended says nothing of the one that is typed.
    let begun = crate::sql_text::split(before).rest;
    let offset = place.min(before.len()) - begun_length(before, begun);
    let statement = pieces(&before[offset..]);
    let Some(word) = Word::at_end(&statement, before.len() - offset) else {
        return (place, Vec::new());
    };
    let mut candidates = match word.path.as_slice() {
        [] => plain(&word, &statement, names, namespace),
        path => within(path, &statement, names, namespace),
    };
    let prefix = word.prefix.to_lowercase();
    candidates.retain(|candidate| candidate.to_lowercase().starts_with(&prefix) && *candidate != word.prefix);
    candidates.sort();
    candidates.dedup();
    candidates.truncate(CANDIDATES_MAX);
    let candidates = candidates.into_iter().map(|name| written(&name, &word));
    (offset + word.start, candidates.collect())
}

/// Returns how many bytes of the end of `before` the begun statement takes, with what space follows it.
fn begun_length(before: &str, begun: &str) -> usize {
    let found = before.rfind(begun).filter(|_| !begun.is_empty());
    found.map_or(0, |start| before.len() - start)
}

/// The word that is typed, with the names before its dots.
#[derive(Debug, PartialEq, Eq)]
struct Word<'a> {
    /// In the statement.
    start: usize,
    prefix: String,
    path: Vec<String>,
    /// In back-ticks.
    quoted: bool,
    /// The word before all of it.
    before: Option<&'a str>,
}

impl<'a> Word<'a> {
    /// Finds the word that ends at `end`; `None` within a text or a comment.
    fn at_end(pieces: &[Piece<'a>], end: usize) -> Option<Self> {
        let mut rest = pieces;
        let mut word = Self {
            start: end,
            prefix: String::new(),
            path: Vec::new(),
            quoted: false,
            before: None,
        };
        if let [before @ .., last] = rest
            && last.end() == end
        {
            match last.kind {
                Kind::Word | Kind::Quoted => {
                    word.start = last.start;
                    word.quoted = last.kind == Kind::Quoted;
                    word.prefix = last.name().unwrap_or_default();
                    rest = before;
                }
                Kind::Text | Kind::Comment | Kind::Number => return None,
                Kind::Other => {}
            }
        }
        let touches = |piece: &Piece<'_>, start: usize| piece.end() == start;
        let mut start = word.start;
        while let [before @ .., name, dot] = rest
            && dot.is(".")
            && touches(dot, start)
            && touches(name, dot.start)
            && let Some(part) = name.name()
        {
            word.path.insert(0, part);
            start = name.start;
            rest = before;
        }
        word.before = rest
            .iter()
            .rev()
            .find(|piece| piece.kind == Kind::Word)
            .map(|piece| piece.text);
        Some(word)
    }
}

/// What may stand without a dot before it.
fn plain(word: &Word<'_>, statement: &[Piece<'_>], names: &Names, namespace: Namespace<'_>) -> Vec<String> {
    let after = |words: &[&str]| {
        let before = word.before.map(str::to_ascii_uppercase);
        before.is_some_and(|before| words.contains(&before.as_str()))
    };
    let tables = || names.tables.iter().filter(|table| in_namespace(table, namespace));
    let relations = tables().map(|table| table.name.clone());
    let schemas = names
        .schemas
        .iter()
        .filter(|(catalog, _)| catalog == namespace.catalog);
    let schemas = schemas.map(|(_, schema)| schema.clone());
    let catalogs = names.catalogs().into_iter().map(str::to_owned);
    if after(&BEFORE_TABLES) {
        let words =
            ["IF", "EXISTS", "EXTENDED", "HISTORY", "DETAIL", "SELECT"].map(|text| cased(text, &word.prefix));
        return relations.chain(schemas).chain(catalogs).chain(words).collect();
    }
    if after(&BEFORE_SCHEMAS) {
        return schemas
            .chain(catalogs)
            .chain(["SCHEMA", "CATALOG"].map(|text| cased(text, &word.prefix)))
            .collect();
    }
    if word.quoted {
        return columns(statement, names, namespace).chain(relations).collect();
    }
    let functions = names.functions.iter().map(|name| format!("{name}("));
    let keywords = KEYWORDS.iter().map(|text| cased(text, &word.prefix));
    let aliases = mentioned(statement, names, namespace)
        .into_iter()
        .map(|(name, _)| name);
    // Everything begins with nothing: that says nothing.
    match word.prefix.is_empty() {
        true => columns(statement, names, namespace).collect(),
        false => columns(statement, names, namespace)
            .chain(aliases)
            .chain(functions)
            .chain(keywords)
            .collect(),
    }
}

/// What may stand after the names of `path` and a dot.
fn within(path: &[String], statement: &[Piece<'_>], names: &Names, namespace: Namespace<'_>) -> Vec<String> {
    let same = |a: &str, b: &str| a.eq_ignore_ascii_case(b);
    let tables_of = |catalog: &str, schema: &str| {
        let tables = names.tables.iter();
        let within = tables.filter(|table| same(&table.catalog, catalog) && same(&table.schema, schema));
        within.map(|table| table.name.clone()).collect::<Vec<_>>()
    };
    let mut found = Vec::new();
    for (name, table) in mentioned(statement, names, namespace) {
        let whole = [table.catalog.as_str(), &table.schema, &table.name];
        let named = whole.ends_with(&path.iter().map(String::as_str).collect::<Vec<_>>());
        if named || matches!(path, [alias] if same(alias, &name)) {
            found.extend(table.columns.iter().cloned());
        }
    }
    match path {
        [one] => {
            let schemas = names.schemas.iter().filter(|(catalog, _)| same(catalog, one));
            found.extend(schemas.map(|(_, schema)| schema.clone()));
            found.extend(tables_of(namespace.catalog, one));
        }
        [catalog, schema] => found.extend(tables_of(catalog, schema)),
        _ => {}
    }
    found
}

fn columns<'n>(
    statement: &[Piece<'_>],
    names: &'n Names,
    namespace: Namespace<'_>,
) -> impl Iterator<Item = String> + 'n {
    let tables = mentioned(statement, names, namespace);
    tables
        .into_iter()
        .flat_map(|(_, table)| table.columns.iter().cloned())
}

/// Returns the tables that a statement names, each with the name that its columns are qualified by.
fn mentioned<'n>(
    statement: &[Piece<'_>],
    names: &'n Names,
    namespace: Namespace<'_>,
) -> Vec<(String, &'n Table)> {
    let mut found = Vec::new();
    let mut place = 0;
    while place < statement.len() {
        let (parts, next) = path_at(statement, place);
        if let Some(table) = table_of(&parts, names, namespace) {
            let alias = alias_at(statement, next);
            found.push((alias.unwrap_or_else(|| table.name.clone()), table));
        }
        place = next.max(place + 1);
    }
    found
}

/// Reads names joined by dots, and where what follows them stands.
fn path_at(statement: &[Piece<'_>], mut place: usize) -> (Vec<String>, usize) {
    let mut parts = Vec::new();
    while let Some(name) = statement.get(place).and_then(Piece::name) {
        parts.push(name);
        place += 1;
        match statement.get(place) {
            Some(dot) if dot.is(".") => place += 1,
            _ => break,
        }
    }
    (parts, place)
}

fn table_of<'n>(parts: &[String], names: &'n Names, namespace: Namespace<'_>) -> Option<&'n Table> {
    let (catalog, schema, name) = match parts {
        [name] => (namespace.catalog, namespace.schema, name),
        [schema, name] => (namespace.catalog, schema.as_str(), name),
        [catalog, schema, name] => (catalog.as_str(), schema.as_str(), name),
        _ => return None,
    };
    let same = |a: &str, b: &str| a.eq_ignore_ascii_case(b);
    names
        .tables
        .iter()
        .find(|table| same(&table.name, name) && same(&table.schema, schema) && same(&table.catalog, catalog))
}

fn alias_at(statement: &[Piece<'_>], place: usize) -> Option<String> {
    let first = statement.get(place)?;
    let alias = match first.is_word("AS") {
        true => statement.get(place + 1)?,
        false => first,
    };
    alias
        .name()
        .filter(|name| alias.kind == Kind::Quoted || !is_keyword(name))
}

fn in_namespace(table: &Table, namespace: Namespace<'_>) -> bool {
    table.catalog == namespace.catalog && table.schema == namespace.schema
}

/// Writes a keyword as the person writes.
fn cased(keyword: &str, prefix: &str) -> String {
    match prefix.chars().any(char::is_lowercase) {
        true => keyword.to_ascii_lowercase(),
        false => keyword.to_owned(),
    }
}

/// Writes a candidate: in back-ticks where it needs them, or where the person began with one.
fn written(name: &str, word: &Word<'_>) -> String {
    let plain = name.trim_end_matches('(');
    let simple = plain
        .chars()
        .all(|character| character.is_ascii_alphanumeric() || character == '_')
        && !plain.starts_with(|first: char| first.is_ascii_digit());
    match simple && !word.quoted {
        true => name.to_owned(),
        false => format!("`{}`", name.replace('`', "``")),
    }
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    const NAMESPACE: Namespace<'_> = Namespace {
        catalog: "main",
        schema: "default",
    };

    fn names() -> Names {
        let table = |schema: &str, name: &str, columns: &[&str]| Table {
            catalog: "main".to_owned(),
            schema: schema.to_owned(),
            name: name.to_owned(),
            columns: columns.iter().map(|column| (*column).to_owned()).collect(),
        };
        let schema = |catalog: &str, schema: &str| (catalog.to_owned(), schema.to_owned());
        Names {
            schemas: vec![
                schema("main", "default"),
                schema("main", "gold"),
                schema("system", "query"),
            ],
            tables: vec![
                table("default", "flights", &["carrier", "cancelled", "day of week"]),
                table("default", "fleet", &["tail"]),
                table("gold", "delay", &["carrier", "minutes"]),
            ],
            functions: vec!["count".to_owned(), "coalesce".to_owned()],
        }
    }

    #[test_case("sel|", &["select"]; "a keyword in lower case")]
    #[test_case("SEL|", &["SELECT"]; "a keyword in upper case")]
    #[test_case("SELECT * FROM fl|", &["fleet", "flights"]; "tables")]
    #[test_case("SELECT * FROM go|", &["gold"]; "a schema")]
    #[test_case("SELECT * FROM gold.|", &["delay"]; "tables of a schema")]
    #[test_case("SELECT * FROM main.g|", &["gold"]; "schemas of a catalog")]
    #[test_case("SELECT * FROM main.gold.d|", &["delay"]; "tables of a schema of a catalog")]
    #[test_case("USE sys|", &["system"]; "a catalog to use")]
    #[test_case("SELECT f.c| ", &[]; "an alias that is not known yet")]
    #[test_case("SELECT * FROM flights f WHERE f.c|", &["cancelled", "carrier"]; "columns of an alias")]
    #[test_case("SELECT * FROM flights AS `f` WHERE `f`.d|", &["`day of week`"]; "a column that needs back-ticks")]
    #[test_case("SELECT * FROM gold.delay WHERE delay.m|", &["minutes"]; "columns of a table")]
    #[test_case("SELECT * FROM gold.delay WHERE m|", &["matched", "merge", "minus", "minutes"]; "columns and keywords")]
    #[test_case("SELECT * FROM flights WHERE `ca|", &["`cancelled`", "`carrier`"]; "a name in back-ticks")]
    #[test_case("SELECT cou|", &["count("]; "a function")]
    #[test_case("SELECT 1; SELECT * FROM fle|", &["fleet"]; "the second statement")]
    #[test_case("SELECT * FROM fleet; SELECT ta|", &["table", "tables"]; "tables of a statement before")]
    #[test_case("SELECT 'sel|", &[]; "within a text")]
    #[test_case("-- sel|", &[]; "within a comment")]
    #[test_case("SELECT 12|", &[]; "a number")]
    #[test_case("SELECT |", &[]; "nothing is begun")]
    #[test_case("SELECT * FROM fleet WHERE |", &["tail"]; "columns where nothing is begun")]
    fn a_word_is_completed(text: &str, expected: &[&str]) {
        let place = text.find('|').expect("a place");
        let text = text.replacen('|', "", 1);
        let (start, mut found) = complete(&text, place, &names(), NAMESPACE);
        found.retain(|candidate| candidate.len() < 100);
        assert_eq!(found, expected);
        assert!(start <= place);
    }

    #[test]
    fn a_word_is_replaced_from_its_beginning() {
        let (start, _) = complete("SELECT 1;  SELECT * FROM gold.de", 32, &names(), NAMESPACE);
        assert_eq!(start, 30);
    }
}
