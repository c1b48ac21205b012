//! What was typed, in colours: keywords, texts, numbers, comments.

use super::words::{Kind, is_keyword, pieces};

const KEYWORD: &str = "\x1b[1;34m";
const TEXT: &str = "\x1b[32m";
const NUMBER: &str = "\x1b[36m";
const COMMENT: &str = "\x1b[90m";
const PLAIN: &str = "\x1b[0m";

/// Bytes beyond which a text is left as it is: it is coloured anew with each key.
const BYTES_MAX: usize = 20_000;

/// Colours a text.
pub(super) fn coloured(text: &str) -> Option<String> {
    if text.len() > BYTES_MAX {
        return None;
    }
    let mut coloured = String::with_capacity(text.len() * 2);
    let mut written = 0;
    for piece in pieces(text) {
        let colour = match piece.kind {
            Kind::Word if is_keyword(piece.text) => KEYWORD,
            Kind::Text => TEXT,
            Kind::Number => NUMBER,
            Kind::Comment => COMMENT,
            Kind::Word | Kind::Quoted | Kind::Other => continue,
        };
        coloured.push_str(&text[written..piece.start]);
        coloured.push_str(colour);
        coloured.push_str(piece.text);
        coloured.push_str(PLAIN);
        written = piece.end();
    }
    coloured.push_str(&text[written..]);
    Some(coloured)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_change_nothing_but_colours() {
        let text = "select a, 'it''s', 12 -- why\nfrom `select`";
        let coloured = coloured(text).expect("short enough");
        assert!(coloured.starts_with("\x1b[1;34mselect\x1b[0m a, \x1b[32m'it'"));
        assert_eq!(console::strip_ansi_codes(&coloured), text);
        assert!(coloured.ends_with("`select`"));
    }
}
