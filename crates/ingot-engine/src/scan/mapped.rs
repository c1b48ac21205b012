//! Files whose columns have other names than the table's: they are read as if they had the table's.
//!
//! ```text
//! footer of the file (physical names, ids) ─► MappedReader ─► footer with logical names ─► DataFusion
//! ```
//! The names are changed in the footer and nowhere else, so projection, row groups, pages, bloom filters, dynamic
//! filters, nested fields and missing columns are treated as in any other file. A column of the file that is none of
//! the table's (it was dropped) gets a name that no column has.
//! Source: Delta protocol, "Column Mapping", "Reader Requirements for Column Mapping".

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef, Fields};
use bytes::Bytes;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::ParquetFileReaderFactory;
use datafusion::error::Result;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::FutureExt;
use futures::future::BoxFuture;
use ingot_delta::change_feed::CHANGE_TYPE;
use ingot_delta::{ColumnMapping, ColumnMappingMode, column_mapping};
use parquet::arrow::ARROW_SCHEMA_META_KEY;
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::errors::Result as ParquetResult;
use parquet::file::metadata::{
    ColumnChunkMetaData, FileMetaData, ParquetMetaData, ParquetMetaDataBuilder, RowGroupMetaData,
};
use parquet::schema::types::{ColumnDescPtr, SchemaDescPtr, SchemaDescriptor, Type, TypePtr};

use super::small_files::SmallFileReaderFactory;

/// Makes readers of files whose columns are mapped.
pub(super) struct MappedReaderFactory {
    files: SmallFileReaderFactory,
    mapping: ColumnMapping,
}

impl MappedReaderFactory {
    pub fn new(files: SmallFileReaderFactory, mapping: ColumnMapping) -> Self {
        Self { files, mapping }
    }
}

impl fmt::Debug for MappedReaderFactory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MappedReaderFactory").finish_non_exhaustive()
    }
}

