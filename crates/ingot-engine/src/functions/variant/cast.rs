//! Variants as values of another type, and values as variants: CAST and `variant_get`.
//!
//! ```text
//! variants ─► those of one type ─► an array of it ─► TRY_CAST to the type asked for ─► back in their places
//! ```
//! A part that cannot be of its type is an error, or null. A null in a variant is a null. Objects and lists are texts as
//! JSON; fields of structs are found by their names, and those that the struct has not are left out.
//! Source: Spark, `VariantGet.cast`, `VariantGet.checkDataType`, `VariantExpressionEvalUtils.castToVariant`.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array,
    Float64Array, Int64Array, ListArray, MapArray, NullBufferBuilder, StringArray, StructArray,
    TimestampMicrosecondArray, new_null_array,
};
use arrow::buffer::OffsetBuffer;
use arrow::compute::interleave;
use arrow::datatypes::{DataType, Date32Type, FieldRef, Fields};
use datafusion::error::{DataFusionError, Result};
use parquet_variant::Variant;

use super::{Variants, encode, is_variant, json, variant_at};
use crate::cast::{CastMode, castable};
use crate::error::condition;
use crate::functions::arguments::timestamp;
use crate::functions::record::formats::Formats;
use crate::spark::temporal::Zone;
use crate::write::type_text;

/// Digits of a decimal at most.
const DIGITS_MAX: u8 = 38;

/// Says if variants can be cast to a type.
pub(crate) fn castable_to(to: &DataType) -> bool {
    match to {
        _ if is_variant(to) => true,
        DataType::List(item) => castable_to(item.data_type()),
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(fields) => match fields.as_ref() {
                [key, value] => *key.data_type() == DataType::Utf8 && castable_to(value.data_type()),
                _ => false,
            },
            _ => false,
        },
        DataType::Struct(fields) => fields.iter().all(|field| castable_to(field.data_type())),
        plain => holds(plain),
    }
}

/// Says if values of a type can be cast to variants; structs and maps are what `to_variant_object` is for.
pub(crate) fn castable_from(from: &DataType) -> bool {
    match from {
        _ if is_variant(from) => true,
        DataType::List(item) => castable_from(item.data_type()),
        plain => holds(plain),
    }
}

/// Says if variants hold values of a plain type.
fn holds(plain: &DataType) -> bool {
    use DataType::*;
    matches!(plain, Null | Boolean | Utf8 | Binary | Date32 | Timestamp(..)) || plain.is_numeric()
}

/// Makes variants of values.
///
/// # Errors
/// For types that are no variants.
pub(crate) fn to_variants(values: &ArrayRef) -> Result<ArrayRef> {
    let mut variants = Variants::new(values.len());
    for row in 0..values.len() {
        if values.data_type().is_null() || values.is_null(row) {
            variants.append_null();
            continue;
        }
        let (metadata, value) = encode::of_row(values, row)?;
        variants.append(&metadata, &value);
    }
    variants.finish()
}

/// Makes values of variants.
///
/// # Errors
/// `INVALID_VARIANT_CAST`, `MALFORMED_VARIANT`.
pub(crate) fn of_variants(
    variants: &ArrayRef,
    to: &DataType,
    zone: &Zone,
    mode: CastMode,
) -> Result<ArrayRef> {
    let variants = variants.as_struct();
    let rows = (0..variants.len()).map(|row| variant_at(variants, row));
    let rows: Vec<_> = rows.collect::<Result<_>>()?;
    Conversion::new(zone, mode != CastMode::Try).values(&rows, to)
}

/// How variants become values.
pub(super) struct Conversion {
    zone: Zone,
    strict: bool,
    formats: Formats,
}

type Part<'m, 'v> = Option<Variant<'m, 'v>>;

impl Conversion {
    /// Prepares the conversion in a zone; with `strict`, a part that cannot be of its type is an error.
    pub fn new(zone: &Zone, strict: bool) -> Self {
        Self {
            zone: *zone,
            strict,
            formats: Formats::of_zone(*zone),
        }
    }

