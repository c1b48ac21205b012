//! The path of `variant_get`: `$.a[0]['b c']`.

use parquet_variant::Variant;

/// A step on a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Name(String),
    Index(usize),
}

/// Reads a path; `None` when it is none.
pub(super) fn steps(path: &str) -> Option<Vec<Step>> {
    let mut rest = path.strip_prefix('$')?;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('[') {
            let quote = after.chars().next().filter(|c| matches!(c, '\'' | '"'));
            match quote {
                Some(quote) => {
                    let (name, after) = after[1..].split_once(quote)?;
                    steps.push(Step::Name(name.to_owned()));
                    rest = after.strip_prefix(']')?;
                }
                None => {
                    let (index, after) = after.split_once(']')?;
                    steps.push(Step::Index(index.parse().ok()?));
                    rest = after;
                }
            }
        } else {
            let after = rest.strip_prefix('.')?;
            let end = after.find(['.', '[']).unwrap_or(after.len());
            let (name, after) = after.split_at(end);
            if name.is_empty() {
                return None;
            }
            steps.push(Step::Name(name.to_owned()));
            rest = after;
        }
    }
    Some(steps)
}

/// Follows a path.
pub(super) fn follow<'a>(variant: Variant<'a, 'a>, steps: &[Step]) -> Option<Variant<'a, 'a>> {
    steps
        .iter()
        .try_fold(variant, |variant, step| match (&variant, step) {
            (Variant::Object(object), Step::Name(name)) => object.get(name),
            (Variant::List(list), Step::Index(index)) => list.get(*index),
            _ => None,
        })
}
