//! JSON read as Jackson reads it for Spark: names and texts may stand in single quotes, `NaN` and `Infinity` are
//! numbers, and what follows the first value is not looked at.
//!
//! Numbers stay as they are written, so that nobody loses digits; arrays and objects remember how they are written.

use std::borrow::Cow;

use crate::functions::record::Value;
use crate::functions::record::options::Options;

/// Values nested in values, at most. Source: Jackson, `StreamReadConstraints`.
const DEPTH_MAX: usize = 1000;

/// A text that is no JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

/// What is taken beyond JSON.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Leniency {
    single_quotes: bool,
    unquoted_names: bool,
    non_numeric_numbers: bool,
    control_characters: bool,
}

impl Default for Leniency {
    fn default() -> Self {
        Self {
            single_quotes: true,
            unquoted_names: false,
            non_numeric_numbers: true,
            control_characters: false,
        }
    }
}

impl Leniency {
    pub fn of(options: &Options) -> Self {
        let default = Self::default();
        Self {
            single_quotes: options.flag("allowsinglequotes", default.single_quotes),
            unquoted_names: options.flag("allowunquotedfieldnames", default.unquoted_names),
            non_numeric_numbers: options.flag("allownonnumericnumbers", default.non_numeric_numbers),
            control_characters: options.flag("allowunquotedcontrolchars", default.control_characters),
        }
    }

    /// JSON and nothing else.
    pub fn none() -> Self {
        Self {
            single_quotes: false,
            unquoted_names: false,
            non_numeric_numbers: false,
            control_characters: false,
        }
    }
}

/// Reads the first value of a text; `None` when there is nothing in it.
///
/// # Errors
/// [`Malformed`].
pub(crate) fn read(text: &str, leniency: Leniency) -> Result<Option<Value<'_>>, Malformed> {
    let mut reader = Reader {
        text,
        at: 0,
        leniency,
    };
    reader.skip_space();
    match reader.peek() {
        None => Ok(None),
        Some(_) => reader.value(0).map(Some),
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    leniency: Leniency,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn eat(&mut self, wanted: u8) -> bool {
        let found = self.peek() == Some(wanted);
        self.at += usize::from(found);
        found
    }

    fn value(&mut self, depth: usize) -> Result<Value<'a>, Malformed> {
        if depth > DEPTH_MAX {
            return Err(Malformed);
        }
        let start = self.at;
        match self.peek().ok_or(Malformed)? {
            b'{' => {
                let fields = self.object(depth)?;
                Ok(Value::Object(fields, Cow::Borrowed(&self.text[start..self.at])))
            }
            b'[' => {
                let items = self.array(depth)?;
                Ok(Value::Array(items, Cow::Borrowed(&self.text[start..self.at])))
            }
            b'"' => self.quoted(b'"').map(Value::Text),
            b'\'' if self.leniency.single_quotes => self.quoted(b'\'').map(Value::Text),
            _ => self.word(),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Vec<(Cow<'a, str>, Value<'a>)>, Malformed> {
        let mut fields = Vec::new();
        self.at += 1;
        self.skip_space();
        if self.eat(b'}') {
            return Ok(fields);
        }
        loop {
            self.skip_space();
            let name = self.name()?;
            self.skip_space();
            if !self.eat(b':') {
                return Err(Malformed);
            }
            self.skip_space();
            fields.push((name, self.value(depth + 1)?));
            self.skip_space();
            if self.eat(b'}') {
                return Ok(fields);
            }
            if !self.eat(b',') {
                return Err(Malformed);
            }
        }
    }

    fn name(&mut self) -> Result<Cow<'a, str>, Malformed> {
        match self.peek() {
            Some(b'"') => self.quoted(b'"'),
            Some(b'\'') if self.leniency.single_quotes => self.quoted(b'\''),
            _ if self.leniency.unquoted_names => match self.plain() {
                "" => Err(Malformed),
                name => Ok(Cow::Borrowed(name)),
            },
            _ => Err(Malformed),
        }
    }

    fn array(&mut self, depth: usize) -> Result<Vec<Value<'a>>, Malformed> {
        let mut items = Vec::new();
        self.at += 1;
        self.skip_space();
        if self.eat(b']') {
            return Ok(items);
        }
        loop {
            self.skip_space();
            items.push(self.value(depth + 1)?);
            self.skip_space();
            if self.eat(b']') {
                return Ok(items);
            }
            if !self.eat(b',') {
                return Err(Malformed);
            }
        }
    }

    fn quoted(&mut self, quote: u8) -> Result<Cow<'a, str>, Malformed> {
        self.at += 1;
        let start = self.at;
        loop {
            match self.peek().ok_or(Malformed)? {
                byte if byte == quote => {
                    let text = &self.text[start..self.at];
                    self.at += 1;
                    return Ok(Cow::Borrowed(text));
                }
                b'\\' => break,
                byte if byte < 0x20 && !self.leniency.control_characters => return Err(Malformed),
                _ => self.at += 1,
            }
        }
        let mut text = self.text[start..self.at].to_owned();
        loop {
            let from = self.at;
            match self.peek().ok_or(Malformed)? {
                byte if byte == quote => {
                    self.at += 1;
                    return Ok(Cow::Owned(text));
                }
                b'\\' => {
                    self.at += 1;
                    text.push(self.escape()?);
                }
                byte if byte < 0x20 && !self.leniency.control_characters => return Err(Malformed),
                _ => {
                    while self
                        .peek()
                        .is_some_and(|byte| byte != quote && byte != b'\\' && byte >= 0x20)
                    {
                        self.at += 1;
                    }
                    // A control character that is taken.
                    self.at += usize::from(self.at == from);
                    text.push_str(&self.text[from..self.at]);
                }
            }
        }
    }

    fn escape(&mut self) -> Result<char, Malformed> {
        let escaped = self.peek().ok_or(Malformed)?;
        self.at += 1;
        Ok(match escaped {
            b'"' => '"',
            b'\'' if self.leniency.single_quotes => '\'',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let high = self.hex()?;
                match high {
                    0xd800..=0xdbff => {
                        if !(self.eat(b'\\') && self.eat(b'u')) {
                            return Ok(char::REPLACEMENT_CHARACTER);
                        }
                        let low = self.hex()?;
                        let code = 0x10000 + ((high - 0xd800) << 10) + low.wrapping_sub(0xdc00) % 0x400;
                        char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
                    }
                    code => char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER),
                }
            }
            _ => return Err(Malformed),
        })
    }

    fn hex(&mut self) -> Result<u32, Malformed> {
        let digits = self.text.get(self.at..self.at + 4).ok_or(Malformed)?;
        self.at += 4;
        u32::from_str_radix(digits, 16).map_err(|_| Malformed)
    }

    /// Takes letters, digits and signs.
    fn plain(&mut self) -> &'a str {
        let start = self.at;
        while self.peek().is_some_and(|byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.' | b'_' | b'$')
        }) {
            self.at += 1;
        }
        &self.text[start..self.at]
    }

    fn word(&mut self) -> Result<Value<'a>, Malformed> {
        match self.plain() {
            "null" => Ok(Value::Null),
            "true" => Ok(Value::Boolean(true)),
            "false" => Ok(Value::Boolean(false)),
            word if is_number(word) => Ok(Value::Number(Cow::Borrowed(word))),
            word @ ("NaN" | "Infinity" | "+Infinity" | "-Infinity" | "INF" | "+INF" | "-INF")
                if self.leniency.non_numeric_numbers =>
            {
                Ok(Value::Number(Cow::Borrowed(word)))
            }
            _ => Err(Malformed),
        }
    }
}

