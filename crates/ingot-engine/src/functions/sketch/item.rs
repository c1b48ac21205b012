//! Values of a column as sketches of frequent items know them: equal as in Java, with Java's hash codes, and written
//! as Spark writes them. Source: Spark, `ApproxTopK.genSketchSerDe`, `ArrayOfDecimalsSerDe`; DataSketches,
//! `ArrayOfNumbersSerDe`, `ArrayOfBooleansSerDe`, `ArrayOfStringsSerDe`.

use arrow::array::{Array, ArrayRef, AsArray, new_empty_array};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, TimeUnit, TimestampMicrosecondType,
};
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};

/// What is in front of a number of each width. Source: DataSketches, `ArrayOfNumbersSerDe`.
const BYTE: u8 = 2;
const SHORT: u8 = 3;
const INT: u8 = 9;
const FLOAT: u8 = 6;

/// A value that is not null.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Item {
    Boolean(bool),
    Byte(i8),
    Short(i16),
    Int(i32),
    Long(i64),
    /// The bits, with one form of what is no number.
    Float(u32),
    /// The bits, with one form of what is no number.
    Double(u64),
    Text(String),
    Decimal {
        unscaled: i128,
        scale: i8,
    },
}

/// How the values of a type are kept.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Kind {
    Boolean,
    Byte,
    Short,
    Int,
    Long,
    Float,
    Double,
    Text,
    Decimal { precision: u8, scale: i8 },
}

impl Kind {
    /// Returns how values of a type are kept; none for a type that has no frequent items.
    pub fn of(data_type: &DataType) -> Option<Self> {
        Some(match data_type {
            DataType::Boolean => Self::Boolean,
            DataType::Int8 => Self::Byte,
            DataType::Int16 => Self::Short,
            DataType::Int32 | DataType::Date32 => Self::Int,
            DataType::Int64 | DataType::Timestamp(TimeUnit::Microsecond, _) => Self::Long,
            DataType::Float32 => Self::Float,
            DataType::Float64 => Self::Double,
            DataType::Utf8 => Self::Text,
            DataType::Decimal128(precision, scale) => Self::Decimal {
                precision: *precision,
                scale: *scale,
            },
            _ => return None,
        })
    }

    /// Writes items, which are of this kind.
    pub fn write(self, items: &[&Item], bytes: &mut Vec<u8>) {
        if self == Self::Boolean {
            let truths: Vec<bool> = items
                .iter()
                .map(|item| matches!(item, Item::Boolean(true)))
                .collect();
            bytes.extend(truths.chunks(8).map(|eight| {
                let bits = eight.iter().enumerate();
                bits.fold(0_u8, |byte, (bit, truth)| byte | (u8::from(*truth) << bit))
            }));
            return;
        }
        items.iter().for_each(|item| self.write_one(item, bytes));
    }