    /// Converts variants to a type.
    ///
    /// # Errors
    /// `INVALID_VARIANT_CAST`.
    pub fn values(&self, parts: &[Part<'_, '_>], to: &DataType) -> Result<ArrayRef> {
        match to {
            _ if is_variant(to) => variants(parts),
            DataType::List(field) => self.lists(parts, to, field),
            DataType::Map(field, _) => self.maps(parts, to, field),
            DataType::Struct(fields) => self.structs(parts, to, fields),
            _ => self.plain(parts, to),
        }
    }

    fn lists(&self, parts: &[Part<'_, '_>], to: &DataType, field: &FieldRef) -> Result<ArrayRef> {
        let (mut items, mut lengths) = (Vec::new(), Vec::with_capacity(parts.len()));
        let mut nulls = NullBufferBuilder::new(parts.len());
        for part in parts {
            let before = items.len();
            match part {
                Some(Variant::List(list)) => {
                    items.extend(list.iter().map(Some));
                    nulls.append_non_null();
                }
                other => {
                    self.refuse(other, to)?;
                    nulls.append_null();
                }
            }
            lengths.push(items.len() - before);
        }
        let items = self.values(&items, field.data_type())?;
        let offsets = OffsetBuffer::from_lengths(lengths);
        let lists = ListArray::try_new(Arc::clone(field), offsets, items, nulls.finish())?;
        Ok(Arc::new(lists))
    }

    fn maps(&self, parts: &[Part<'_, '_>], to: &DataType, field: &FieldRef) -> Result<ArrayRef> {
        let DataType::Struct(fields) = field.data_type() else {
            return Err(no_conversion(to));
        };
        let [_, value] = fields.as_ref() else {
            return Err(no_conversion(to));
        };
        let (mut keys, mut items) = (Vec::new(), Vec::new());
        let mut lengths = Vec::with_capacity(parts.len());
        let mut nulls = NullBufferBuilder::new(parts.len());
        for part in parts {
            let before = items.len();
            match part {
                Some(Variant::Object(object)) => {
                    for (name, item) in object.iter() {
                        keys.push(name);
                        items.push(Some(item));
                    }
                    nulls.append_non_null();
                }
                other => {
                    self.refuse(other, to)?;
                    nulls.append_null();
                }
            }
            lengths.push(items.len() - before);
        }
        let items = self.values(&items, value.data_type())?;
        let keys: ArrayRef = Arc::new(StringArray::from(keys));
        let entries = StructArray::try_new(fields.clone(), vec![keys, items], None)?;
        let offsets = OffsetBuffer::from_lengths(lengths);
        let maps = MapArray::try_new(Arc::clone(field), offsets, entries, nulls.finish(), false)?;
        Ok(Arc::new(maps))
    }