impl ParquetFileReaderFactory for MappedReaderFactory {
    fn create_reader(
        &self,
        partition_index: usize,
        partitioned_file: PartitionedFile,
        metadata_size_hint: Option<usize>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Result<Box<dyn AsyncFileReader + Send>> {
        let file =
            self.files
                .create_reader(partition_index, partitioned_file, metadata_size_hint, metrics)?;
        Ok(Box::new(MappedReader {
            file,
            mapping: self.mapping.clone(),
        }))
    }
}

struct MappedReader {
    file: Box<dyn AsyncFileReader + Send>,
    mapping: ColumnMapping,
}

impl AsyncFileReader for MappedReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        self.file.get_bytes(range)
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, ParquetResult<Vec<Bytes>>> {
        self.file.get_byte_ranges(ranges)
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, ParquetResult<Arc<ParquetMetaData>>> {
        async move {
            let metadata = self.file.get_metadata(options).await?;
            logical_metadata(&metadata, &self.mapping).map(Arc::new)
        }
        .boxed()
    }
}

/// Returns the footer with the table's names.
fn logical_metadata(metadata: &ParquetMetaData, mapping: &ColumnMapping) -> ParquetResult<ParquetMetaData> {
    let file = metadata.file_metadata();
    let root = file.schema();
    let renamer = Renamer { mode: mapping.mode() };
    let fields = renamer.columns(root.get_fields(), mapping)?;
    let root = Type::group_type_builder(root.name())
        .with_fields(fields)
        .build()?;
    let schema: SchemaDescPtr = Arc::new(SchemaDescriptor::new(Arc::new(root)));
    // The writer's own idea of the schema has the names in the file.
    let key_values = file.key_value_metadata().map(|pairs| {
        let others = pairs.iter().filter(|pair| pair.key != ARROW_SCHEMA_META_KEY);
        others.cloned().collect()
    });
    let file = FileMetaData::new(
        file.version(),
        file.num_rows(),
        file.created_by().map(str::to_owned),
        key_values,
        Arc::clone(&schema),
        file.column_orders().cloned(),
    );
    let row_groups = metadata.row_groups().iter();
    let row_groups = row_groups
        .map(|row_group| logical_row_group(row_group, &schema))
        .collect::<ParquetResult<_>>()?;
    Ok(ParquetMetaDataBuilder::new(file)
        .set_row_groups(row_groups)
        .set_column_index(metadata.column_index().cloned())
        .set_offset_index(metadata.offset_index().cloned())
        .build())
}

fn logical_row_group(
    row_group: &RowGroupMetaData,
    schema: &SchemaDescPtr,
) -> ParquetResult<RowGroupMetaData> {
    let columns = row_group.columns().iter().enumerate();
    let columns = columns
        .map(|(place, column)| logical_chunk(column, schema.column(place)))
        .collect::<ParquetResult<_>>()?;
    let mut builder = RowGroupMetaData::builder(Arc::clone(schema))
        .set_num_rows(row_group.num_rows())
        .set_total_byte_size(row_group.total_byte_size())
        .set_sorting_columns(row_group.sorting_columns().cloned())
        .set_column_metadata(columns);
    if let Some(ordinal) = row_group.ordinal() {
        builder = builder.set_ordinal(ordinal);
    }
    if let Some(offset) = row_group.file_offset() {
        builder = builder.set_file_offset(offset);
    }
    builder.build()
}

fn logical_chunk(
    column: &ColumnChunkMetaData,
    descriptor: ColumnDescPtr,
) -> ParquetResult<ColumnChunkMetaData> {
    let mut builder = ColumnChunkMetaData::builder(descriptor)
        .set_encodings_mask(*column.encodings_mask())
        .set_num_values(column.num_values())
        .set_compression_codec(column.compression_codec())
        .set_total_compressed_size(column.compressed_size())
        .set_total_uncompressed_size(column.uncompressed_size())
        .set_data_page_offset(column.data_page_offset())
        .set_dictionary_page_offset(column.dictionary_page_offset())
        .set_index_page_offset(column.index_page_offset())
        .set_bloom_filter_offset(column.bloom_filter_offset())
        .set_bloom_filter_length(column.bloom_filter_length())
        .set_offset_index_offset(column.offset_index_offset())
        .set_offset_index_length(column.offset_index_length())
        .set_column_index_offset(column.column_index_offset())
        .set_column_index_length(column.column_index_length())
        .set_unencoded_byte_array_data_bytes(column.unencoded_byte_array_data_bytes())
        .set_repetition_level_histogram(column.repetition_level_histogram().cloned())
        .set_definition_level_histogram(column.definition_level_histogram().cloned());
    if let Some(path) = column.file_path() {
        builder = builder.set_file_path(path.to_owned());
    }
    if let Some(statistics) = column.statistics() {
        builder = builder.set_statistics(statistics.clone());
    }
    if let Some(statistics) = column.page_encoding_stats() {
        builder = builder.set_page_encoding_stats(statistics.clone());
    } else if let Some(mask) = column.page_encoding_stats_mask() {
        builder = builder.set_page_encoding_stats_mask(*mask);
    }
    builder.build()
}

struct Renamer {
    mode: ColumnMappingMode,
}

impl Renamer {
    /// Returns the columns of the file under the table's names. Files of changes have one more, and files of rows that
    /// moved have those of their ids, under their own names.
    fn columns(&self, in_file: &[TypePtr], mapping: &ColumnMapping) -> ParquetResult<Vec<TypePtr>> {
        let fields = mapping.fields();
        let hidden = mapping.hidden_columns().iter().map(String::as_str);
        let own: Vec<&str> = hidden.chain([CHANGE_TYPE]).collect();
        let mut renamed = self.fields(in_file, fields)?;
        for (column, renamed) in in_file.iter().zip(&mut renamed) {
            if own.contains(&column.name()) && fields.find(column.name()).is_none() {
                *renamed = Arc::clone(column);
            }
        }
        Ok(renamed)
    }

