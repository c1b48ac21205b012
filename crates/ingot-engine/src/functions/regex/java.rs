//! Patterns as Java's `java.util.regex` reads them, written for the two engines that run them.
//!
//! `\d`, `\w`, `\s` and the classes of POSIX are of ASCII, `.` takes no end of a line, `\Q…\E` quotes. Left out: `$` before
//! a last end of line, and the possessive quantifiers and atomic groups, which match as the usual ones do. Source: Java 17,
//! `java.util.regex.Pattern`.

use std::fmt::Write as _;
use std::iter::Peekable;
use std::str::Chars;

/// What a pattern is written for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Engine {
    /// The crate `regex`: linear time, no looking around and back.
    Linear,
    /// The crate `regress`: as JavaScript has them, with looking around and back.
    Backtracking,
}

/// A pattern in the engine's spelling.
#[derive(Debug, PartialEq)]
pub(super) struct Written {
    pub pattern: String,
    /// Flags that hold for all of it, for [`Engine::Backtracking`]: of `i`, `m`, `s`.
    pub flags: String,
}

/// Ends of lines, which `.` does not take.
const LINE_ENDS: &str = r"\n\r\u{85}\u{2028}\u{2029}";

/// Writes a pattern for an engine; `None` when it ends in the middle of an escape.
pub(super) fn write(pattern: &str, engine: Engine) -> Option<Written> {
    let (pattern, flags) = match engine {
        Engine::Linear => (pattern, String::new()),
        Engine::Backtracking => leading_flags(pattern),
    };
    let dot_takes_all = flags.contains('s') || has_flag(pattern, 's');
    let mut writer = Writer {
        rest: pattern.chars().peekable(),
        out: String::with_capacity(pattern.len() * 2),
        engine,
        dot_takes_all,
        depth: 0,
    };
    writer.all()?;
    Some(Written {
        pattern: writer.out,
        flags,
    })
}

/// Takes flags off the start: `(?is)x`.
fn leading_flags(pattern: &str) -> (&str, String) {
    let flags = pattern
        .strip_prefix("(?")
        .and_then(|rest| rest.split_once(')'))
        .filter(|(flags, _)| !flags.is_empty() && flags.chars().all(|flag| "imsudxU".contains(flag)));
    match flags {
        Some((flags, rest)) => (rest, flags.chars().filter(|flag| "ims".contains(*flag)).collect()),
        None => (pattern, String::new()),
    }
}

/// Says if a group of flags sets one.
fn has_flag(pattern: &str, flag: char) -> bool {
    pattern.split("(?").skip(1).any(|group| {
        let flags: &str = group.split([')', ':', '-']).next().unwrap_or_default();
        flags.contains(flag) && flags.chars().all(|flag| "imsudxU".contains(flag))
    })
}

struct Writer<'a> {
    rest: Peekable<Chars<'a>>,
    out: String,
    engine: Engine,
    dot_takes_all: bool,
    /// Of brackets.
    depth: usize,
}

