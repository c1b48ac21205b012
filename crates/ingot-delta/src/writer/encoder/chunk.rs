//! The pages of one column in one row group, and what the footer says of them.

use std::io::{Chain, Read};

use bytes::buf::Reader;
use bytes::{Buf, Bytes};
use parquet::basic::{BoundaryOrder, ConvertedType, Encoding, EncodingMask, LogicalType, PageType, Type};
use parquet::column::page::{CompressedPage, Page, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::data_type::ByteArray;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{
    ColumnChunkMetaData, ColumnIndexBuilder, LevelHistogram, OffsetIndexBuilder, PageEncodingStats,
};
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::statistics::{Statistics, ValueStatistics};
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;

use super::compressor::Compressor;
use super::integers;
use super::page::{Bounds, Dictionary, PageValues, cut_above, cut_below};

/// See the module.
pub(super) struct Chunk {
    column: ColumnDescPtr,
    /// Of a column of text: its bounds are cut between characters.
    utf8: bool,
    /// Data pages with their headers.
    pages: TrackedWrite<Vec<u8>>,
    dictionary: Bytes,
    totals: Totals,
    column_index: ColumnIndexBuilder,
    offset_index: OffsetIndexBuilder,
    /// Where the pages of the offset index begin, and their bytes.
    places: Vec<(u64, usize)>,
    ordered: Ordered,
}

/// Sums over all pages.
#[derive(Default)]
struct Totals {
    rows: usize,
    nulls: usize,
    bounds: Option<Bounds>,
    text_bytes: Option<usize>,
    uncompressed_bytes: usize,
    /// How many data pages are encoded in which way, one after the other.
    encodings: Vec<PageEncodingStats>,
}

/// Whether the bounds of pages go up or down from each to the next.
struct Ordered {
    up: bool,
    down: bool,
    last: Option<Bounds>,
}

/// The rows of one page.
#[derive(Debug, Clone, Copy)]
pub(super) struct PageRows {
    pub rows: usize,
    pub nulls: usize,
}

impl Chunk {
    pub fn new(column: ColumnDescPtr) -> Self {
        let utf8 = column.logical_type_ref() == Some(&LogicalType::String)
            || column.converted_type() == ConvertedType::UTF8;
        Self {
            utf8,
            pages: TrackedWrite::new(Vec::new()),
            dictionary: Bytes::new(),
            totals: Totals::default(),
            column_index: ColumnIndexBuilder::new(column.physical_type()),
            offset_index: OffsetIndexBuilder::new(),
            places: Vec::new(),
            ordered: Ordered {
                up: true,
                down: true,
                last: None,
            },
            column,
        }
    }

    /// Returns the bytes of all pages so far.
    pub fn bytes(&self) -> usize {
        self.pages.bytes_written() + self.dictionary.len()
    }

    /// Returns the memory held.
    pub fn memory_bytes(&self) -> usize {
        self.pages.inner().capacity() + self.dictionary.len()
    }

    /// Adds a data page of `plain` bytes: levels and values.
    ///
    /// # Errors
    /// When the codec fails.
    pub fn add_page(
        &mut self,
        rows: PageRows,
        values: PageValues,
        plain: &[u8],
        compressor: &mut Compressor,
        properties: &WriterProperties,
    ) -> Result<()> {
        self.index(rows, values.bounds.as_ref(), properties);
        let text_bytes = values.text_bytes.map(count).transpose()?;
        self.offset_index.append_row_count(count(rows.rows)?);
        self.offset_index
            .append_unencoded_byte_array_data_bytes(text_bytes);
        let page = Page::DataPage {
            buf: compressor.compress(plain)?.into(),
            num_values: u32::try_from(rows.rows).map_err(|_| too_large("a page's rows"))?,
            encoding: values.encoding,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        let written =
            SerializedPageWriter::new(&mut self.pages).write_page(CompressedPage::new(page, plain.len()))?;
        self.places.push((written.offset, written.compressed_size));

        let totals = &mut self.totals;
        totals.rows += rows.rows;
        totals.nulls += rows.nulls;
        totals.uncompressed_bytes += written.uncompressed_size;
        if let Some(bytes) = values.text_bytes {
            *totals.text_bytes.get_or_insert(0) += bytes;
        }
        match (&mut totals.bounds, values.bounds) {
            (Some(bounds), Some(more)) => bounds.merge(&more),
            (bounds @ None, more) => *bounds = more,
            (Some(_), None) => {}
        }
        match totals.encodings.last_mut() {
            Some(last) if last.encoding == values.encoding => last.count += 1,
            _ => totals.encodings.push(pages(PageType::DATA_PAGE, values.encoding)),
        }
        Ok(())
    }

    /// Adds a page's part of the column index.
    fn index(&mut self, rows: PageRows, bounds: Option<&Bounds>, properties: &WriterProperties) {
        let nulls = i64::try_from(rows.nulls).unwrap_or(i64::MAX);
        let (low, high) = match bounds {
            Some(bounds) => {
                self.ordered.next(bounds);
                let bytes_max = properties.column_index_truncate_length();
                self.bounds_bytes(bounds, bytes_max.unwrap_or(usize::MAX))
            }
            None => (Vec::new(), Vec::new()),
        };
        self.column_index.append(bounds.is_none(), low, high, nulls);
        self.column_index.append_histograms(&None, &self.histogram(rows));
    }

    /// Returns bounds as their bytes in the index.
    fn bounds_bytes(&self, bounds: &Bounds, bytes_max: usize) -> (Vec<u8>, Vec<u8>) {
        match bounds {
            Bounds::Integers(low, high) => {
                let bytes = match self.column.physical_type() {
                    Type::INT32 => size_of::<i32>(),
                    _ => size_of::<i64>(),
                };
                (
                    low.to_le_bytes()[..bytes].to_vec(),
                    high.to_le_bytes()[..bytes].to_vec(),
                )
            }
            Bounds::Text(low, high) => (
                cut_below(low, bytes_max, self.utf8).to_vec(),
                cut_above(high, bytes_max, self.utf8),
            ),
        }
    }

    /// Counts nulls and values of a column that may have nulls.
    fn histogram(&self, rows: PageRows) -> Option<LevelHistogram> {
        let counts =
            [rows.nulls, rows.rows - rows.nulls].map(|count| i64::try_from(count).unwrap_or(i64::MAX));
        (self.column.max_def_level() > 0).then(|| counts.to_vec().into())
    }

    /// Adds the dictionary of the data pages so far; there is one at most.
    ///
    /// # Errors
    /// When the codec fails.
    pub fn add_dictionary(&mut self, dictionary: Dictionary, compressor: &mut Compressor) -> Result<()> {
        let page = Page::DictionaryPage {
            buf: compressor.compress(&dictionary.page)?.into(),
            num_values: u32::try_from(dictionary.count).map_err(|_| too_large("a dictionary"))?,
            encoding: Encoding::PLAIN,
            is_sorted: false,
        };
        let mut bytes = TrackedWrite::new(Vec::new());
        let page = CompressedPage::new(page, dictionary.page.len());
        let written = SerializedPageWriter::new(&mut bytes).write_page(page)?;
        self.totals.uncompressed_bytes += written.uncompressed_size;
        self.dictionary = bytes.into_inner()?.into();
        Ok(())
    }

    /// Returns the pages, and what the footer says of them.
    ///
    /// # Errors
    /// When the library holds the metadata to be invalid.
    pub fn close(mut self, properties: &WriterProperties) -> Result<(Pages, ColumnCloseResult)> {
        let (bytes, totals) = (self.bytes(), &self.totals);
        let head = self.dictionary.len();
        for (offset, size) in &self.places {
            let size = i32::try_from(*size).map_err(|_| too_large("a page"))?;
            self.offset_index
                .append_offset_and_size(count(head)? + i64::try_from(*offset).unwrap_or(i64::MAX), size);
        }
        self.column_index.set_boundary_order(self.ordered.order());

        let mut encodings = totals.encodings.clone();
        if head > 0 {
            encodings.insert(0, pages(PageType::DICTIONARY_PAGE, Encoding::PLAIN));
        }
        let used = encodings
            .iter()
            .map(|pages| pages.encoding)
            .chain([Encoding::RLE]);
        let rows = PageRows {
            rows: totals.rows,
            nulls: totals.nulls,
        };
        let metadata = ColumnChunkMetaData::builder(self.column.clone())
            .set_compression(properties.compression(self.column.path()))
            .set_encodings_mask(EncodingMask::new_from_encodings(used.collect::<Vec<_>>().iter()))
            .set_page_encoding_stats(encodings)
            .set_total_compressed_size(count(bytes)?)
            .set_total_uncompressed_size(count(totals.uncompressed_bytes)?)
            .set_num_values(count(totals.rows)?)
            .set_data_page_offset(count(head)?)
            .set_dictionary_page_offset((head > 0).then_some(0))
            .set_statistics(self.statistics(properties))
            .set_unencoded_byte_array_data_bytes(totals.text_bytes.map(count).transpose()?)
            .set_definition_level_histogram(self.histogram(rows))
            .build()?;
        let closed = ColumnCloseResult {
            bytes_written: bytes as u64,
            rows_written: totals.rows as u64,
            bloom_filter: None,
            metadata,
            column_index: Some(self.column_index.build()?),
            offset_index: Some(self.offset_index.build()),
        };
        let pages = Pages {
            dictionary: self.dictionary,
            data: self.pages.into_inner()?.into(),
        };
        Ok((pages, closed))
    }

    fn statistics(&self, properties: &WriterProperties) -> Statistics {
        let nulls = self.totals.nulls as u64;
        let signed = self.column.sort_order().is_signed();
        let (low, high) = match (&self.totals.bounds, self.column.physical_type()) {
            (bounds, physical @ (Type::INT32 | Type::INT64)) => {
                let bounds = match bounds {
                    Some(Bounds::Integers(low, high)) => Some((*low, *high)),
                    _ => None,
                };
                return integers::statistics(physical, bounds, nulls, signed);
            }
            (Some(bounds @ Bounds::Text(low, high)), _) => {
                let bytes_max = properties.statistics_truncate_length().unwrap_or(usize::MAX);
                let (lower, upper) = self.bounds_bytes(bounds, bytes_max);
                (Some((lower == *low, lower)), Some((upper == *high, upper)))
            }
            _ => (None, None),
        };
        let (low_is_exact, low) = low.map_or((true, None), |(exact, low)| (exact, Some(low)));
        let (high_is_exact, high) = high.map_or((true, None), |(exact, high)| (exact, Some(high)));
        let (low, high) = (low.map(ByteArray::from), high.map(ByteArray::from));
        Statistics::ByteArray(
            ValueStatistics::new(low, high, None, Some(nulls), false)
                .with_backwards_compatible_min_max(signed)
                .with_min_is_exact(low_is_exact)
                .with_max_is_exact(high_is_exact),
        )
    }
}

impl Ordered {
    fn next(&mut self, bounds: &Bounds) {
        if let Some(last) = &self.last {
            self.up &= last.not_above(bounds);
            self.down &= bounds.not_above(last);
        }
        self.last = Some(bounds.clone());
    }

    fn order(&self) -> BoundaryOrder {
        match (self.up, self.down) {
            (true, _) => BoundaryOrder::ASCENDING,
            (false, true) => BoundaryOrder::DESCENDING,
            (false, false) => BoundaryOrder::UNORDERED,
        }
    }
}

/// The bytes of a chunk: the dictionary, then the data.
pub(super) struct Pages {
    dictionary: Bytes,
    data: Bytes,
}

impl Length for Pages {
    fn len(&self) -> u64 {
        (self.dictionary.len() + self.data.len()) as u64
    }
}

impl ChunkReader for Pages {
    type T = Chain<Reader<Bytes>, Reader<Bytes>>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        let start = usize::try_from(start).map_err(|_| too_large("a chunk"))?;
        let mut dictionary = self.dictionary.clone();
        let mut data = self.data.clone();
        let skipped = start.min(dictionary.len());
        dictionary.advance(skipped);
        data.advance((start - skipped).min(data.len()));
        Ok(dictionary.reader().chain(data.reader()))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        let mut bytes = Vec::with_capacity(length);
        self.get_read(start)?
            .take(length as u64)
            .read_to_end(&mut bytes)?;
        Ok(bytes.into())
    }
}

fn pages(page_type: PageType, encoding: Encoding) -> PageEncodingStats {
    PageEncodingStats {
        page_type,
        encoding,
        count: 1,
    }
}

fn count(count: usize) -> Result<i64> {
    i64::try_from(count).map_err(|_| too_large("a chunk"))
}

fn too_large(what: &str) -> ParquetError {
    ParquetError::General(format!("{what} is larger than Parquet can say"))
}
