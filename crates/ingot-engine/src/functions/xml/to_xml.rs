//! `to_xml(struct [, options])`: an element, called ROW if the option `rowTag` does not name it.
//!
//! A null is left out; an array is one element for each item.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringBuilder};
use arrow::datatypes::DataType;
use arrow::util::display::array_value_to_string;
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF};
use quick_xml::escape::{escape, partial_escape};

use super::Naming;
use crate::functions::arguments::over_arrays;
use crate::functions::collection::{entries_at, immutable, items_at};
use crate::functions::function::Returns;
use crate::functions::json::write_plain;
use crate::functions::record::formats::Formats;
use crate::functions::record::options::{self, Options};
use crate::spark::temporal::Use;

const NAME: &str = "to_xml";

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    vec![immutable(
        NAME,
        |types| options::after_struct(NAME, types),
        Returns::Always(DataType::Utf8),
        to_xml,
    )]
}

fn to_xml(arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    over_arrays(arguments, |arrays| {
        let options = Options::of(arrays.get(1))?;
        let writer = Writer {
            formats: Formats::new(arguments, &options, Use::Write)?,
            naming: Naming::of(&options),
            indent: options.get("indent").unwrap_or("    ").to_owned(),
        };
        let row_tag = options.get("rowtag").unwrap_or("ROW");
        let structs = &arrays[0];
        let mut texts = StringBuilder::new();
        let mut text = String::new();
        for row in 0..structs.len() {
            if structs.is_null(row) {
                texts.append_null();
                continue;
            }
            text.clear();
            writer.element(row_tag, structs, row, 0, &mut text)?;
            texts.append_value(&text);
        }
        Ok(Arc::new(texts.finish()))
    })
}

struct Writer {
    formats: Formats,
    naming: Naming,
    indent: String,
}

impl Writer {
    /// Writes a value as an element, on a line of its own.
    fn element(
        &self,
        name: &str,
        array: &ArrayRef,
        row: usize,
        depth: usize,
        into: &mut String,
    ) -> Result<()> {
        if array.data_type().is_null() || array.is_null(row) {
            return Ok(());
        }
        if let DataType::List(_) = array.data_type() {
            let list = array.as_list::<i32>();
            for item in items_at(list, row).unwrap_or_default() {
                self.element(name, list.values(), item, depth, into)?;
            }
            return Ok(());
        }
        if depth > 0 {
            self.line(depth, into);
        }
        into.push('<');
        into.push_str(name);
        match array.data_type() {
            DataType::Struct(_) => self.content_of_struct(array, row, depth, into)?,
            DataType::Map(..) => {
                into.push('>');
                let map = array.as_map();
                for entry in entries_at(map, row).unwrap_or_default() {
                    let key = array_value_to_string(map.keys(), entry)?;
                    self.element(&key, map.values(), entry, depth + 1, into)?;
                }
                self.line(depth, into);
            }
            _ => {
                into.push('>');
                self.text(array, row, into)?;
            }
        }
        into.push_str("</");
        into.push_str(name);
        into.push('>');
        Ok(())
    }

    fn content_of_struct(&self, array: &ArrayRef, row: usize, depth: usize, into: &mut String) -> Result<()> {
        let structs = array.as_struct();
        let is_value = |name: &str| name == self.naming.value_tag;
        let is_attribute = |name: &str| !is_value(name) && name.starts_with(&self.naming.attribute_prefix);
        let present = |column: &ArrayRef| !column.data_type().is_null() && column.is_valid(row);
        let fields = || {
            structs
                .fields()
                .iter()
                .map(|field| field.name().as_str())
                .zip(structs.columns())
        };
        for (name, column) in fields().filter(|(name, column)| is_attribute(name) && present(column)) {
            let mut value = String::new();
            write_plain(column, row, &self.formats, &mut value)?;
            let name = name
                .strip_prefix(self.naming.attribute_prefix.as_str())
                .unwrap_or(name);
            into.push_str(&format!(" {name}=\"{}\"", escape(value.as_str())));
        }
        into.push('>');
        let mut elements = 0;
        for (name, column) in fields().filter(|(name, _)| !is_attribute(name)) {
            if is_value(name) && present(column) {
                self.text(column, row, into)?;
            } else if !is_value(name) {
                let before = into.len();
                self.element(name, column, row, depth + 1, into)?;
                elements += usize::from(into.len() > before);
            }
        }
        if elements > 0 {
            self.line(depth, into);
        }
        Ok(())
    }

    fn text(&self, array: &ArrayRef, row: usize, into: &mut String) -> Result<()> {
        let mut value = String::new();
        write_plain(array, row, &self.formats, &mut value)?;
        into.push_str(&partial_escape(value.as_str()));
        Ok(())
    }

    fn line(&self, depth: usize, into: &mut String) {
        into.push('\n');
        (0..depth).for_each(|_| into.push_str(&self.indent));
    }
}