/// Says if a word is a number of JSON: no zeros before it, digits around the point.
fn is_number(word: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let unsigned = word.strip_prefix('-').unwrap_or(word);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    digits(whole)
        && (whole.len() == 1 || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(|exponent| digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent)))
}

/// Writes a text with its quotes.
pub(crate) fn write_text(text: &str, into: &mut String) {
    into.push('"');
    let mut plain = 0;
    for (at, byte) in text.bytes().enumerate() {
        let escaped = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0x8 => "\\b",
            0xc => "\\f",
            byte if byte < 0x20 => {
                into.push_str(&text[plain..at]);
                into.push_str(&format!("\\u{byte:04X}"));
                plain = at + 1;
                continue;
            }
            _ => continue,
        };
        into.push_str(&text[plain..at]);
        into.push_str(escaped);
        plain = at + 1;
    }
    into.push_str(&text[plain..]);
    into.push('"');
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case("{}", true)]
    #[test_case(" [1, -0.5e+3, 'a', \"\\u00e9\\ud83d\\ude00\", NaN, true, null] rest", true)]
    #[test_case("{\"a\": [}", false)]
    #[test_case("{\"a\"}", false)]
    #[test_case("[1,]", false)]
    #[test_case("01", false)]
    #[test_case("{a: 1}", false)]
    #[test_case("\"a", false)]
    #[test_case("bad", false)]
    fn json_is_told_from_what_is_none(text: &str, expected: bool) {
        assert_eq!(read(text, Leniency::default()).is_ok(), expected);
    }

    #[test]
    fn a_hostile_depth_is_refused() {
        assert_eq!(read(&"[".repeat(100_000), Leniency::default()), Err(Malformed));
    }

    #[test]
    fn texts_are_read_as_they_are_written() {
        let text = "a\"\\\n\u{1}é😀";
        let mut written = String::new();
        write_text(text, &mut written);
        assert_eq!(
            read(&written, Leniency::none()),
            Ok(Some(Value::Text(text.into())))
        );
    }
}
