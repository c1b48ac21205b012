//! `schema_of_variant_agg(v)`: the type that all variants of a group have. Source: Spark, `SchemaOfVariantAgg`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility};

use super::questions::{Kind, one};
use super::variant_at;

const NAME: &str = "schema_of_variant_agg";

pub(crate) fn function() -> Arc<AggregateUDF> {
    Arc::new(AggregateUDF::from(SchemaOfVariants {
        signature: Signature::user_defined(Volatility::Immutable),
    }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct SchemaOfVariants {
    signature: Signature,
}

impl AggregateUDFImpl for SchemaOfVariants {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    /// Leaves an argument that is refused as it is: DataFusion would make its own error of ours, so that `return_type`
    /// says it.
    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        Ok(one(NAME, types).unwrap_or_else(|_| types.to_vec()))
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        one(NAME, types)?;
        Ok(DataType::Utf8)
    }

    fn is_nullable(&self) -> bool {
        false
    }

    fn default_value(&self, _: &DataType) -> Result<ScalarValue> {
        Ok(ScalarValue::Utf8(Some(Kind::Void.sql())))
    }

    fn accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Schema { kind: Kind::Void }))
    }

    fn state_fields(&self, arguments: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let name = format!("{}[kind]", arguments.name);
        Ok(vec![Arc::new(Field::new(name, DataType::Binary, true))])
    }
}

#[derive(Debug)]
struct Schema {
    kind: Kind,
}

impl Schema {
    fn merge(&mut self, other: Kind) {
        let known = std::mem::replace(&mut self.kind, Kind::Void);
        self.kind = known.merged(other);
    }
}

impl Accumulator for Schema {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let Some(variants) = values.first().and_then(|values| values.as_struct_opt()) else {
            return Err(DataFusionError::Internal("variants are needed".to_owned()));
        };
        for row in 0..variants.len() {
            if let Some(variant) = variant_at(variants, row)? {
                self.merge(Kind::of(&variant));
            }
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Utf8(Some(self.kind.sql())))
    }

    fn size(&self) -> usize {
        size_of_val(self) + held_bytes(&self.kind)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let mut written = Vec::new();
        write(&self.kind, &mut written);
        Ok(vec![ScalarValue::Binary(Some(written))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let Some(states) = states.first() else {
            return Ok(());
        };
        for mut state in states.as_binary::<i32>().iter().flatten() {
            let Some(kind) = read(&mut state) else {
                return Err(DataFusionError::Internal("a state is a kind".to_owned()));
            };
            self.merge(kind);
        }
        Ok(())
    }
}

/// Returns the bytes that a kind has elsewhere.
fn held_bytes(kind: &Kind) -> usize {
    match kind {
        Kind::Void | Kind::Variant | Kind::Scalar(_) | Kind::Decimal(..) => 0,
        Kind::Array(item) => size_of::<Kind>() + held_bytes(item),
        Kind::Object(fields) => fields
            .iter()
            .map(|(name, kind)| size_of::<(String, Kind)>() + name.capacity() + held_bytes(kind))
            .sum(),
    }
}

/// What a written kind begins with. Of an object the count of its fields follows, and each with its name.
const VOID: u8 = 0;
const VARIANT: u8 = 1;
const SCALAR: u8 = 2;
const DECIMAL: u8 = 3;
const ARRAY: u8 = 4;
const OBJECT: u8 = 5;

fn write(kind: &Kind, into: &mut Vec<u8>) {
    match kind {
        Kind::Void => into.push(VOID),
        Kind::Variant => into.push(VARIANT),
        Kind::Scalar(name) => {
            into.push(SCALAR);
            write_text(name, into);
        }
        Kind::Decimal(precision, scale) => into.extend([DECIMAL, *precision, *scale]),
        Kind::Array(item) => {
            into.push(ARRAY);
            write(item, into);
        }
        Kind::Object(fields) => {
            into.push(OBJECT);
            write_count(fields.len(), into);
            for (name, kind) in fields {
                write_text(name, into);
                write(kind, into);
            }
        }
    }
}

fn write_text(text: &str, into: &mut Vec<u8>) {
    write_count(text.len(), into);
    into.extend(text.as_bytes());
}

fn write_count(count: usize, into: &mut Vec<u8>) {
    into.extend(u64::try_from(count).unwrap_or(u64::MAX).to_le_bytes());
}

/// Reads what [`write`] wrote, and leaves what follows it.
fn read(from: &mut &[u8]) -> Option<Kind> {
    Some(match *from.split_off_first()? {
        VOID => Kind::Void,
        VARIANT => Kind::Variant,
        SCALAR => {
            let name = read_text(from)?;
            Kind::Scalar(Kind::SCALARS.into_iter().find(|scalar| *scalar == name)?)
        }
        DECIMAL => Kind::Decimal(*from.split_off_first()?, *from.split_off_first()?),
        ARRAY => Kind::Array(Box::new(read(from)?)),
        OBJECT => {
            let count = read_count(from)?;
            let fields = (0..count).map(|_| Some((read_text(from)?.to_owned(), read(from)?)));
            Kind::Object(fields.collect::<Option<_>>()?)
        }
        _ => return None,
    })
}

fn read_text<'a>(from: &mut &'a [u8]) -> Option<&'a str> {
    let length = read_count(from)?;
    std::str::from_utf8(from.split_off(..length)?).ok()
}

fn read_count(from: &mut &[u8]) -> Option<usize> {
    let bytes = from.split_off(..size_of::<u64>())?;
    usize::try_from(u64::from_le_bytes(bytes.try_into().ok()?)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_read_as_they_were_written() {
        let scalars = Kind::SCALARS.map(Kind::Scalar);
        let mut fields: Vec<(String, Kind)> = scalars.iter().map(|kind| (kind.sql(), kind.clone())).collect();
        fields.push(("ü, `x`: ".to_owned(), Kind::Decimal(38, 9)));
        fields.push((String::new(), Kind::Array(Box::new(Kind::Variant))));
        fields.push((
            "nothing".to_owned(),
            Kind::Object(vec![("void".to_owned(), Kind::Void)]),
        ));
        let kind = Kind::Array(Box::new(Kind::Object(fields)));
        let mut written = Vec::new();
        write(&kind, &mut written);
        assert_eq!(read(&mut written.as_slice()), Some(kind));
    }

    #[test]
    fn what_was_not_written_is_not_read() {
        let mut written = Vec::new();
        write(
            &Kind::Object(vec![("a".to_owned(), Kind::Scalar("BIGINT"))]),
            &mut written,
        );
        for length in 0..written.len() {
            assert_eq!(read(&mut &written[..length]), None);
        }
        assert_eq!(
            read(
                &mut [OBJECT]
                    .iter()
                    .chain(&[u8::MAX; 8])
                    .copied()
                    .collect::<Vec<_>>()
                    .as_slice()
            ),
            None
        );
        assert_eq!(read(&mut [9].as_slice()), None);
    }
}
