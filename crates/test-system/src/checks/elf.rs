//! What an ELF file asks of the loader. Only the parts that say it are read, each with a bound: the file is a stranger's.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use goblin::container::{Container, Ctx, Endian};
use goblin::elf::Elf as Parser;
use goblin::elf::dynamic::{DT_NEEDED, DT_NULL, DT_RPATH, DT_RUNPATH, DT_STRSZ, DT_STRTAB};
use goblin::elf::header::{ELFMAG, ET_DYN, ET_EXEC, Header};
use goblin::elf::program_header::{PT_DYNAMIC, PT_INTERP, PT_LOAD, ProgramHeader};

/// The largest header there is.
const HEADER_BYTES: usize = 64;
/// Program headers of real files are some dozens.
const MAX_PROGRAM_HEADERS: u16 = 512;
/// Entries of the dynamic section of real files are some dozens; those who need hundreds of libraries have hundreds.
const MAX_DYNAMIC_BYTES: u64 = 1024 * 1024;
/// The strings have the names of all dynamic symbols; the largest C++ libraries have tens of megabytes.
const MAX_STRINGS_BYTES: u64 = 256 * 1024 * 1024;
/// Real files need some dozens of libraries; each is looked for in many folders.
const MAX_NEEDED: usize = 1024;
/// The longest path.
const MAX_NAME_BYTES: u64 = 4096;

/// What an ELF file asks of the loader.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Elf {
    /// Whether it is for 64 bits.
    pub is_64: bool,
    /// The number of its machine.
    pub machine: u16,
    /// The loader that it names.
    pub interpreter: Option<String>,
    /// The libraries that it needs, by the names it has for them.
    pub needed: Vec<String>,
    /// Where it wants them looked for, for itself and what it loads.
    pub rpath: Option<String>,
    /// Where it wants them looked for; a file with this one has no other.
    pub runpath: Option<String>,
}

impl Elf {
    /// Reads a program or shared library; nothing when it is none, or is not whole.
    pub fn read(file: &File) -> Option<Elf> {
        let mut start = [0; HEADER_BYTES];
        let length = read_some(file, &mut start).ok()?;
        if length < HEADER_BYTES || !start.starts_with(ELFMAG) {
            return None;
        }
        let header = Parser::parse_header(&start).ok()?;
        if !matches!(header.e_type, ET_DYN | ET_EXEC) {
            return None;
        }
        let context = context(&header)?;
        let segments = segments(file, &header, context)?;
        let mut elf = Elf {
            is_64: context.container.is_big(),
            machine: header.e_machine,
            interpreter: segment(file, &segments, PT_INTERP, MAX_NAME_BYTES).map(|bytes| text_at(&bytes, 0)),
            needed: Vec::new(),
            rpath: None,
            runpath: None,
        };
        if let Some(dynamic) = segment(file, &segments, PT_DYNAMIC, MAX_DYNAMIC_BYTES) {
            elf.take(&entries(&dynamic, context), file, &segments);
        }
        Some(elf)
    }

    fn take(&mut self, entries: &[(u64, u64)], file: &File, segments: &[ProgramHeader]) {
        let value = |tag: u64| entries.iter().find(|entry| entry.0 == tag).map(|entry| entry.1);
        let (Some(address), Some(size)) = (value(DT_STRTAB), value(DT_STRSZ)) else { return };
        let Some(strings) =
            offset_of(address, segments).and_then(|offset| read_at(file, offset, size.min(MAX_STRINGS_BYTES)))
        else {
            return;
        };
        let text = |offset: u64| usize::try_from(offset).map(|offset| text_at(&strings, offset)).unwrap_or_default();
        let needed = entries.iter().filter(|entry| entry.0 == DT_NEEDED).take(MAX_NEEDED);
        self.needed = needed.map(|entry| text(entry.1)).collect();
        self.rpath = value(DT_RPATH).map(text);
        self.runpath = value(DT_RUNPATH).map(text);
    }
}

fn context(header: &Header) -> Option<Ctx> {
    Some(Ctx::new(header.container().ok()?, header.endianness().ok()?))
}

fn segments(file: &File, header: &Header, context: Ctx) -> Option<Vec<ProgramHeader>> {
    if header.e_phnum > MAX_PROGRAM_HEADERS {
        return None;
    }
    let size = ProgramHeader::size(context) * usize::from(header.e_phnum);
    let bytes = read_at(file, header.e_phoff, size as u64)?;
    ProgramHeader::parse(&bytes, 0, header.e_phnum.into(), context).ok()
}