    fn structs(&self, parts: &[Part<'_, '_>], to: &DataType, fields: &Fields) -> Result<ArrayRef> {
        let mut nulls = NullBufferBuilder::new(parts.len());
        for part in parts {
            match part {
                Some(Variant::Object(_)) => nulls.append_non_null(),
                other => {
                    self.refuse(other, to)?;
                    nulls.append_null();
                }
            }
        }
        let columns = fields.iter().map(|field| {
            let found = parts.iter().map(|part| match part {
                Some(Variant::Object(object)) => object.get(field.name()),
                _ => None,
            });
            self.values(&found.collect::<Vec<_>>(), field.data_type())
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let structs = StructArray::try_new_with_length(fields.clone(), columns, nulls.finish(), parts.len())?;
        Ok(Arc::new(structs))
    }

    /// Converts variants to a plain type, those of one type at a time.
    fn plain(&self, parts: &[Part<'_, '_>], to: &DataType) -> Result<ArrayRef> {
        let mut kinds: Vec<(Kind, Vec<usize>)> = Vec::new();
        // Where each row is: nulls are of an array of their own.
        let mut places = vec![(0, 0); parts.len()];
        for (row, part) in parts.iter().enumerate() {
            let Some(variant) = part else { continue };
            let kind = match Kind::of(variant) {
                None => continue,
                Some(Kind::Nested) if *to != DataType::Utf8 => {
                    self.refuse(part, to)?;
                    continue;
                }
                Some(kind) => kind,
            };
            let known = kinds.iter().position(|(known, _)| *known == kind);
            let place = known.unwrap_or(kinds.len());
            if known.is_none() {
                kinds.push((kind, Vec::new()));
            }
            if let Some((_, rows)) = kinds.get_mut(place) {
                places[row] = (place + 1, rows.len());
                rows.push(row);
            }
        }
        let mut sources = vec![new_null_array(to, 1)];
        for (kind, rows) in &kinds {
            let variants = rows.iter().filter_map(|row| parts.get(*row)?.as_ref());
            sources.push(self.of_kind(*kind, &variants.collect::<Vec<_>>(), to)?);
        }
        let sources: Vec<&dyn Array> = sources.iter().map(AsRef::as_ref).collect();
        Ok(interleave(&sources, &places)?)
    }

    /// Converts variants of one type.
    fn of_kind(&self, kind: Kind, variants: &[&Variant<'_, '_>], to: &DataType) -> Result<ArrayRef> {
        let values = match kind {
            Kind::Nested => return Ok(self.texts(variants)),
            kind => kind.array(variants),
        };
        let cast = match castable(values.data_type(), to) {
            true => {
                let cast = CastMode::Try.cast(&values, to, &self.zone);
                cast.map_err(|_| no_conversion(to))?
            }
            false => new_null_array(to, values.len()),
        };
        match (0..cast.len()).find(|row| cast.is_null(*row)) {
            Some(row) if self.strict => Err(self.refused(variants.get(row).copied(), to)),
            _ => Ok(cast),
        }
    }

    fn texts(&self, variants: &[&Variant<'_, '_>]) -> ArrayRef {
        let texts = variants.iter().map(|variant| Some(self.text(variant)));
        Arc::new(texts.collect::<StringArray>())
    }

    fn text(&self, variant: &Variant<'_, '_>) -> String {
        let mut text = String::new();
        json::write(variant, &self.formats, &mut text);
        text
    }

    /// Refuses what is no null.
    fn refuse(&self, part: &Part<'_, '_>, to: &DataType) -> Result<()> {
        match part {
            None | Some(Variant::Null) => Ok(()),
            Some(_) if !self.strict => Ok(()),
            Some(variant) => Err(self.refused(Some(variant), to)),
        }
    }

    fn refused(&self, variant: Option<&Variant<'_, '_>>, to: &DataType) -> DataFusionError {
        let value = variant.map(|variant| self.text(variant)).unwrap_or_default();
        condition(
            "INVALID_VARIANT_CAST",
            "22023",
            format!(
                "the variant value `{value}` cannot be cast to {}; use `try_variant_get` to get NULL instead",
                type_text(to).to_uppercase()
            ),
        )
    }
}

fn variants(parts: &[Part<'_, '_>]) -> Result<ArrayRef> {
    let mut variants = Variants::new(parts.len());
    for part in parts {
        match part {
            Some(variant) => {
                let (metadata, value) = encode::of_part(variant.clone());
                variants.append(&metadata, &value);
            }
            None => variants.append_null(),
        }
    }
    variants.finish()
}

fn no_conversion(to: &DataType) -> DataFusionError {
    DataFusionError::Internal(format!("a variant is no {to}"))
}

/// What a variant holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Boolean,
    Long,
    Float,
    Double,
    /// With so many digits after the point that say something.
    Decimal(u8),
    Text,
    Binary,
    Date,
    Instant,
    Local,
    /// What has no type of Spark's, which is a text.
    Other,
    /// An object or a list.
    Nested,
}

impl Kind {
    /// Returns what a variant holds; `None` for a null.
    fn of(variant: &Variant<'_, '_>) -> Option<Self> {
        Some(match variant {
            Variant::Null => return None,
            Variant::BooleanTrue | Variant::BooleanFalse => Self::Boolean,
            Variant::Int8(_) | Variant::Int16(_) | Variant::Int32(_) | Variant::Int64(_) => Self::Long,
            Variant::Float(_) => Self::Float,
            Variant::Double(_) => Self::Double,
            Variant::Decimal4(_) | Variant::Decimal8(_) | Variant::Decimal16(_) => {
                Self::Decimal(decimal(variant).map_or(0, |(_, scale)| scale))
            }
            Variant::String(_) | Variant::ShortString(_) => Self::Text,
            Variant::Binary(_) => Self::Binary,
            Variant::Date(_) => Self::Date,
            Variant::TimestampMicros(_) | Variant::TimestampNanos(_) => Self::Instant,
            Variant::TimestampNtzMicros(_) | Variant::TimestampNtzNanos(_) => Self::Local,
            Variant::Time(_) | Variant::Uuid(_) => Self::Other,
            Variant::List(_) | Variant::Object(_) => Self::Nested,
        })
    }

