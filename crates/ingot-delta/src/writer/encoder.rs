//! Rows into the bytes of a Parquet file.
//!
//! ```text
//! batch ─► row group ─┬─ whole numbers, text, bytes: `Column` ─┬─► file
//!                     └─ the rest: the library's writers ──────┘
//! ```
//! The library's writers find each value in a dictionary by a hash of its bytes, which is a fifth to a quarter of the CPU
//! of OPTIMIZE. Columns of whole numbers and of text that are not nested, which most are, are encoded here; headers,
//! statistics and the footer are the library's throughout, and so is every other column. Source: ADR 0028.

mod bits;
mod chunk;
mod column;
mod compressor;
mod delta;
mod hybrid;
mod integers;
mod page;
mod text;

use std::io::{self, Write};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{FieldRef, Schema, SchemaRef};
use parquet::arrow::arrow_writer::{ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::ParquetMetaData;
use parquet::file::properties::{WriterProperties, WriterPropertiesPtr};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::{ColumnDescPtr, SchemaDescriptor, Type, TypePtr};

use self::column::{Column, Tools};
use self::compressor::Compressor;

/// What all files of one schema have in common.
#[derive(Debug)]
pub(super) struct Layout {
    root: TypePtr,
    properties: WriterPropertiesPtr,
    /// In the schema's order.
    columns: Vec<Way>,
    /// The columns that the library writes, as Arrow and as Parquet have them.
    rest: (SchemaRef, TypePtr),
}

/// How a column of the schema is written.
#[derive(Debug)]
enum Way {
    Own(ColumnDescPtr),
    /// By the library, as so many columns of the file.
    Library(FieldRef, usize),
}

impl Layout {
    /// `parquet` is the form of `schema` in files.
    ///
    /// # Errors
    /// When the library finds no form for a part of the schema.
    pub fn new(schema: &Schema, parquet: &SchemaDescriptor, properties: WriterProperties) -> Result<Self> {
        let (mut columns, mut fields, mut forms) = (Vec::new(), Vec::new(), Vec::new());
        let mut leaf = 0;
        for (place, (field, form)) in schema
            .fields()
            .iter()
            .zip(parquet.root_schema().get_fields())
            .enumerate()
        {
            let first = leaf;
            while leaf < parquet.num_columns() && parquet.get_column_root_idx(leaf) == place {
                leaf += 1;
            }
            let column = parquet.column(first);
            let known = Compressor::knows(properties.compression(column.path()));
            columns.push(
                if known && leaf == first + 1 && Column::takes(field.data_type(), &column) {
                    Way::Own(column)
                } else {
                    fields.push(Arc::clone(field));
                    forms.push(Arc::clone(form));
                    Way::Library(Arc::clone(field), leaf - first)
                },
            );
        }
        let root = parquet.root_schema();
        let rest = Type::group_type_builder(root.name()).with_fields(forms).build()?;
        Ok(Self {
            root: parquet.root_schema_ptr(),
            properties: Arc::new(properties),
            columns,
            rest: (Arc::new(Schema::new(fields)), Arc::new(rest)),
        })
    }

    /// Returns how Parquet is written.
    #[cfg(test)]
    pub fn properties(&self) -> &WriterProperties {
        &self.properties
    }
}

/// A file that is being written to `W`.
pub(super) struct FileEncoder<W: Write + Send> {
    layout: Arc<Layout>,
    file: SerializedFileWriter<W>,
    library: ArrowRowGroupWriterFactory,
    compressor: Compressor,
    page: Vec<u8>,
    open: Option<RowGroup>,
}

/// The rows that are not written out.
struct RowGroup {
    rows: usize,
    columns: Vec<Writer>,
}

enum Writer {
    Own(Box<Column>),
    Library(FieldRef, Vec<ArrowColumnWriter>),
}

impl<W: Write + Send> FileEncoder<W> {
    /// Begins a file.
    ///
    /// # Errors
    /// When `W` refuses its first bytes, or the codec cannot begin.
    pub fn begin(layout: &Arc<Layout>, to: W) -> Result<Self> {
        let properties = &layout.properties;
        let (schema, root) = &layout.rest;
        // Column writers come from a file's; this one has the library's columns alone.
        let rest = SerializedFileWriter::new(io::sink(), Arc::clone(root), Arc::clone(properties))?;
        // All columns have the same.
        let codec = layout.columns.iter().find_map(|way| match way {
            Way::Own(column) => Some(properties.compression(column.path())),
            Way::Library(..) => None,
        });
        Ok(Self {
            library: ArrowRowGroupWriterFactory::new(&rest, Arc::clone(schema)),
            file: SerializedFileWriter::new(to, Arc::clone(&layout.root), Arc::clone(properties))?,
            layout: Arc::clone(layout),
            compressor: codec.map_or(Ok(Compressor::None), Compressor::new)?,
            page: Vec::new(),
            open: None,
        })
    }

    /// Adds rows, whose columns are the schema's; text may come as views.
    ///
    /// # Errors
    /// When the library or `W` refuses, and for a column of another type.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let mut rest = batch.clone();
        while rest.num_rows() > 0 {
            let open = match self.open.take() {
                Some(open) => open,
                None => self.row_group()?,
            };
            let room = self.room(&open).min(rest.num_rows());
            let open = self.open.insert(open);
            if room == 0 {
                self.flush()?;
                continue;
            }
            let properties = &self.layout.properties;
            let mut tools = Tools {
                properties,
                compressor: &mut self.compressor,
                page: &mut self.page,
            };
            open.write(&rest.slice(0, room), &mut tools)?;
            let full = properties
                .max_row_group_row_count()
                .is_some_and(|max| open.rows >= max)
                || properties
                    .max_row_group_bytes()
                    .is_some_and(|max| open.bytes() >= max);
            if full {
                self.flush()?;
            }
            rest = rest.slice(room, rest.num_rows() - room);
        }
        Ok(())
    }

    /// Ends the open row group.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub fn flush(&mut self) -> Result<()> {
        let Some(open) = self.open.take() else {
            return Ok(());
        };
        let mut tools = Tools {
            properties: &self.layout.properties,
            compressor: &mut self.compressor,
            page: &mut self.page,
        };
        let mut row_group = self.file.next_row_group()?;
        for column in open.columns {
            match column {
                Writer::Own(column) => {
                    let (pages, closed) = column.close(&mut tools)?;
                    row_group.append_column(&pages, closed)?;
                }
                Writer::Library(_, writers) => {
                    for writer in writers {
                        writer.close()?.append_to_row_group(&mut row_group)?;
                    }
                }
            }
        }
        row_group.close()?;
        Ok(())
    }

    /// Ends the file and returns its footer; all bytes went to `W`.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub fn finish(&mut self) -> Result<ParquetMetaData> {
        self.flush()?;
        self.file.finish()
    }

    /// Returns where bytes go.
    pub fn inner_mut(&mut self) -> &mut W {
        self.file.inner_mut()
    }

    /// Returns the bytes written out.
    pub fn bytes_written(&self) -> usize {
        self.file.bytes_written()
    }

    /// Returns the bytes of the open row group, about.
    pub fn bytes_in_progress(&self) -> usize {
        self.open.as_ref().map_or(0, RowGroup::bytes)
    }

    /// Returns the memory that the open row group takes.
    pub fn memory_bytes(&self) -> usize {
        self.open.as_ref().map_or(0, RowGroup::memory_bytes)
    }

    fn row_group(&self) -> Result<RowGroup> {
        let place = self.file.flushed_row_groups().len();
        let mut library = self.library.create_column_writers(place)?.into_iter();
        let ways = self.layout.columns.iter();
        let columns = ways.map(|way| match way {
            Way::Own(column) => {
                let column = Column::new(Arc::clone(column), &self.layout.properties);
                Writer::Own(Box::new(column))
            }
            Way::Library(field, leaves) => {
                let writers = library.by_ref().take(*leaves);
                Writer::Library(Arc::clone(field), writers.collect())
            }
        });
        Ok(RowGroup {
            rows: 0,
            columns: columns.collect(),
        })
    }

    /// Returns how many rows fit into a row group, by what those in it take.
    fn room(&self, open: &RowGroup) -> usize {
        let properties = &self.layout.properties;
        let by_rows = properties
            .max_row_group_row_count()
            .map_or(usize::MAX, |max| max - open.rows);
        let bytes = open.bytes().checked_div(open.rows).filter(|bytes| *bytes > 0);
        let by_bytes = properties.max_row_group_bytes().zip(bytes);
        let by_bytes = by_bytes.map_or(usize::MAX, |(max, bytes)| {
            max.saturating_sub(open.bytes()) / bytes
        });
        by_rows.min(by_bytes)
    }
}

