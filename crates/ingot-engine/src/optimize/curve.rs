//! Space-filling curves: points of several dimensions in one order that keeps neighbours together.
//!
//! Morton's curve (z-order) interleaves the bits of the coordinates. Hilbert's, in addition, turns and mirrors each
//! quarter so that the next begins where the last one ended: a file, which is a piece of the curve, then spans fewer
//! values of each column. Source: J. Skilling, "Programming the Hilbert curve", AIP Conference Proceedings 707 (2004).

/// Bits of a coordinate: about a thousand ranges of values for each column, as Spark has.
const COORDINATE_BITS: u32 = 10;

/// Bits of the coordinate of a lone column, which needs no room for others.
const LONE_COORDINATE_BITS: u32 = 16;

/// The shape of a curve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Morton,
    Hilbert,
}

/// A curve through a space of some dimensions.
#[derive(Debug, Clone)]
pub(crate) struct Curve {
    shape: Shape,
    dimensions: usize,
    bits: u32,
    /// The bits of each coordinate, as far apart as there are dimensions.
    spread: Vec<u64>,
}

impl Curve {
    /// Makes a curve; `None` for no dimensions, or more than there are bits in a key.
    pub fn new(shape: Shape, dimensions: usize) -> Option<Self> {
        let bits = match u32::try_from(dimensions).ok()? {
            0 => return None,
            1 => LONE_COORDINATE_BITS,
            many => COORDINATE_BITS.min(u64::BITS / many),
        };
        if bits == 0 {
            return None;
        }
        let spread = (0..1_u64 << bits).map(|coordinate| {
            let set = (0..bits).filter(|bit| coordinate >> bit & 1 == 1);
            set.map(|bit| 1_u64 << (bit as usize * dimensions)).sum()
        });
        Some(Self {
            shape,
            dimensions,
            bits,
            spread: spread.collect(),
        })
    }

    /// Returns how many values a coordinate has.
    pub fn side(&self) -> usize {
        1 << self.bits
    }

    /// Returns the place of a point on the curve. `point` has one coordinate below [`Curve::side`] for each dimension,
    /// and is used up.
    pub fn place(&self, point: &mut [u32]) -> u64 {
        debug_assert_eq!(point.len(), self.dimensions);
        if self.shape == Shape::Hilbert && point.len() > 1 {
            transpose(point, self.bits);
        }
        point.iter().fold(0, |place, coordinate| {
            let spread = self.spread.get(*coordinate as usize);
            place << 1 | spread.copied().unwrap_or_default()
        })
    }
}

/// Turns coordinates into the bits of Hilbert's index, dealt out to the dimensions in turn.
fn transpose(point: &mut [u32], bits: u32) {
    let last = point.len() - 1;
    // From the largest cube to the smallest: undo how the curve was mirrored and turned in it.
    for bit in (1..bits).rev() {
        let (half, below) = (1_u32 << bit, (1_u32 << bit) - 1);
        for dimension in 0..point.len() {
            if point[dimension] & half != 0 {
                point[0] ^= below;
            } else {
                let exchanged = (point[0] ^ point[dimension]) & below;
                point[0] ^= exchanged;
                point[dimension] ^= exchanged;
            }
        }
    }
    // The corners of a cube are passed in the order of Gray's code.
    for dimension in 1..point.len() {
        point[dimension] ^= point[dimension - 1];
    }
    let mut mirrored = 0;
    for bit in (1..bits).rev() {
        if point[last] & 1 << bit != 0 {
            mirrored ^= (1 << bit) - 1;
        }
    }
    for coordinate in point {
        *coordinate ^= mirrored;
    }
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    /// A curve with so few bits that all of it can be walked.
    fn small(shape: Shape, dimensions: usize, bits: u32) -> Curve {
        let mut curve = Curve::new(shape, dimensions).expect("curve");
        curve.bits = bits;
        curve
    }

    /// Returns the points of a curve in its order.
    fn walk(curve: &Curve) -> Vec<Vec<u32>> {
        let side = 1_usize << curve.bits;
        let count = side.pow(curve.dimensions as u32);
        let mut points = vec![Vec::new(); count];
        for number in 0..count {
            let mut rest = number;
            let point: Vec<u32> = (0..curve.dimensions)
                .map(|_| {
                    let coordinate = rest % side;
                    rest /= side;
                    coordinate as u32
                })
                .collect();
            let place = curve.place(&mut point.clone()) as usize;
            assert!(points[place].is_empty(), "two points have place {place}");
            points[place] = point;
        }
        points
    }

    #[test_case(1, 6)]
    #[test_case(2, 5)]
    #[test_case(3, 4)]
    #[test_case(4, 3)]
    #[test_case(5, 2)]
    fn hilberts_curve_passes_every_point_and_never_jumps(dimensions: usize, bits: u32) {
        let points = walk(&small(Shape::Hilbert, dimensions, bits));
        assert!(points.iter().all(|point| point.len() == dimensions));
        for pair in points.windows(2) {
            let steps: u32 = pair[0].iter().zip(&pair[1]).map(|(a, b)| a.abs_diff(*b)).sum();
            assert_eq!(steps, 1, "from {:?} to {:?}", pair[0], pair[1]);
        }
    }

    #[test_case(2, 5)]
    #[test_case(3, 4)]
    fn mortons_curve_passes_every_point(dimensions: usize, bits: u32) {
        let points = walk(&small(Shape::Morton, dimensions, bits));
        assert!(points.iter().all(|point| point.len() == dimensions));
    }

    #[test]
    fn bits_are_interleaved_first_column_first() {
        let curve = Curve::new(Shape::Morton, 2).expect("curve");
        assert_eq!(curve.place(&mut [0b11, 0b00]), 0b1010);
        assert_eq!(curve.place(&mut [0b01, 0b10]), 0b0110);
        assert_eq!(curve.place(&mut [1023, 1023]), (1 << 20) - 1);
    }

    #[test]
    fn as_many_columns_as_a_key_has_bits() {
        assert_eq!(Curve::new(Shape::Morton, 6).map(|curve| curve.side()), Some(1024));
        assert_eq!(Curve::new(Shape::Morton, 64).map(|curve| curve.side()), Some(2));
        assert!(Curve::new(Shape::Morton, 65).is_none());
        assert!(Curve::new(Shape::Morton, 0).is_none());
    }

    /// Pieces of a curve as long as a file span what share of a column, on average.
    fn span(shape: Shape) -> f64 {
        const PIECES: usize = 21;
        let points = walk(&small(shape, 2, 6));
        let pieces = points.chunks(points.len().div_ceil(PIECES));
        let spans = pieces.map(|piece| {
            let spans = (0..2).map(|dimension| {
                let values = piece.iter().map(|point| point[dimension]);
                let (min, max) = (values.clone().min().unwrap_or(0), values.max().unwrap_or(0));
                f64::from(max - min + 1) / 64.0
            });
            spans.fold(1.0, |area, span| area * span)
        });
        spans.sum()
    }

    #[test]
    fn pieces_of_hilberts_curve_overlap_less_than_mortons() {
        // 1 would be a perfect tiling.
        assert!(span(Shape::Hilbert) < 1.6, "{}", span(Shape::Hilbert));
        assert!(span(Shape::Hilbert) < span(Shape::Morton));
    }
}
