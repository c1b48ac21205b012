//! What a change makes of a variant: the parts that the path does not lead to are copied, and what is missing on the
//! way is made where the change says so.
//!
//! How much may be made is counted before it is: a path may name an index of two thousand million.

use arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use parquet_variant::{
    ObjectFieldBuilder, Variant, VariantBuilder, VariantBuilderExt, VariantList, VariantObject,
};

use crate::functions::variant::encode;
use crate::functions::variant::path::Step;

/// Bytes of the values of a variant, and of its names, at most. Source: Spark, `VariantUtil.SIZE_LIMIT`.
pub(super) const BYTES_MAX: usize = 128 << 20;

/// Values nested in values, at most: as many as in JSON.
pub(super) const LEVELS_MAX: usize = 1000;

/// Nulls that fill lists up, at most: so many take four bytes each, and more.
const FILLING_MAX: usize = BYTES_MAX / 4;

/// The metadata and the value of a variant.
pub(super) type Encoded = (Vec<u8>, Vec<u8>);

/// What is done with what a path leads to.
pub(super) enum Change<'v> {
    /// Adds a field that is not there, or an item before the one that is.
    Insert(Variant<'v, 'v>),
    /// Replaces it; adds it where there is none, if `create` says so.
    Set { value: Variant<'v, 'v>, create: bool },
    /// Adds an item to a list, if there is one.
    Append(Variant<'v, 'v>),
    /// Removes it, if there is one.
    Delete,
}

impl<'v> Change<'v> {
    fn value(&self) -> Option<&Variant<'v, 'v>> {
        match self {
            Self::Insert(value) | Self::Set { value, .. } | Self::Append(value) => Some(value),
            Self::Delete => None,
        }
    }

    /// Returns the value that is added where the path leads to nothing.
    fn created(&self) -> Option<&Variant<'v, 'v>> {
        match self {
            Self::Insert(value) | Self::Set { value, create: true } => Some(value),
            _ => None,
        }
    }
}

/// Why a change is not made.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The field that is inserted is there.
    Duplicate(String),
    /// What the first `taken` steps lead to has no parts as the next step names, or is no list to append to.
    Mismatch {
        taken: usize,
    },
    TooLarge,
    TooDeep,
    Failed(DataFusionError),
}

impl From<ArrowError> for Refusal {
    fn from(error: ArrowError) -> Self {
        Self::Failed(error.into())
    }
}

/// Makes a variant in which what `steps` lead to is changed. Of a variant that the change does not touch it is a copy.
///
/// # Errors
/// See [`Refusal`].
pub(super) fn changed(
    variant: &Variant<'_, '_>,
    steps: &[Step],
    change: &Change<'_>,
) -> Result<Encoded, Refusal> {
    // The value is as deep in the result as there are steps to it, and one more where it is appended.
    if let Some(value) = change.value()
        && steps.len() + 1 + levels(value) > LEVELS_MAX
    {
        return Err(Refusal::TooDeep);
    }
    let mut builder = VariantBuilder::new();
    let mut edit = Edit {
        change,
        steps: steps.len(),
        filling_left: FILLING_MAX,
    };
    edit.write(variant, steps, &mut builder)?;
    let (metadata, value) = encode::finish(builder);
    match metadata.len().max(value.len()) > BYTES_MAX {
        true => Err(Refusal::TooLarge),
        false => Ok((metadata, value)),
    }
}

/// Returns how deep values are nested in a value.
fn levels(value: &Variant<'_, '_>) -> usize {
    match value {
        Variant::Object(object) => 1 + object.iter().map(|(_, part)| levels(&part)).max().unwrap_or(0),
        Variant::List(list) => 1 + list.iter().map(|part| levels(&part)).max().unwrap_or(0),
        _ => 0,
    }
}

struct Edit<'e> {
    change: &'e Change<'e>,
    /// How many steps the whole path has.
    steps: usize,
    filling_left: usize,
}

