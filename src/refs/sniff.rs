//! What a file is, by its first and last bytes, never by its name.

use std::io::Read;

use bytes::Bytes;

use super::cells::column_names;
use super::error::RefsError;
use super::{gik, k_index};

/// How a file is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip.
    Gzip,
    /// Zstandard.
    Zstd,
}

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// kerchunk JSON.
    Json,
    /// GIK Parquet.
    Gik,
    /// A `k_index` or mapping table.
    KIndex,
    /// Parquet of another kind: a table of gribfs, or a stranger's.
    OtherParquet,
    /// None of these.
    Other,
}

/// The packing of a file that begins so.
#[must_use]
pub fn sniff_compression(head: &[u8]) -> Compression {
    if head.starts_with(&[0x1f, 0x8b]) {
        Compression::Gzip
    } else if head.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        Compression::Zstd
    } else {
        Compression::None
    }
}

/// What a file is that begins with `head`, once unpacked. Of Parquet, `footer` gives the bytes between data and the last 8.
///
/// # Errors
/// [`RefsError`] for Parquet that cannot be read.
pub fn sniff(
    head: &[u8],
    footer: impl FnOnce() -> Result<Bytes, RefsError>,
) -> Result<Format, RefsError> {
    if head.starts_with(b"PAR1") {
        let columns = column_names(&footer()?)?;
        return Ok(if gik::is_gik(&columns) {
            Format::Gik
        } else if k_index::is_k_index(&columns) {
            Format::KIndex
        } else {
            Format::OtherParquet
        });
    }
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    Ok(match head.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'{' | b'[') => Format::Json,
        _ => Format::Other,
    })
}

/// Length of a Parquet file's footer, from the file's last 8 bytes.
///
/// # Errors
/// [`RefsError::Parquet`] where it is no Parquet.
pub fn parquet_footer_length(end: &[u8; 8]) -> Result<usize, RefsError> {
    super::cells::footer_length(end)
}

/// The footer of a whole Parquet file.
///
/// # Errors
/// [`RefsError::Parquet`] where it is no Parquet.
pub fn parquet_footer(file: &[u8]) -> Result<&[u8], RefsError> {
    super::cells::footer_of(file)
}

/// A reader that unpacks.
///
/// # Errors
/// [`RefsError::Read`] where the packing's head is broken.
pub fn decompress<'a>(
    reader: impl Read + 'a,
    compression: Compression,
) -> Result<Box<dyn Read + 'a>, RefsError> {
    Ok(match compression {
        Compression::None => Box::new(reader),
        Compression::Gzip => Box::new(flate2::read::MultiGzDecoder::new(
            std::io::BufReader::with_capacity(1 << 18, reader),
        )),
        Compression::Zstd => Box::new(
            zstd::stream::read::Decoder::new(reader)
                .map_err(|error| RefsError::Read(error.to_string()))?,
        ),
    })
}
