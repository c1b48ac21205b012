//! One column of one row group: rows in, pages out.

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanBufferBuilder, PrimitiveArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Int8Type, Int16Type, Int32Type, Int64Type, TimeUnit,
    TimestampMicrosecondType,
};
use parquet::basic::Type;
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::{ParquetError, Result};
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnDescPtr;

use super::chunk::{Chunk, PageRows, Pages};
use super::compressor::Compressor;
use super::delta::Width;
use super::hybrid;
use super::integers::Integers;
use super::page::Values;
use super::text::Text;

/// Rows that are looked at between two looks at the sizes of page and dictionary.
const ROWS_AT_ONCE: usize = 1024;

/// What all columns of a file work with.
pub(super) struct Tools<'a> {
    pub properties: &'a WriterProperties,
    pub compressor: &'a mut Compressor,
    /// The bytes of a page before they are compressed.
    pub page: &'a mut Vec<u8>,
}

/// See the module.
pub(super) struct Column {
    chunk: Chunk,
    values: Kind,
    open: OpenPage,
    may_be_null: bool,
    page_bytes_max: usize,
}

enum Kind {
    Integers(Integers),
    Text(Text),
}

/// The rows of the page that is not complete.
#[derive(Default)]
struct OpenPage {
    rows: usize,
    nulls: usize,
    /// Which rows have a value; nothing as long as all have.
    validity: Option<BooleanBufferBuilder>,
}

impl Column {
    /// Says if a column is written here; the library writes the others.
    pub fn takes(data_type: &DataType, column: &ColumnDescPtr) -> bool {
        let kind = match data_type {
            DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 | DataType::Date32 => true,
            DataType::Timestamp(TimeUnit::Microsecond, _) => true,
            DataType::Decimal128(_, _) => matches!(column.physical_type(), Type::INT32 | Type::INT64),
            DataType::Utf8 | DataType::Binary => true,
            _ => false,
        };
        kind && column.max_rep_level() == 0 && column.max_def_level() <= 1
    }

    pub fn new(column: ColumnDescPtr, properties: &WriterProperties) -> Self {
        let dictionary_bytes_max = properties.column_dictionary_page_size_limit(column.path());
        let values = match column.physical_type() {
            Type::INT32 => Kind::Integers(Integers::new(Width::Four, dictionary_bytes_max)),
            Type::INT64 => Kind::Integers(Integers::new(Width::Eight, dictionary_bytes_max)),
            _ => Kind::Text(Text::new(dictionary_bytes_max)),
        };
        Self {
            values,
            open: OpenPage::default(),
            may_be_null: column.max_def_level() > 0,
            page_bytes_max: properties.column_data_page_size_limit(column.path()),
            chunk: Chunk::new(column),
        }
    }

    /// Adds rows.
    ///
    /// # Errors
    /// When the codec fails, and for an array of a type that is not the column's.
    pub fn write(&mut self, array: &ArrayRef, tools: &mut Tools<'_>) -> Result<()> {
        let rows_max = tools.properties.data_page_row_count_limit();
        let mut at = 0;
        while at < array.len() {
            let most = (array.len() - at)
                .min(ROWS_AT_ONCE)
                .min(rows_max - self.open.rows);
            let rows = rows_within(array, at, most, self.page_bytes_max);
            self.put(&array.slice(at, rows))?;
            at += rows;
            let full = self.values().dictionary_is_full();
            if full || self.open.rows >= rows_max || self.values().page_bytes() >= self.page_bytes_max {
                self.end_page(tools)?;
            }
            if full {
                self.end_dictionary(tools)?;
            }
        }
        Ok(())
    }

    /// Ends the column.
    ///
    /// # Errors
    /// When the codec fails.
    pub fn close(mut self, tools: &mut Tools<'_>) -> Result<(Pages, ColumnCloseResult)> {
        if self.open.rows > 0 {
            self.end_page(tools)?;
        }
        self.end_dictionary(tools)?;
        self.chunk.close(tools.properties)
    }

    /// Returns the bytes so far, with an estimate for the open page.
    pub fn bytes(&self) -> usize {
        self.chunk.bytes() + self.values().page_bytes() + self.values().dictionary_bytes()
    }

    /// Returns the memory held.
    pub fn memory_bytes(&self) -> usize {
        self.chunk.memory_bytes() + self.values().memory_bytes()
    }

    fn values(&self) -> &dyn Values {
        match &self.values {
            Kind::Integers(integers) => integers,
            Kind::Text(text) => text,
        }
    }

    fn values_mut(&mut self) -> &mut dyn Values {
        match &mut self.values {
            Kind::Integers(integers) => integers,
            Kind::Text(text) => text,
        }
    }

    fn put(&mut self, array: &ArrayRef) -> Result<()> {
        self.open.add(array.len(), array.nulls());
        match &mut self.values {
            Kind::Integers(integers) => put_integers(integers, array),
            Kind::Text(text) => put_text(text, array),
        }
    }

    fn end_page(&mut self, tools: &mut Tools<'_>) -> Result<()> {
        let page = &mut *tools.page;
        page.clear();
        if self.may_be_null {
            self.open.write_levels(page);
        }
        let values = self.values_mut().end_page(page);
        let open = std::mem::take(&mut self.open);
        let rows = PageRows {
            rows: open.rows,
            nulls: open.nulls,
        };
        self.chunk
            .add_page(rows, values, page, tools.compressor, tools.properties)
    }

