//! What a KLL sketch says of itself, in words. Source: DataSketches, `KllHelper.toStringImpl`.

use std::fmt::Display;

use datasketches::kll::KllSketch;

use super::kll::numbers::Numbers;

/// The smallest size of a level.
const M: usize = 8;
/// Bytes before the levels, and of a place in the items.
const DATA_START: usize = 20;
const PLACE: usize = 4;

/// What the crate does not say, and the binary does.
struct Levels {
    count: usize,
    sorted: bool,
    free: usize,
}

impl Levels {
    fn of(bytes: &[u8], k: usize, retained: usize) -> Self {
        let byte = |place: usize| bytes.get(place).copied().map_or(0, usize::from);
        // Sketches of at most one item have no levels written.
        let written = byte(0) == 5;
        let free = (DATA_START..DATA_START + PLACE)
            .rev()
            .fold(0, |free, place| free << 8 | byte(place));
        Self {
            count: if written { byte(18) } else { 1 },
            sorted: byte(3) & 2 != 0,
            free: if written { free } else { k.saturating_sub(retained) },
        }
    }
}

/// Returns lines with a name and a value each.
pub(super) fn text<N: Numbers>(sketch: &KllSketch<N::Item>) -> String {
    let bytes = sketch.serialize();
    let (k, retained) = (usize::from(sketch.k()), sketch.num_retained());
    let levels = Levels::of(&bytes, k, retained);
    let capacity = levels.free + retained;
    let item = size_of::<N::Item>();
    let updatable = DATA_START + (levels.count + 1) * PLACE + (capacity + 2) * item;
    let number = |item: Option<&N::Item>| item.map_or("NaN".to_owned(), |item| N::text(item));
    let percent = |share: f64| format!("{:.3}%", share * 100.0);
    let lines: [(&str, &dyn Display); 18] = [
        ("K", &k),
        ("Dynamic min K", &sketch.min_k()),
        ("M", &M),
        ("N", &sketch.n()),
        ("Epsilon", &percent(sketch.normalized_rank_error())),
        ("Epsilon PMF", &percent(sketch.normalized_pmf_error())),
        ("Empty", &sketch.is_empty()),
        ("Estimation Mode", &sketch.is_estimation_mode()),
        ("Levels", &levels.count),
        ("Level 0 Sorted", &levels.sorted),
        ("Capacity Items", &capacity),
        ("Retained Items", &retained),
        ("Free Space", &levels.free),
        ("ReadOnly", &false),
        ("Updatable Storage Bytes", &updatable),
        ("Compact Storage Bytes", &bytes.len()),
        ("Min Item", &number(sketch.min_item())),
        ("Max Item", &number(sketch.max_item())),
    ];
    let mut text = format!("\n### Kll{} Summary:\n", N::NAMES.class);
    for (name, value) in lines {
        text.push_str(&format!("   {name:<23}: {value}\n"));
    }
    text.push_str("### End sketch summary\n");
    text
}