    fn write_one(self, item: &Item, bytes: &mut Vec<u8>) {
        let mut number = |indicator: u8, value: &[u8]| {
            bytes.push(indicator);
            bytes.extend(value);
        };
        match (item, self) {
            (Item::Boolean(value), _) => bytes.push(u8::from(*value)),
            (Item::Byte(value), _) => number(BYTE, &value.to_le_bytes()),
            (Item::Short(value), _) => number(SHORT, &value.to_le_bytes()),
            (Item::Int(value), _) => number(INT, &value.to_le_bytes()),
            (Item::Float(bits), _) => number(FLOAT, &bits.to_le_bytes()),
            (Item::Long(value), _) => bytes.extend(value.to_le_bytes()),
            (Item::Double(bits), _) => bytes.extend(bits.to_le_bytes()),
            (Item::Text(text), _) => {
                bytes.extend(u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
                bytes.extend(text.as_bytes());
            }
            // A decimal of up to nine digits is within an INT, one of up to eighteen within a BIGINT.
            (Item::Decimal { unscaled, .. }, Self::Decimal { precision: ..=9, .. }) => {
                number(INT, unscaled.to_le_bytes().get(..4).unwrap_or_default())
            }
            (Item::Decimal { unscaled, .. }, Self::Decimal { precision: ..=18, .. }) => {
                bytes.extend(unscaled.to_le_bytes().iter().take(8))
            }
            (Item::Decimal { unscaled, .. }, _) => {
                let digits = shortest(*unscaled);
                bytes.extend(u32::try_from(digits.len()).unwrap_or(u32::MAX).to_le_bytes());
                bytes.extend(digits);
            }
        }
    }

    /// Reads items; none if there are not so many, or of another kind.
    pub fn read(self, mut bytes: &[u8], count: usize) -> Option<Vec<Item>> {
        if self == Self::Boolean {
            let bits = (0..count).map(|place| Some(bytes.get(place / 8)? & (1 << (place % 8)) != 0));
            return bits.map(|bit| bit.map(Item::Boolean)).collect();
        }
        (0..count).map(|_| self.read_one(&mut bytes)).collect()
    }

    fn read_one(self, bytes: &mut &[u8]) -> Option<Item> {
        let indicator = match self {
            Self::Byte => Some(BYTE),
            Self::Short => Some(SHORT),
            Self::Int | Self::Decimal { precision: ..=9, .. } => Some(INT),
            Self::Float => Some(FLOAT),
            _ => None,
        };
        if let Some(indicator) = indicator {
            let [found] = take(bytes)?;
            (found == indicator).then_some(())?;
        }
        Some(match self {
            Self::Boolean => Item::Boolean(take::<1>(bytes)? != [0]),
            Self::Byte => Item::Byte(i8::from_le_bytes(take(bytes)?)),
            Self::Short => Item::Short(i16::from_le_bytes(take(bytes)?)),
            Self::Int => Item::Int(i32::from_le_bytes(take(bytes)?)),
            Self::Long => Item::Long(i64::from_le_bytes(take(bytes)?)),
            Self::Float => float(f32::from_le_bytes(take(bytes)?)),
            Self::Double => double(f64::from_le_bytes(take(bytes)?)),
            Self::Text => Item::Text(String::from_utf8(counted(bytes)?.to_vec()).ok()?),
            Self::Decimal { precision, scale } => {
                let unscaled = match precision {
                    0..=9 => i128::from(i32::from_le_bytes(take(bytes)?)),
                    10..=18 => i128::from(i64::from_le_bytes(take(bytes)?)),
                    _ => longer(counted(bytes)?)?,
                };
                let most = 10_u128.checked_pow(u32::from(precision))?;
                (unscaled.unsigned_abs() < most).then_some(Item::Decimal { unscaled, scale })?
            }
        })
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*taken)
}

/// Takes as many bytes as the number in front of them says.
fn counted<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let count = usize::try_from(u32::from_le_bytes(take(bytes)?)).ok()?;
    let (taken, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(taken)
}

/// Returns the shortest two's complement, largest byte first. Source: Java, `BigInteger.toByteArray`.
fn shortest(value: i128) -> Vec<u8> {
    let sign = if value < 0 { 0xff } else { 0 };
    let bytes = value.to_be_bytes();
    let spare = bytes
        .windows(2)
        .take_while(|pair| matches!(pair, [first, second] if *first == sign && (second ^ sign) < 0x80));
    bytes.iter().skip(spare.count()).copied().collect()
}

/// Returns the number that [`shortest`] wrote.
fn longer(bytes: &[u8]) -> Option<i128> {
    let sign = if bytes.first()? & 0x80 == 0 { 0 } else { 0xff };
    let spare = 16_usize.checked_sub(bytes.len())?;
    let whole: Vec<u8> = std::iter::repeat_n(sign, spare)
        .chain(bytes.iter().copied())
        .collect();
    Some(i128::from_be_bytes(whole.try_into().ok()?))
}

fn float(value: f32) -> Item {
    let value = if value.is_nan() { f32::NAN } else { value };
    Item::Float(value.to_bits())
}

fn double(value: f64) -> Item {
    let value = if value.is_nan() { f64::NAN } else { value };
    Item::Double(value.to_bits())
}

impl Item {
    /// Returns the hash code of the Java or Scala object. Which item comes first of those that are as frequent follows
    /// from it.
    pub fn hash_code(&self) -> i32 {
        match self {
            Self::Boolean(true) => 1231,
            Self::Boolean(false) => 1237,
            Self::Byte(value) => i32::from(*value),
            Self::Short(value) => i32::from(*value),
            Self::Int(value) => *value,
            Self::Long(value) => folded(value.cast_unsigned()),
            Self::Float(bits) => bits.cast_signed(),
            Self::Double(bits) => folded(*bits),
            Self::Text(text) => text.encode_utf16().fold(0_i32, |code, unit| {
                code.wrapping_mul(31).wrapping_add(i32::from(unit))
            }),
            Self::Decimal { unscaled, scale } => decimal_hash(*unscaled, *scale),
        }
    }