    /// Makes an array of variants that all hold this.
    fn array(self, variants: &[&Variant<'_, '_>]) -> ArrayRef {
        let all = variants.iter();
        match self {
            Self::Boolean => Arc::new(all.map(|v| v.as_boolean()).collect::<BooleanArray>()),
            Self::Long => Arc::new(all.map(|v| v.as_int64()).collect::<Int64Array>()),
            Self::Float => Arc::new(
                all.map(|v| match v {
                    Variant::Float(value) => Some(*value),
                    _ => None,
                })
                .collect::<Float32Array>(),
            ),
            Self::Double => Arc::new(
                all.map(|v| match v {
                    Variant::Double(value) => Some(*value),
                    _ => None,
                })
                .collect::<Float64Array>(),
            ),
            Self::Decimal(scale) => {
                let digits = all.map(|v| decimal(v).map(|(digits, _)| digits));
                let scale = i8::try_from(scale).unwrap_or(0);
                let decimal = DataType::Decimal128(DIGITS_MAX, scale);
                Arc::new(digits.collect::<Decimal128Array>().with_data_type(decimal))
            }
            Self::Text => Arc::new(all.map(|v| v.as_string()).collect::<StringArray>()),
            Self::Binary => Arc::new(all.map(|v| v.as_u8_slice()).collect::<BinaryArray>()),
            Self::Date => Arc::new(
                all.map(|v| v.as_naive_date().map(Date32Type::from_naive_date))
                    .collect::<Date32Array>(),
            ),
            Self::Instant => {
                let instants = all.map(|v| match v {
                    Variant::TimestampMicros(at) | Variant::TimestampNanos(at) => Some(at.timestamp_micros()),
                    _ => None,
                });
                let instants = instants.collect::<TimestampMicrosecondArray>();
                Arc::new(instants.with_data_type(timestamp()))
            }
            Self::Local => {
                let locals = all.map(|v| match v {
                    Variant::TimestampNtzMicros(at) | Variant::TimestampNtzNanos(at) => {
                        Some(at.and_utc().timestamp_micros())
                    }
                    _ => None,
                });
                Arc::new(locals.collect::<TimestampMicrosecondArray>())
            }
            Self::Other => Arc::new(
                all.map(|v| match v {
                    Variant::Time(time) => Some(time.to_string()),
                    Variant::Uuid(id) => Some(id.to_string()),
                    _ => None,
                })
                .collect::<StringArray>(),
            ),
            Self::Nested => new_null_array(&DataType::Utf8, variants.len()),
        }
    }
}

/// Returns the digits of a decimal and how many of them are after the point, without zeros at the end.
fn decimal(variant: &Variant<'_, '_>) -> Option<(i128, u8)> {
    let (mut digits, mut scale) = match variant {
        Variant::Decimal4(value) => (i128::from(value.integer()), value.scale()),
        Variant::Decimal8(value) => (i128::from(value.integer()), value.scale()),
        Variant::Decimal16(value) => (value.integer(), value.scale()),
        _ => return None,
    };
    while scale > 0 && digits % 10 == 0 {
        digits /= 10;
        scale -= 1;
    }
    Some((digits, scale))
}