fn segment(file: &File, segments: &[ProgramHeader], kind: u32, limit_bytes: u64) -> Option<Vec<u8>> {
    let segment = segments.iter().find(|segment| segment.p_type == kind)?;
    read_at(file, segment.p_offset, segment.p_filesz.min(limit_bytes))
}

/// Returns where in the file is what is loaded at an address.
fn offset_of(address: u64, segments: &[ProgramHeader]) -> Option<u64> {
    let holds = |segment: &&ProgramHeader| {
        segment.p_type == PT_LOAD
            && address.checked_sub(segment.p_vaddr).is_some_and(|distance| distance < segment.p_filesz)
    };
    let segment = segments.iter().find(holds)?;
    segment.p_offset.checked_add(address - segment.p_vaddr)
}

/// Returns tags and values up to the end mark.
fn entries(bytes: &[u8], context: Ctx) -> Vec<(u64, u64)> {
    let width = if context.container == Container::Big { 8 } else { 4 };
    let number = |bytes: &[u8]| {
        let mut wide = [0; 8];
        match context.le {
            Endian::Little => wide[..width].copy_from_slice(bytes),
            Endian::Big => wide[8 - width..].copy_from_slice(bytes),
        }
        if context.le == Endian::Little { u64::from_le_bytes(wide) } else { u64::from_be_bytes(wide) }
    };
    let pairs = bytes.chunks_exact(2 * width).map(|pair| (number(&pair[..width]), number(&pair[width..])));
    pairs.take_while(|(tag, _)| *tag != DT_NULL).collect()
}

fn text_at(bytes: &[u8], offset: usize) -> String {
    let rest = bytes.get(offset..).unwrap_or_default();
    let text = rest.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(&text[..text.len().min(MAX_NAME_BYTES as usize)]).into_owned()
}

/// Reads a part of the file, which has to be in it: memory is taken for what is there, not for what is claimed.
fn read_at(file: &File, offset: u64, size: u64) -> Option<Vec<u8>> {
    let length = file.metadata().ok()?.len();
    if offset.checked_add(size)? > length {
        return None;
    }
    let mut bytes = vec![0; usize::try_from(size).ok()?];
    file.read_exact_at(&mut bytes, offset).ok()?;
    Some(bytes)
}

fn read_some(file: &File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match file.read_at(&mut buffer[length..], length as u64)? {
            0 => break,
            count => length += count,
        }
    }
    Ok(length)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::checks::testing::{elf_with, own_program};

    fn file_of(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    #[test]
    fn a_real_program_is_read_as_the_loader_reads_it() {
        let elf = Elf::read(&File::open(own_program()).unwrap()).unwrap();

        assert!(elf.needed.iter().any(|name| name.starts_with("libc.so")), "{elf:?}");
        assert!(elf.interpreter.unwrap().contains("ld"));
    }

    #[test]
    fn libraries_and_paths_are_told() {
        let elf = Elf::read(&file_of(&elf_with(&["liba.so.1", "libb.so.2"], Some("$ORIGIN/../lib")))).unwrap();

        assert_eq!(elf.needed, ["liba.so.1", "libb.so.2"]);
        assert_eq!((elf.runpath.as_deref(), elf.rpath, elf.is_64), (Some("$ORIGIN/../lib"), None, true));
    }

    #[test]
    fn what_is_no_elf_or_is_cut_off_is_nothing_and_takes_no_memory() {
        let whole = elf_with(&["liba.so.1"], None);
        for bytes in [&b""[..], b"#!/bin/sh\n", ELFMAG, &whole[..HEADER_BYTES], &whole[..20]] {
            assert_eq!(Elf::read(&file_of(bytes)), None);
        }
        let mut lying = whole.clone();
        // Its program headers would be beyond the end of everything.
        lying[32..40].copy_from_slice(&u64::MAX.to_le_bytes());
        assert_eq!(Elf::read(&file_of(&lying)), None);
    }

    #[test]
    fn no_damage_makes_it_panic() {
        let whole = elf_with(&["liba.so.1"], Some("/x"));
        for index in 0..whole.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut damaged = whole.clone();
                damaged[index] = value;
                Elf::read(&file_of(&damaged));
            }
        }
    }
}
