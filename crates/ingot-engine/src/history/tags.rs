//! Query tags as the setting `query_tags` has them: `key:value,key`, with backslashes before `:`, `,` and `\` of values.
//!
//! Source: Databricks, "Query tags"; databricks-sql-connector, `serialize_query_tags`.

use std::collections::BTreeMap;

/// The setting's name.
pub(crate) const QUERY_TAGS: &str = "query_tags";

/// Tags of a statement that are kept.
const TAGS_MAX: usize = 100;

/// Reads tags. An empty value is none; a key that stands twice has its last value.
pub(crate) fn read(text: &str) -> BTreeMap<String, Option<String>> {
    let mut tags = BTreeMap::new();
    let mut key = String::new();
    let mut value: Option<String> = None;
    let mut characters = text.chars();
    let mut add = |key: &mut String, value: &mut Option<String>| {
        let name = std::mem::take(key).trim().to_owned();
        let value = value.take().map(|value| value.trim().to_owned());
        if !name.is_empty() && (tags.len() < TAGS_MAX || tags.contains_key(&name)) {
            tags.insert(name, value.filter(|value| !value.is_empty()));
        }
    };
    while let Some(character) = characters.next() {
        match (character, &mut value) {
            ('\\', part) => {
                let escaped = characters.next().unwrap_or('\\');
                part.as_mut().unwrap_or(&mut key).push(escaped);
            }
            (',', _) => add(&mut key, &mut value),
            (':', None) => value = Some(String::new()),
            (character, part) => part.as_mut().unwrap_or(&mut key).push(character),
        }
    }
    add(&mut key, &mut value);
    tags
}

/// Writes tags so that [`read`] gives them again.
pub(crate) fn write(tags: &BTreeMap<String, Option<String>>) -> String {
    let escaped = |text: &str| {
        let mut escaped = String::with_capacity(text.len());
        for character in text.chars() {
            if matches!(character, '\\' | ':' | ',') {
                escaped.push('\\');
            }
            escaped.push(character);
        }
        escaped
    };
    let written = tags.iter().map(|(key, value)| match value {
        Some(value) => format!("{}:{}", escaped(key), escaped(value)),
        None => escaped(key),
    });
    written.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case("", &[]; "none")]
    #[test_case("team:marketing, env : prod", &[("team", Some("marketing")), ("env", Some("prod"))]; "several")]
    #[test_case("experiment", &[("experiment", None)]; "a key alone")]
    #[test_case("a:,b", &[("a", None), ("b", None)]; "an empty value")]
    #[test_case(r"url:http\://x\,y,p:c\\d", &[("url", Some("http://x,y")), ("p", Some(r"c\d"))]; "escaped")]
    #[test_case("@@dbt_model_name:m,a:b:c", &[("@@dbt_model_name", Some("m")), ("a", Some("b:c"))]; "colons in a value")]
    #[test_case(r"a:b\", &[("a", Some(r"b\"))]; "a backslash at the end")]
    #[test_case("a:1,a:2,,:x", &[("a", Some("2"))]; "twice, and without a key")]
    fn tags_are_read(text: &str, expected: &[(&str, Option<&str>)]) {
        let expected: BTreeMap<_, _> = expected
            .iter()
            .map(|(key, value)| ((*key).to_owned(), value.map(str::to_owned)))
            .collect();
        let tags = read(text);
        assert_eq!(tags, expected);
        assert_eq!(read(&write(&tags)), tags, "written again");
    }

    #[test]
    fn so_many_are_kept() {
        let many: Vec<String> = (0..1000).map(|number| format!("k{number}")).collect();
        assert_eq!(read(&many.join(",")).len(), TAGS_MAX);
    }
}
