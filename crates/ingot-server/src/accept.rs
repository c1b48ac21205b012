//! Which format an answer has: content negotiation over all `Accept` headers of a request.
//!
//! Source: RFC 9110, 12.5.1: the most specific range that matches a type gives its quality; 0 means "not this".

use axum::http::HeaderMap;
use axum::http::header::ACCEPT;

use crate::encode::Format;

/// How well a type is liked: quality in thousandths, then how narrow the range was, then how early it stood.
type Liking = (u16, u8, std::cmp::Reverse<usize>);

/// Chooses the format that the client likes best; of several, the one it named most narrowly, then first.
/// JSON when it says nothing. Returns `None` when it takes nothing that we have.
pub fn format(headers: &HeaderMap) -> Option<Format> {
    let values = || headers.get_all(ACCEPT).iter();
    if values().all(|value| value.as_bytes().trim_ascii().is_empty()) {
        return Some(Format::Json);
    }
    // What is not text cannot name a type.
    let ranges: Vec<_> = values()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(Range::parse)
        .collect();
    let liked = Format::ALL
        .into_iter()
        .rev()
        .filter_map(|format| Some((liking(&ranges, format.media_type())?, format)));
    // Of equals the last wins, which is the first of ours.
    liked.max_by_key(|(liking, _)| *liking).map(|(_, format)| format)
}

/// Returns how well `media_type` is liked, or `None` when it is not taken.
fn liking(ranges: &[Range], media_type: &str) -> Option<Liking> {
    let matching = ranges.iter().enumerate().filter_map(|(place, range)| {
        let specificity = range.specificity(media_type)?;
        Some((specificity, std::cmp::Reverse(place), range.quality))
    });
    let (specificity, place, quality) = matching.max()?;
    (quality > 0).then_some((quality, specificity, place))
}

/// One media range of a header.
#[derive(Debug, PartialEq, Eq)]
struct Range {
    /// In lower case, without parameters.
    media_type: String,
    /// Thousandths.
    quality: u16,
}

impl Range {
    /// Reads `type/subtype;parameter=value;q=0.5`. Parameters other than the quality are not weighed. A range
    /// whose quality is no number from 0 to 1 is left out.
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let media_type = parts
            .next()
            .filter(|text| text.contains('/'))?
            .to_ascii_lowercase();
        let weight = parts.find_map(|part| {
            let (name, value) = part.split_once('=')?;
            name.trim().eq_ignore_ascii_case("q").then(|| value.trim())
        });
        let quality = match weight {
            None => 1000,
            Some(text) => quality(text)?,
        };
        Some(Self { media_type, quality })
    }

    /// Returns how narrowly the range names `media_type`: 3 exactly, 2 by its type, 1 by anything.
    fn specificity(&self, media_type: &str) -> Option<u8> {
        if self.media_type == media_type {
            return Some(3);
        }
        let (range_type, range_subtype) = self.media_type.split_once('/')?;
        let (own_type, _) = media_type.split_once('/')?;
        match (range_type, range_subtype) {
            ("*", "*") => Some(1),
            (range_type, "*") if range_type == own_type => Some(2),
            _ => None,
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked to lie between 0 and 1"
)]
fn quality(text: &str) -> Option<u16> {
    let quality: f32 = text.parse().ok()?;
    (0.0..=1.0)
        .contains(&quality)
        .then(|| (quality * 1000.0).round() as u16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;
    use test_case::test_case;

    const ARROW: &str = "application/vnd.apache.arrow.stream";

    #[test_case(&[], Some(Format::Json); "nothing")]
    #[test_case(&[""], Some(Format::Json); "an empty header")]
    #[test_case(&["*/*"], Some(Format::Json); "anything")]
    #[test_case(&["text/csv"], Some(Format::Csv); "csv")]
    #[test_case(&["text/*"], Some(Format::Csv); "any text")]
    #[test_case(&["TEXT/CSV; charset=utf-8"], Some(Format::Csv); "upper case and a parameter")]
    #[test_case(&["text/csv, application/json"], Some(Format::Csv); "the first of equals")]
    #[test_case(&["*/*, text/csv"], Some(Format::Csv); "the narrowest of equals")]
    #[test_case(&["application/json;q=0.1, text/csv;q=0.9"], Some(Format::Csv); "the higher quality")]
    #[test_case(&["text/csv;q=0.5", ARROW], Some(Format::Arrow); "a second header")]
    #[test_case(&["application/*;q=0.9, application/json;q=0.1"], Some(Format::Arrow); "the narrower range decides")]
    #[test_case(&["application/json;q=0, */*;q=0.1"], Some(Format::Csv); "not json")]
    #[test_case(&["text/html, application/vnd.apache.arrow.stream;q=0.9"], Some(Format::Arrow); "what we lack is passed over")]
    #[test_case(&["text/html"], None; "what we lack")]
    #[test_case(&["text/csv;q=0"], None; "nothing is liked")]
    #[test_case(&["text/csv;q=much"], None; "no quality")]
    fn the_best_liked_format_is_chosen(accept: &[&str], expected: Option<Format>) {
        let values = accept
            .iter()
            .map(|value| (ACCEPT, HeaderValue::from_str(value).expect("header")));
        let mut headers = HeaderMap::new();
        for (name, value) in values {
            headers.append(name, value);
        }
        assert_eq!(format(&headers), expected);
    }
}