impl Writer<'_> {
    fn all(&mut self) -> Option<()> {
        while let Some(character) = self.rest.next() {
            match character {
                '\\' => self.escape()?,
                '[' => {
                    self.depth += 1;
                    self.out.push('[');
                    if self.rest.next_if_eq(&'^').is_some() {
                        self.out.push('^');
                    }
                    // A bracket that comes first is one of the characters.
                    if self.rest.next_if_eq(&']').is_some() {
                        self.out.push_str("\\]");
                    }
                }
                ']' if self.depth > 0 => {
                    self.depth -= 1;
                    self.out.push(']');
                }
                ']' => self.out.push_str("\\]"),
                '}' if self.depth > 0 => self.out.push_str("\\}"),
                '{' if self.depth > 0 => self.out.push_str("\\{"),
                '-' | '~' if self.depth > 0 && self.rest.peek() == Some(&character) => {
                    self.literal(character)
                }
                '.' if self.depth == 0 && !self.dot_takes_all => {
                    write!(self.out, "[^{LINE_ENDS}]").ok()?;
                }
                '(' if self.depth == 0 && self.engine == Engine::Linear => self.group(),
                '(' if self.depth == 0 => {
                    self.out.push('(');
                    self.atomic();
                }
                other => self.out.push(other),
            }
        }
        Some(())
    }

    /// Writes the start of a group without the flags that mean another thing in the engine.
    fn group(&mut self) {
        self.out.push('(');
        self.atomic();
        if !self.out.ends_with("(?") {
            return;
        }
        let flags: String =
            std::iter::from_fn(|| self.rest.next_if(|flag| "imsudxU-".contains(*flag))).collect();
        self.out
            .extend(flags.chars().filter(|flag| !"udU".contains(*flag)));
        if self.out.ends_with("(?") && self.rest.next_if_eq(&')').is_some() {
            self.out.truncate(self.out.len() - 2);
        }
    }

    /// `(?>x)` becomes `(?:x)`.
    fn atomic(&mut self) {
        if self.rest.next_if_eq(&'?').is_some() {
            self.out.push('?');
            if self.rest.next_if_eq(&'>').is_some() {
                self.out.push(':');
            }
        }
    }

    fn escape(&mut self) -> Option<()> {
        let character = self.rest.next()?;
        match character {
            'd' => self.class("0-9", false),
            'D' => self.class("0-9", true),
            'w' => self.class("0-9A-Za-z_", false),
            'W' => self.class("0-9A-Za-z_", true),
            's' => self.class(r" \t\n\u{b}\f\r", false),
            'S' => self.class(r" \t\n\u{b}\f\r", true),
            'h' => self.class(
                r" \t\u{a0}\u{1680}\u{180e}\u{2000}-\u{200a}\u{202f}\u{205f}\u{3000}",
                false,
            ),
            'v' => self.class(r"\n\u{b}\f\r\u{85}\u{2028}\u{2029}", false),
            'R' => write!(self.out, r"(?:\r\n|[\u{{b}}\f{LINE_ENDS}])").ok()?,
            'b' | 'B' if self.engine == Engine::Linear => write!(self.out, r"(?-u:\{character})").ok()?,
            'A' if self.engine == Engine::Backtracking => self.out.push('^'),
            'z' | 'Z' if self.engine == Engine::Backtracking => self.out.push('$'),
            'Z' => self.out.push_str(r"\z"),
            'Q' => self.quoted(),
            'E' => {}
            'e' => self.code(0x1b),
            'a' => self.code(0x7),
            'c' => {
                let control = self.rest.next()?;
                self.code(u32::from(control) ^ 0x40);
            }
            'x' => {
                let digits = match self.rest.next_if_eq(&'{') {
                    Some(_) => self.until('}'),
                    None => self.digits(2),
                };
                self.code(u32::from_str_radix(&digits, 16).ok()?);
            }
            'u' => {
                let digits = self.digits(4);
                self.code(u32::from_str_radix(&digits, 16).ok()?);
            }
            '0' => {
                let digits: String = std::iter::from_fn(|| self.rest.next_if(|digit| digit.is_digit(8)))
                    .take(3)
                    .collect();
                self.code(u32::from_str_radix(&digits, 8).ok()?);
            }
            'p' | 'P' => self.property(character == 'P')?,
            't' | 'n' | 'r' | 'f' | 'b' | 'B' | 'A' | 'z' | 'G' | 'k' | '1'..='9' => {
                self.out.extend(['\\', character]);
            }
            other => self.literal(other),
        }
        Some(())
    }

    /// Writes a class of characters, in brackets where there are none around it.
    fn class(&mut self, members: &str, negated: bool) {
        let written = match (self.depth, negated) {
            (0, false) => write!(self.out, "[{members}]"),
            // In brackets of JavaScript there are no others.
            (1.., false) => self.out.write_str(members),
            (_, true) => write!(self.out, "[^{members}]"),
        };
        written.unwrap_or_default();
    }

    fn property(&mut self, negated: bool) -> Option<()> {
        let name = match self.rest.next()? {
            '{' => self.until('}'),
            letter => letter.to_string(),
        };
        let members = match name.as_str() {
            "Lower" => "a-z",
            "Upper" => "A-Z",
            "ASCII" => r"\u{0}-\u{7f}",
            "Alpha" => "a-zA-Z",
            "Digit" => "0-9",
            "Alnum" => "a-zA-Z0-9",
            "Punct" => r"\u{21}-\u{2f}\u{3a}-\u{40}\u{5b}-\u{60}\u{7b}-\u{7e}",
            "Graph" => r"\u{21}-\u{7e}",
            "Print" => r"\u{20}-\u{7e}",
            "Blank" => r" \t",
            "Cntrl" => r"\u{0}-\u{1f}\u{7f}",
            "XDigit" => "0-9a-fA-F",
            "Space" => r" \t\n\u{b}\f\r",
            other => {
                let letter = if negated { 'P' } else { 'p' };
                let name = match other {
                    "javaLowerCase" | "IsLowercase" => "Lowercase",
                    "javaUpperCase" | "IsUppercase" => "Uppercase",
                    other => other.strip_prefix("Is").unwrap_or(other),
                };
                let name = match (self.engine, name.len()) {
                    (Engine::Backtracking, 3..) if !name.contains('=') && !BINARY.contains(&name) => {
                        format!("Script={name}")
                    }
                    _ => name.to_owned(),
                };
                return write!(self.out, r"\{letter}{{{name}}}").ok();
            }
        };
        self.class(members, negated);
        Some(())
    }

    fn quoted(&mut self) {
        while let Some(character) = self.rest.next() {
            if character == '\\' && self.rest.next_if_eq(&'E').is_some() {
                return;
            }
            self.literal(character);
        }
    }

    fn until(&mut self, end: char) -> String {
        self.rest
            .by_ref()
            .take_while(|character| *character != end)
            .collect()
    }

    fn digits(&mut self, count: usize) -> String {
        let digits = std::iter::from_fn(|| self.rest.next_if(char::is_ascii_hexdigit));
        digits.take(count).collect()
    }

    fn code(&mut self, code: u32) {
        write!(self.out, r"\u{{{code:x}}}").unwrap_or_default();
    }

    /// Writes a character that stands for itself.
    fn literal(&mut self, character: char) {
        let syntax = r"\.+*?()|[]{}^$/";
        let in_class = self.depth > 0 && "-&~".contains(character);
        let escaped = match self.engine {
            Engine::Linear => {
                (syntax.contains(character) && character != '/') || in_class || character == '#'
            }
            Engine::Backtracking => syntax.contains(character) || (in_class && character == '-'),
        };
        if escaped {
            self.out.push('\\');
        }
        self.out.push(character);
    }
}