    fn value(&self, data_type: &DataType) -> Result<ScalarValue> {
        Ok(match (self, data_type) {
            (Self::Boolean(value), _) => ScalarValue::Boolean(Some(*value)),
            (Self::Byte(value), _) => ScalarValue::Int8(Some(*value)),
            (Self::Short(value), _) => ScalarValue::Int16(Some(*value)),
            (Self::Int(value), DataType::Date32) => ScalarValue::Date32(Some(*value)),
            (Self::Int(value), _) => ScalarValue::Int32(Some(*value)),
            (Self::Long(value), DataType::Timestamp(_, zone)) => {
                ScalarValue::TimestampMicrosecond(Some(*value), zone.clone())
            }
            (Self::Long(value), _) => ScalarValue::Int64(Some(*value)),
            (Self::Float(bits), _) => ScalarValue::Float32(Some(f32::from_bits(*bits))),
            (Self::Double(bits), _) => ScalarValue::Float64(Some(f64::from_bits(*bits))),
            (Self::Text(text), _) => ScalarValue::Utf8(Some(text.clone())),
            (Self::Decimal { unscaled, .. }, DataType::Decimal128(precision, scale)) => {
                ScalarValue::Decimal128(Some(*unscaled), *precision, *scale)
            }
            (Self::Decimal { .. }, other) => {
                return Err(DataFusionError::Internal(format!("a decimal is no {other}")));
            }
        })
    }
}

/// Returns a hash code of 64 bits. Source: Java, `Long.hashCode`.
fn folded(bits: u64) -> i32 {
    let [low, high] = [bits & u64::from(u32::MAX), bits >> 32];
    u32::try_from(low ^ high).unwrap_or_default().cast_signed()
}

/// Returns the hash code of a decimal. Source: Scala, `BigDecimal.computeHashCode`, `BigInt.hashCode`.
fn decimal_hash(unscaled: i128, scale: i8) -> i32 {
    let (mut digits, mut places) = (unscaled, scale);
    while places > 0 && digits % 10 == 0 {
        (digits, places) = (digits / 10, places - 1);
    }
    if places <= 0 {
        return whole_hash(digits);
    }
    let text = format!("{digits}e-{places}");
    match text.parse::<f64>() {
        // Up to fifteen digits are a double's own.
        Ok(value) if digits.unsigned_abs() < 10_u128.pow(15) => double_hash(value),
        _ => mixed(whole_hash(digits), i32::from(places)),
    }
}

fn whole_hash(value: i128) -> i32 {
    if let Ok(value) = i32::try_from(value) {
        return value;
    }
    if let Ok(value) = i64::try_from(value) {
        return folded(value.cast_unsigned());
    }
    let words = value.unsigned_abs().to_be_bytes();
    let code = words.as_chunks::<4>().0.iter().fold(0_i32, |code, word| {
        code.wrapping_mul(31).wrapping_add(i32::from_be_bytes(*word))
    });
    if value < 0 { code.wrapping_neg() } else { code }
}

/// Returns the hash code of a number that is not whole. Source: Scala, `Statics.doubleHash`.
fn double_hash(value: f64) -> i32 {
    let narrow = value as f32;
    match f64::from(narrow) == value {
        true => narrow.to_bits().cast_signed(),
        false => folded(value.to_bits()),
    }
}

/// Source: Scala, `MurmurHash3.mixLast`.
fn mixed(hash: i32, data: i32) -> i32 {
    let data = data.cast_unsigned().wrapping_mul(0xcc9e_2d51).rotate_left(15);
    (hash.cast_unsigned() ^ data.wrapping_mul(0x1b87_3593)).cast_signed()
}

/// Calls `add` with each value of a column, none for a null.
///
/// # Errors
/// `Internal` for a type that [`Kind::of`] does not know.
pub(super) fn each(column: &ArrayRef, mut add: impl FnMut(Option<Item>)) -> Result<()> {
    macro_rules! numbers {
        ($type:ty, $item:expr) => {
            column
                .as_primitive::<$type>()
                .iter()
                .for_each(|value| add(value.map($item)))
        };
    }
    match column.data_type() {
        DataType::Boolean => {
            let values = column.as_boolean().iter();
            values.for_each(|value| add(value.map(Item::Boolean)));
        }
        DataType::Int8 => numbers!(Int8Type, Item::Byte),
        DataType::Int16 => numbers!(Int16Type, Item::Short),
        DataType::Int32 => numbers!(Int32Type, Item::Int),
        DataType::Date32 => numbers!(Date32Type, Item::Int),
        DataType::Int64 => numbers!(Int64Type, Item::Long),
        DataType::Timestamp(TimeUnit::Microsecond, _) => numbers!(TimestampMicrosecondType, Item::Long),
        DataType::Float32 => numbers!(Float32Type, float),
        DataType::Float64 => numbers!(Float64Type, double),
        DataType::Utf8 => {
            let values = column.as_string::<i32>().iter();
            values.for_each(|value| add(value.map(|text| Item::Text(text.to_owned()))));
        }
        DataType::Decimal128(_, scale) => {
            let scale = *scale;
            numbers!(Decimal128Type, |unscaled| Item::Decimal { unscaled, scale })
        }
        other => {
            return Err(DataFusionError::Internal(format!(
                "{other} has no frequent items"
            )));
        }
    }
    Ok(())
}

/// Returns items as a column of a type, whose kind they have.
///
/// # Errors
/// `Internal` for items of another kind.
pub(super) fn column(items: &[Option<Item>], data_type: &DataType) -> Result<ArrayRef> {
    if items.is_empty() {
        return Ok(new_empty_array(data_type));
    }
    let values = items.iter().map(|item| match item {
        Some(item) => item.value(data_type),
        None => ScalarValue::try_from(data_type),
    });
    ScalarValue::iter_to_array(values.collect::<Result<Vec<_>>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hash_codes_are_those_of_java_and_scala() {
        assert_eq!(Item::Text("abc".to_owned()).hash_code(), 96354);
        assert_eq!(Item::Long(-1).hash_code(), 0);
        assert_eq!(Item::Long(1 << 32).hash_code(), 1);
        assert_eq!(double(1.0).hash_code(), 0x3ff0_0000);
        let decimal = |unscaled, scale| Item::Decimal { unscaled, scale }.hash_code();
        assert_eq!(decimal(100, 2), 1);
        assert_eq!(decimal(15, 1), 1.5_f32.to_bits().cast_signed());
    }

    #[test]
    fn wide_decimals_are_as_short_as_they_can_be() {
        let decimals = [0, 1, -1, 127, 128, -128, -129, i128::from(i64::MAX), i128::MIN];
        let lengths = decimals.map(|value| shortest(value).len());
        assert_eq!(lengths, [1, 1, 1, 1, 2, 1, 2, 8, 16]);
        for value in decimals {
            assert_eq!(longer(&shortest(value)), Some(value));
        }
    }

    #[test]
    fn items_of_each_kind_round_trip() {
        let decimal = |precision: u8| Kind::Decimal { precision, scale: 2 };
        let unscaled = Item::Decimal {
            unscaled: -12_345,
            scale: 2,
        };
        let cases = [
            (Kind::Boolean, vec![Item::Boolean(true), Item::Boolean(false)]),
            (Kind::Byte, vec![Item::Byte(-1)]),
            (Kind::Short, vec![Item::Short(-300)]),
            (Kind::Int, vec![Item::Int(7), Item::Int(i32::MIN)]),
            (Kind::Long, vec![Item::Long(i64::MIN)]),
            (Kind::Float, vec![float(1.5)]),
            (Kind::Double, vec![double(f64::NAN)]),
            (
                Kind::Text,
                vec![Item::Text("ä".to_owned()), Item::Text(String::new())],
            ),
            (decimal(9), vec![unscaled.clone()]),
            (decimal(18), vec![unscaled.clone()]),
            (decimal(38), vec![unscaled]),
        ];
        for (kind, items) in cases {
            let mut bytes = Vec::new();
            kind.write(&items.iter().collect::<Vec<_>>(), &mut bytes);
            assert_eq!(kind.read(&bytes, items.len()).as_ref(), Some(&items), "{kind:?}");
            assert_eq!(
                kind.read(&bytes[..bytes.len() - 1], items.len()),
                None,
                "{kind:?}"
            );
        }
    }
}