    fn end_dictionary(&mut self, tools: &mut Tools<'_>) -> Result<()> {
        match self.values_mut().end_dictionary() {
            Some(dictionary) => self.chunk.add_dictionary(dictionary, tools.compressor),
            None => Ok(()),
        }
    }
}

impl OpenPage {
    fn add(&mut self, rows: usize, nulls: Option<&NullBuffer>) {
        let nulls = nulls.filter(|nulls| nulls.null_count() > 0);
        if let Some(nulls) = nulls {
            let validity = self.validity.get_or_insert_with(|| {
                let mut validity = BooleanBufferBuilder::new(self.rows + rows);
                validity.append_n(self.rows, true);
                validity
            });
            validity.append_buffer(nulls.inner());
            self.nulls += nulls.null_count();
        } else if let Some(validity) = &mut self.validity {
            validity.append_n(rows, true);
        }
        self.rows += rows;
    }

    /// Appends which rows have a value, after the count of its bytes. Source: Parquet, "Data Pages".
    fn write_levels(&mut self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&[0; size_of::<u32>()]);
        let levels = out.len();
        match &mut self.validity {
            None => hybrid::repeat(1, self.rows, 1, out),
            Some(validity) => {
                let bits: Vec<u32> = validity.finish().iter().map(u32::from).collect();
                hybrid::encode(&bits, 1, out);
            }
        }
        // A page has some ten thousand rows.
        let bytes = u32::try_from(out.len() - levels).unwrap_or(u32::MAX);
        out[start..levels].copy_from_slice(&bytes.to_le_bytes());
    }
}

/// Returns how many rows come to about `bytes_max`, of `most`; one at least.
fn rows_within(array: &ArrayRef, at: usize, most: usize, bytes_max: usize) -> usize {
    let within = |length: &dyn Fn(usize) -> usize| {
        let mut bytes = 0;
        let over = (at..at + most).position(|row| {
            bytes += length(row);
            bytes >= bytes_max
        });
        over.map_or(most, |last| last + 1)
    };
    match array.data_type() {
        DataType::Utf8 => within(&|row| length_of(array.as_string::<i32>().value_length(row))),
        DataType::Binary => within(&|row| length_of(array.as_binary::<i32>().value_length(row))),
        DataType::Utf8View => within(&|row| view_length(array.as_string_view().views()[row])),
        DataType::BinaryView => within(&|row| view_length(array.as_binary_view().views()[row])),
        _ => most,
    }
}

fn length_of(length: i32) -> usize {
    usize::try_from(length).unwrap_or_default()
}

/// Returns the length of a text, which its view begins with.
#[expect(clippy::cast_possible_truncation, reason = "the length is the lower 32 bits")]
fn view_length(view: u128) -> usize {
    view as u32 as usize
}

fn put_integers(integers: &mut Integers, array: &ArrayRef) -> Result<()> {
    match array.data_type() {
        DataType::Int8 => put_primitive(integers, array.as_primitive::<Int8Type>(), i64::from),
        DataType::Int16 => put_primitive(integers, array.as_primitive::<Int16Type>(), i64::from),
        DataType::Int32 => put_primitive(integers, array.as_primitive::<Int32Type>(), i64::from),
        DataType::Date32 => put_primitive(integers, array.as_primitive::<Date32Type>(), i64::from),
        DataType::Int64 => put_primitive(integers, array.as_primitive::<Int64Type>(), |value| value),
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            put_primitive(
                integers,
                array.as_primitive::<TimestampMicrosecondType>(),
                |value| value,
            );
        }
        DataType::Decimal128(_, _) => {
            #[expect(clippy::cast_possible_truncation, reason = "18 digits fit")]
            put_primitive(integers, array.as_primitive::<Decimal128Type>(), |value| {
                value as i64
            });
        }
        other => return Err(unexpected(other)),
    }
    Ok(())
}

fn put_primitive<T: ArrowPrimitiveType>(
    integers: &mut Integers,
    array: &PrimitiveArray<T>,
    number: impl Fn(T::Native) -> i64,
) {
    let values = array.values();
    let numbers: Vec<i64> = match array.nulls().filter(|nulls| nulls.null_count() > 0) {
        None => values.iter().map(|value| number(*value)).collect(),
        Some(nulls) => nulls.valid_indices().map(|row| number(values[row])).collect(),
    };
    integers.put(&numbers);
}

fn put_text(text: &mut Text, array: &ArrayRef) -> Result<()> {
    match array.data_type() {
        DataType::Utf8 => text.put(array.as_string::<i32>().iter().flatten().map(str::as_bytes)),
        DataType::Binary => text.put(array.as_binary::<i32>().iter().flatten()),
        DataType::Utf8View => text.put(array.as_string_view().iter().flatten().map(str::as_bytes)),
        DataType::BinaryView => text.put(array.as_binary_view().iter().flatten()),
        other => return Err(unexpected(other)),
    }
    Ok(())
}

fn unexpected(found: &DataType) -> ParquetError {
    ParquetError::General(format!("values of type {found} came for a column of another"))
}