/// Properties of JavaScript that have no value.
const BINARY: [&str; 5] = [
    "Alphabetic",
    "Lowercase",
    "Uppercase",
    "White_Space",
    "Ideographic",
];

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case(r"\d+", "[0-9]+")]
    #[test_case(r"[\w-]", "[0-9A-Za-z_-]")]
    #[test_case(r"[^\D]", "[^[^0-9]]")]
    #[test_case(r"\Qa.b\E+", r"a\.b+")]
    #[test_case(r"(?u)a", "a")]
    #[test_case(r"(?>a)", "(?:a)")]
    #[test_case(r"\u0041\x42\0103", r"\u{41}\u{42}\u{43}")]
    #[test_case(r"\p{Alpha}\P{L}", r"[a-zA-Z]\P{L}")]
    #[test_case(r"\<\-\/", "<-/")]
    #[test_case("(?s).", "(?s).")]
    #[test_case("[]a]", r"[\]a]")]
    fn patterns_of_java_are_written_for_the_linear_engine(pattern: &str, expected: &str) {
        assert_eq!(
            write(pattern, Engine::Linear).expect("a pattern").pattern,
            expected
        );
    }

    #[test]
    fn flags_at_the_start_hold_for_all() {
        let written = write(r"(?i)(?<=a)\-b", Engine::Backtracking).expect("a pattern");
        assert_eq!(
            (written.pattern.as_str(), written.flags.as_str()),
            ("(?<=a)-b", "i")
        );
        assert_eq!(write("\\", Engine::Linear), None);
    }
}