impl RowGroup {
    fn write(&mut self, rows: &RecordBatch, tools: &mut Tools<'_>) -> Result<()> {
        if rows.num_columns() != self.columns.len() {
            let found = rows.num_columns();
            let message = format!("{found} columns came for {} of the file", self.columns.len());
            return Err(ParquetError::General(message));
        }
        for (column, array) in self.columns.iter_mut().zip(rows.columns()) {
            match column {
                Writer::Own(column) => column.write(array, tools)?,
                Writer::Library(field, writers) => {
                    for (writer, leaf) in writers.iter_mut().zip(compute_leaves(field, array)?) {
                        writer.write(&leaf)?;
                    }
                }
            }
        }
        self.rows += rows.num_rows();
        Ok(())
    }

    fn bytes(&self) -> usize {
        let columns = self.columns.iter();
        columns.map(Writer::bytes).sum()
    }

    fn memory_bytes(&self) -> usize {
        let columns = self.columns.iter();
        columns.map(Writer::memory_bytes).sum()
    }
}

impl Writer {
    fn bytes(&self) -> usize {
        match self {
            Self::Own(column) => column.bytes(),
            Self::Library(_, writers) => writers
                .iter()
                .map(ArrowColumnWriter::get_estimated_total_bytes)
                .sum(),
        }
    }

    fn memory_bytes(&self) -> usize {
        match self {
            Self::Own(column) => column.memory_bytes(),
            Self::Library(_, writers) => writers.iter().map(ArrowColumnWriter::memory_size).sum(),
        }
    }
}

#[cfg(test)]
mod tests;
