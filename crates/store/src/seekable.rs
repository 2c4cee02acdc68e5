//! Logs of tasks that have ended: compressed in frames, each of which can be read without the others.
//!
//! The form is zstd's own seekable format: ordinary frames, then a skippable frame with the size of each. `zstd -d` reads it.
//! <https://github.com/facebook/zstd/blob/dev/contrib/seekable_format/zstd_seekable_compression_format.md>

use std::{
    fs::File,
    io::{self, Read, Write},
    os::unix::fs::FileExt,
};

/// A frame has so many bytes of the log: small enough that a page costs one or two of them, large enough to compress well.
const FRAME_BYTES: usize = 256 * 1024;
/// Logs repeat themselves: more effort finds little more.
const LEVEL: i32 = 5;
const SKIPPABLE_MAGIC: u32 = 0x184D_2A5E;
const SEEKABLE_MAGIC: u32 = 0x8F92_EAB1;
/// The last bytes: how many frames, a descriptor (no checksums of ours: a frame has zstd's), the magic.
const FOOTER_BYTES: u64 = 9;
const ENTRY_BYTES: u64 = 8;
/// A log has at most a thousand frames; a table of more is damaged.
const MAX_FRAMES: u64 = 1 << 16;

/// Where a compressed log is.
pub(crate) trait ReadAt: std::fmt::Debug + Send + Sync {
    /// Returns how many bytes there are.
    fn length(&self) -> io::Result<u64>;
    /// Fills `bytes` with those from `at` on.
    fn read_exact_at(&self, bytes: &mut [u8], at: u64) -> io::Result<()>;
}

impl ReadAt for File {
    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_exact_at(&self, bytes: &mut [u8], at: u64) -> io::Result<()> {
        FileExt::read_exact_at(self, bytes, at)
    }
}

/// A compressed log.
#[derive(Debug)]
pub(crate) struct Frames {
    file: Box<dyn ReadAt>,
    frames: Vec<Frame>,
}

#[derive(Clone, Copy, Debug)]
struct Frame {
    /// Where it is in the file, and how long it is there.
    at: u64,
    length: u32,
    /// Where its bytes are in the log, and how many they are.
    offset: u64,
    size: u32,
}

/// Compresses everything that `from` has.
pub(crate) fn compress(mut from: impl Read, mut to: impl Write) -> io::Result<()> {
    let mut compressor = zstd::bulk::Compressor::new(LEVEL)?;
    compressor.include_checksum(true)?;
    let mut table = Vec::new();
    loop {
        let mut bytes = Vec::with_capacity(FRAME_BYTES);
        from.by_ref().take(FRAME_BYTES as u64).read_to_end(&mut bytes)?;
        if bytes.is_empty() {
            break;
        }
        let frame = compressor.compress(&bytes)?;
        to.write_all(&frame)?;
        table.extend_from_slice(&(frame.len() as u32).to_le_bytes());
        table.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    }
    let count = (table.len() as u64 / ENTRY_BYTES) as u32;
    to.write_all(&SKIPPABLE_MAGIC.to_le_bytes())?;
    to.write_all(&(table.len() as u32 + FOOTER_BYTES as u32).to_le_bytes())?;
    to.write_all(&table)?;
    to.write_all(&count.to_le_bytes())?;
    to.write_all(&[0])?;
    to.write_all(&SEEKABLE_MAGIC.to_le_bytes())?;
    to.flush()
}

impl Frames {
    /// Reads the table of a compressed log.
    pub(crate) fn open(file: impl ReadAt + 'static) -> io::Result<Frames> {
        let length = file.length()?;
        let mut footer = [0; FOOTER_BYTES as usize];
        file.read_exact_at(&mut footer, length.checked_sub(FOOTER_BYTES).ok_or_else(damaged)?)?;
        let count = u64::from(le(&footer[..4]));
        if le(&footer[5..]) != SEEKABLE_MAGIC || count > MAX_FRAMES {
            return Err(damaged());
        }
        let begin = length.checked_sub(FOOTER_BYTES + count * ENTRY_BYTES).ok_or_else(damaged)?;
        let mut table = vec![0; (count * ENTRY_BYTES) as usize];
        file.read_exact_at(&mut table, begin)?;
        let (mut at, mut offset, mut frames) = (0, 0, Vec::with_capacity(count as usize));
        for entry in table.chunks_exact(ENTRY_BYTES as usize) {
            let frame = Frame { at, length: le(&entry[..4]), offset, size: le(&entry[4..]) };
            if frame.size as usize > FRAME_BYTES {
                return Err(damaged());
            }
            at += u64::from(frame.length);
            offset += u64::from(frame.size);
            frames.push(frame);
        }
        Ok(Frames { file: Box::new(file), frames })
    }

