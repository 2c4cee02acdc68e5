//! Packing and unpacking, within bounds.

use std::io::{self, BufRead, BufReader, Read, Write};

use flate2::{GzBuilder, bufread::MultiGzDecoder, write::GzEncoder};
use serde::{Deserialize, Serialize};

/// The most that a metadata file may unpack to: the largest known, Fedora's filelists, has 0.8 GB.
pub const MAX_OPEN_BYTES: u64 = 2 << 30;
/// The largest window that a zstd frame may ask for: 128 MiB, what the `zstd` program allows.
const MAX_ZSTD_WINDOW_LOG: u32 = 27;
/// The most memory that unpacking xz may take: its strongest preset needs 65 MiB.
const MAX_XZ_MEMORY: u64 = 128 << 20;
const GZIP_LEVEL: u32 = 6;
const ZSTD_LEVEL: i32 = 10;

/// How new metadata is packed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// What every client reads.
    Gzip,
    /// Smaller and faster; for EL 9 and later.
    Zstd,
}

impl Compression {
    /// Returns the end of a file's name.
    pub fn suffix(self) -> &'static str {
        match self {
            Compression::Gzip => ".gz",
            Compression::Zstd => ".zst",
        }
    }

    /// Returns a writer whose output depends on nothing but its input.
    pub(crate) fn encoder<W: Write>(self, writer: W) -> io::Result<Encoder<W>> {
        match self {
            Compression::Gzip => {
                Ok(Encoder::Gzip(GzBuilder::new().mtime(0).write(writer, flate2::Compression::new(GZIP_LEVEL))))
            }
            Compression::Zstd => {
                let mut encoder = zstd::Encoder::new(writer, ZSTD_LEVEL)?;
                encoder.include_checksum(true)?;
                Ok(Encoder::Zstd(encoder))
            }
        }
    }
}

pub(crate) enum Encoder<W: Write> {
    Gzip(GzEncoder<W>),
    Zstd(zstd::Encoder<'static, W>),
}

impl<W: Write> Encoder<W> {
    pub(crate) fn finish(self) -> io::Result<W> {
        match self {
            Encoder::Gzip(encoder) => encoder.finish(),
            Encoder::Zstd(encoder) => encoder.finish(),
        }
    }
}

impl<W: Write> Write for Encoder<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Encoder::Gzip(encoder) => encoder.write(bytes),
            Encoder::Zstd(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Encoder::Gzip(encoder) => encoder.flush(),
            Encoder::Zstd(encoder) => encoder.flush(),
        }
    }
}

/// Returns a reader of what `name`, by its suffix, unpacks to; it fails after `max_bytes`.
pub(crate) fn open<'a>(name: &str, packed: impl BufRead + 'a, max_bytes: u64) -> io::Result<Box<dyn BufRead + 'a>> {
    let suffix = name.rsplit('/').next().and_then(|name| name.rsplit_once('.')).map_or("", |(_, suffix)| suffix);
    let reader: Box<dyn Read + 'a> = match suffix {
        "gz" => Box::new(MultiGzDecoder::new(packed)),
        "zst" => {
            let mut decoder = zstd::Decoder::with_buffer(packed)?;
            decoder.window_log_max(MAX_ZSTD_WINDOW_LOG)?;
            Box::new(decoder)
        }
        "xz" => {
            let stream = liblzma::stream::Stream::new_stream_decoder(MAX_XZ_MEMORY, liblzma::stream::CONCATENATED)?;
            Box::new(liblzma::bufread::XzDecoder::new_stream(packed, stream))
        }
        "bz2" | "zck" | "lzma" => {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                format!("files that end in .{suffix} are not read"),
            ));
        }
        _ => Box::new(packed),
    };
    Ok(Box::new(BufReader::new(Bounded { reader, left: max_bytes })))
}

/// A reader that ends in an error, not in silence, where there is more than it may give.
struct Bounded<R> {
    reader: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        match self.left.checked_sub(read as u64) {
            Some(left) => self.left = left,
            None => return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it unpacks to more than it may")),
        }
        Ok(read)
    }
}