    /// Returns the fields of a struct of the file under the names of the table's `fields`.
    fn fields(&self, in_file: &[TypePtr], fields: &Fields) -> ParquetResult<Vec<TypePtr>> {
        let renamed = in_file.iter().enumerate().map(|(place, in_file)| {
            match fields.iter().find(|field| self.stands_for(in_file, field)) {
                Some(field) => self.renamed(in_file, field.name(), Some(field.data_type())),
                // No column's name holds this character.
                None => self.renamed(in_file, &format!("\0{place}"), None),
            }
        });
        renamed.map(|field| Ok(Arc::new(field?))).collect()
    }

    fn stands_for(&self, in_file: &Type, field: &FieldRef) -> bool {
        match self.mode {
            ColumnMappingMode::Name => in_file.name() == column_mapping::physical_name(field),
            ColumnMappingMode::Id => {
                let info = in_file.get_basic_info();
                info.has_id() && column_mapping::field_id(field) == Some(info.id())
            }
        }
    }

    /// Returns a type of the file called `name`, and what is in it called as in `data_type`.
    fn renamed(&self, in_file: &Type, name: &str, data_type: Option<&DataType>) -> ParquetResult<Type> {
        let info = in_file.get_basic_info();
        match in_file {
            Type::PrimitiveType {
                physical_type,
                type_length,
                scale,
                precision,
                ..
            } => Type::primitive_type_builder(name, *physical_type)
                .with_repetition(info.repetition())
                .with_converted_type(info.converted_type())
                .with_logical_type(info.logical_type_ref().cloned())
                .with_length(*type_length)
                .with_scale(*scale)
                .with_precision(*precision)
                .build(),
            Type::GroupType { fields, .. } => {
                let fields = match (data_type, fields.as_slice()) {
                    (Some(DataType::Struct(wanted)), _) => self.fields(fields, wanted)?,
                    (Some(DataType::List(item)), [repeated]) => {
                        vec![Arc::new(self.repeated(in_file.name(), name, repeated, item)?)]
                    }
                    (Some(DataType::Map(entries, _)), [pairs]) => {
                        vec![Arc::new(self.entries(pairs, entries.data_type())?)]
                    }
                    _ => fields.clone(),
                };
                group(in_file, name, fields)
            }
        }
    }

    /// Returns the repeated part of a list, of three levels or of two. Source: Parquet, "LogicalTypes", "Lists".
    fn repeated(&self, list: &str, new_list: &str, repeated: &Type, item: &FieldRef) -> ParquetResult<Type> {
        let two_levels = "array";
        let tuple = format!("{list}_tuple");
        match repeated {
            Type::GroupType { fields, .. } => match fields.as_slice() {
                [element] if repeated.name() != two_levels && repeated.name() != tuple => {
                    let element = self.renamed(element, element.name(), Some(item.data_type()))?;
                    group(repeated, repeated.name(), vec![Arc::new(element)])
                }
                _ => {
                    let name = match repeated.name() == tuple {
                        true => format!("{new_list}_tuple"),
                        false => repeated.name().to_owned(),
                    };
                    self.renamed(repeated, &name, Some(item.data_type()))
                }
            },
            Type::PrimitiveType { .. } => Ok(repeated.clone()),
        }
    }

    fn entries(&self, pairs: &Type, data_type: &DataType) -> ParquetResult<Type> {
        let (Type::GroupType { fields, .. }, DataType::Struct(wanted)) = (pairs, data_type) else {
            return Ok(pairs.clone());
        };
        let parts = fields.iter().zip(wanted).map(|(part, wanted)| {
            let part = self.renamed(part, part.name(), Some(wanted.data_type()))?;
            Ok(Arc::new(part))
        });
        group(pairs, pairs.name(), parts.collect::<ParquetResult<_>>()?)
    }
}

fn group(in_file: &Type, name: &str, fields: Vec<TypePtr>) -> ParquetResult<Type> {
    let info = in_file.get_basic_info();
    let mut builder = Type::group_type_builder(name)
        .with_converted_type(info.converted_type())
        .with_logical_type(info.logical_type_ref().cloned())
        .with_fields(fields);
    if info.has_repetition() {
        builder = builder.with_repetition(info.repetition());
    }
    builder.build()
}