impl Edit<'_> {
    /// Writes a part, from which `steps` lead to what is changed.
    fn write(
        &mut self,
        part: &Variant<'_, '_>,
        steps: &[Step],
        into: &mut impl VariantBuilderExt,
    ) -> Result<(), Refusal> {
        match (part, steps.split_first(), self.change) {
            (Variant::Object(object), Some((Step::Name(name), rest)), _) => {
                self.write_object(object, name, rest, into)
            }
            (Variant::List(list), Some((Step::Index(index), rest)), _) => {
                self.write_list(list, *index, rest, into)
            }
            (Variant::List(list), None, Change::Append(value)) => {
                let mut items = into.try_new_list()?;
                items.extend(list.iter());
                items.append_value(value.clone());
                items.finish();
                Ok(())
            }
            (_, Some(_), Change::Delete) => {
                into.append_value(part.clone());
                Ok(())
            }
            _ => Err(Refusal::Mismatch {
                taken: self.steps - steps.len(),
            }),
        }
    }

    fn write_object(
        &mut self,
        object: &VariantObject<'_, '_>,
        name: &str,
        rest: &[Step],
        into: &mut impl VariantBuilderExt,
    ) -> Result<(), Refusal> {
        let change = self.change;
        let mut fields = into.try_new_object()?;
        let mut found = false;
        for (field, part) in object.iter() {
            let mut builder = ObjectFieldBuilder::new(field, &mut fields);
            if field != name {
                builder.append_value(part);
                continue;
            }
            found = true;
            match change {
                Change::Insert(_) if rest.is_empty() => return Err(Refusal::Duplicate(name.to_owned())),
                Change::Set { value, .. } if rest.is_empty() => builder.append_value(value.clone()),
                Change::Delete if rest.is_empty() => {}
                _ => self.write(&part, rest, &mut builder)?,
            }
        }
        if !found && let Some(value) = change.created() {
            self.make(value, rest, &mut ObjectFieldBuilder::new(name, &mut fields))?;
        }
        fields.finish();
        Ok(())
    }

    fn write_list(
        &mut self,
        list: &VariantList<'_, '_>,
        index: usize,
        rest: &[Step],
        into: &mut impl VariantBuilderExt,
    ) -> Result<(), Refusal> {
        let change = self.change;
        let mut items = into.try_new_list()?;
        for (place, part) in list.iter().enumerate() {
            if place != index {
                items.append_value(part);
                continue;
            }
            match change {
                Change::Insert(value) if rest.is_empty() => {
                    items.append_value(value.clone());
                    items.append_value(part);
                }
                Change::Set { value, .. } if rest.is_empty() => items.append_value(value.clone()),
                Change::Delete if rest.is_empty() => {}
                _ => self.write(&part, rest, &mut items)?,
            }
        }
        if index >= list.len()
            && let Some(value) = change.created()
        {
            self.fill(index - list.len(), &mut items)?;
            self.make(value, rest, &mut items)?;
        }
        items.finish();
        Ok(())
    }

    /// Writes a value into objects and lists that `steps` name, and that are not there.
    fn make(
        &mut self,
        value: &Variant<'_, '_>,
        steps: &[Step],
        into: &mut impl VariantBuilderExt,
    ) -> Result<(), Refusal> {
        match steps.split_first() {
            None => into.append_value(value.clone()),
            Some((Step::Name(name), rest)) => {
                let mut fields = into.try_new_object()?;
                self.make(value, rest, &mut ObjectFieldBuilder::new(name, &mut fields))?;
                fields.finish();
            }
            Some((Step::Index(index), rest)) => {
                let mut items = into.try_new_list()?;
                self.fill(*index, &mut items)?;
                self.make(value, rest, &mut items)?;
                items.finish();
            }
        }
        Ok(())
    }

    /// Writes the nulls before an item that is past the end of a list.
    fn fill(&mut self, nulls: usize, into: &mut impl VariantBuilderExt) -> Result<(), Refusal> {
        let left = self.filling_left.checked_sub(nulls);
        self.filling_left = left.ok_or(Refusal::TooLarge)?;
        for _ in 0..nulls {
            into.append_value(Variant::Null);
        }
        Ok(())
    }
}