    /// Returns how many bytes the log has.
    pub(crate) fn size(&self) -> u64 {
        self.frames.last().map_or(0, |last| last.offset + u64::from(last.size))
    }

    /// Returns the bytes from `offset` on.
    pub(crate) fn read(&self, offset: u64, max_bytes: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let first = self.frames.partition_point(|frame| frame.offset + u64::from(frame.size) <= offset);
        for frame in &self.frames[first..] {
            if bytes.len() == max_bytes {
                break;
            }
            let whole = self.frame(*frame)?;
            let from = offset.saturating_sub(frame.offset) as usize;
            let to = whole.len().min(from + max_bytes - bytes.len());
            bytes.extend_from_slice(&whole[from..to]);
        }
        Ok(bytes)
    }

    fn frame(&self, frame: Frame) -> io::Result<Vec<u8>> {
        let mut compressed = vec![0; frame.length as usize];
        self.file.read_exact_at(&mut compressed, frame.at)?;
        let bytes = zstd::bulk::decompress(&compressed, frame.size as usize)?;
        if bytes.len() == frame.size as usize { Ok(bytes) } else { Err(damaged()) }
    }
}

fn le(bytes: &[u8]) -> u32 {
    u32::from_le_bytes(bytes.try_into().expect("four bytes"))
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the compressed log is damaged")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(bytes: &[u8]) -> (tempfile::NamedTempFile, Frames) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        compress(bytes, &mut file).unwrap();
        let frames = Frames::open(file.reopen().unwrap()).unwrap();
        (file, frames)
    }

    fn log() -> Vec<u8> {
        (0..80_000).flat_map(|line| format!("line {line}: gcc -c x{}.c\n", line % 97).into_bytes()).collect()
    }

    #[test]
    fn every_part_is_read_as_it_was_written() {
        let log = log();
        let (_file, frames) = frames(&log);

        assert_eq!(frames.size(), log.len() as u64);
        assert!(frames.frames.len() > 5, "{}", frames.frames.len());
        let edges =
            [0, 1, FRAME_BYTES - 1, FRAME_BYTES, FRAME_BYTES + 1, 3 * FRAME_BYTES - 7, log.len() - 1, log.len()];
        for from in edges {
            for length in [0, 1, 1000, FRAME_BYTES, 2 * FRAME_BYTES + 5] {
                let expected = &log[from..log.len().min(from + length)];
                assert!(frames.read(from as u64, length).unwrap() == expected, "{length} bytes from {from}");
            }
        }
        assert!(frames.read(log.len() as u64 + 5, 10).unwrap().is_empty());
    }

    #[test]
    fn a_log_takes_a_fraction_of_its_room_and_zstd_reads_it() {
        let log = log();
        let (file, _) = frames(&log);

        assert!(file.as_file().metadata().unwrap().len() < log.len() as u64 / 5);
        let read = std::process::Command::new("zstd").arg("-dcq").stdin(file.reopen().unwrap()).output().unwrap();
        assert!(read.status.success() && read.stdout == log, "{}", String::from_utf8_lossy(&read.stderr));
    }

    #[test]
    fn an_empty_log_is_one() {
        assert_eq!(frames(b"").1.size(), 0);
        assert!(frames(b"").1.read(0, 10).unwrap().is_empty());
    }

    #[test]
    fn what_is_cut_off_or_altered_is_no_log() {
        let (file, _) = frames(&log());
        let bytes = std::fs::read(file.path()).unwrap();
        for end in [0, 5, bytes.len() / 2, bytes.len() - 1] {
            let cut = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(cut.path(), &bytes[..end]).unwrap();
            assert!(Frames::open(cut.reopen().unwrap()).is_err(), "{end}");
        }
        let mut altered = bytes.clone();
        altered[2000] ^= 0xff;
        std::fs::write(file.path(), altered).unwrap();
        assert!(Frames::open(file.reopen().unwrap()).unwrap().read(0, 10).is_err());
    }
}
