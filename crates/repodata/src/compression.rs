//! Packing and unpacking, within bounds.

use std::{
    cell::RefCell,
    io::{self, BufRead, BufReader, Read},
};

use anima_types::repository::Compression;
use flate2::bufread::MultiGzDecoder;
use libdeflater::{CompressionLvl, Compressor};

/// The most that a metadata file may unpack to: the largest known, Fedora's filelists, has 0.8 GB.
pub const MAX_OPEN_BYTES: u64 = 2 << 30;
/// The largest window that a zstd frame may ask for: 128 MiB, what the `zstd` program allows.
const MAX_ZSTD_WINDOW_LOG: u32 = 27;
/// The most memory that unpacking xz may take: its strongest preset needs 65 MiB.
const MAX_XZ_MEMORY: u64 = 128 << 20;
const GZIP_LEVEL: i32 = 6;
const ZSTD_LEVEL: i32 = 10;

/// Packs bytes into one gzip member or zstd frame, which depends on nothing but the bytes.
pub(crate) fn pack(compression: Compression, bytes: &[u8]) -> io::Result<Vec<u8>> {
    match compression {
        Compression::Gzip => gzip(bytes),
        Compression::Zstd => {
            let mut encoder = zstd::bulk::Compressor::new(ZSTD_LEVEL)?;
            encoder.include_checksum(true)?;
            encoder.compress(bytes)
        }
    }
}

/// Packs by libdeflate, which has the whole member at once and is therefore nearly twice as fast as zlib at the same size. The
/// member says nothing of a time or a name.
fn gzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
    thread_local! {
        // Its tables take half a megabyte, and are the same for all members.
        static COMPRESSOR: RefCell<Compressor> =
            RefCell::new(Compressor::new(CompressionLvl::new(GZIP_LEVEL).unwrap_or_default()));
    }
    COMPRESSOR.with_borrow_mut(|compressor| {
        let mut packed = vec![0; compressor.gzip_compress_bound(bytes.len())];
        let length = compressor.gzip_compress(bytes, &mut packed).map_err(io::Error::other)?;
        packed.truncate(length);
        packed.shrink_to_fit();
        Ok(packed)
    })
}

/// Returns what one frame unpacks to; more than `max_bytes` is an error.
pub(crate) fn unpack(compression: Compression, packed: &[u8], max_bytes: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(usize::try_from(max_bytes.min(MAX_OPEN_BYTES)).unwrap_or_default());
    open(compression.suffix(), packed, max_bytes)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Returns what a file in memory, whose name says how it is packed, unpacks to; more than `max_bytes` is an error.
pub fn unpacked(name: &str, packed: &[u8], max_bytes: u64) -> crate::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = open(name, packed, max_bytes).and_then(|mut reader| reader.read_to_end(&mut bytes));
    read.map_err(|source| crate::Error::Stream { action: "unpack", name: name.to_string(), source })?;
    Ok(bytes)
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
