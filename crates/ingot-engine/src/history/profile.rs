//! How profiles are cut to size.

use super::trace::cut;

/// Operators above each other that are shown: readers of JSON go so deep.
pub(super) const DEPTH_MAX: usize = 55;

/// Bytes of what an operator was told to do.
const DETAILS_BYTES_MAX: usize = 2_000;

/// Takes what an operator says of itself in one line, without its name.
pub(super) fn details(name: &str, line: &str) -> String {
    let line = line.trim();
    let rest = line.strip_prefix(name).unwrap_or(line);
    let rest = rest.strip_prefix(':').unwrap_or(rest).trim();
    cut(rest.to_owned(), DETAILS_BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case("FilterExec", "FilterExec: a > 1\n", "a > 1")]
    #[test_case("CooperativeExec", "CooperativeExec\n", "")]
    #[test_case("DeltaScanExec", "Scan: t", "Scan: t"; "a name of its own")]
    fn an_operator_is_named_once(name: &str, line: &str, expected: &str) {
        assert_eq!(details(name, line), expected);
    }
}
