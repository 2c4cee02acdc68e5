//! Reads `filelists.xml`, one package at a time.

use std::io::BufRead;

use anima_rpm_file::FileKind;
use anima_types::{Evr, Nevra};

use crate::{
    PackageFile, Result,
    repomd::start,
    xml::{Document, Element, Node},
};

/// All paths of one package.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PackageFiles {
    /// The package.
    pub nevra: Nevra,
    /// What it owns, in the order of the file.
    pub files: Vec<PackageFile>,
}

/// Packages in the order of the file; after an error there are no more.
pub struct FilelistsReader<R: BufRead> {
    document: Document<R>,
    is_begun: bool,
    is_done: bool,
}

impl<R: BufRead> FilelistsReader<R> {
    /// Reads unpacked XML; `name` is what errors call it.
    pub fn new(reader: R, name: &str) -> FilelistsReader<R> {
        FilelistsReader { document: Document::new(reader, name), is_begun: false, is_done: false }
    }

    fn read(&mut self) -> Result<Option<PackageFiles>> {
        if !self.is_begun {
            start(&mut self.document, "filelists")?;
            self.is_begun = true;
        }
        loop {
            self.document.settle();
            match self.document.next()? {
                Node::Start(element) if element.name == "package" => return self.package(&element).map(Some),
                Node::Start(_) => self.document.skip()?,
                Node::Text(_) => {}
                Node::End | Node::Eof => return Ok(None),
            }
        }
    }

    fn package(&mut self, head: &Element) -> Result<PackageFiles> {
        let text = |element: &Element, name: &str| element.get(name).unwrap_or_default().to_string();
        let mut nevra = Nevra { name: text(head, "name"), evr: Evr::new(0, "", ""), arch: text(head, "arch") };
        let mut files = Vec::new();
        loop {
            match self.document.next()? {
                Node::Start(element) if element.name == "version" => {
                    let epoch = element.get("epoch").and_then(|epoch| epoch.parse().ok()).unwrap_or(0);
                    nevra.evr = Evr::new(epoch, text(&element, "ver"), text(&element, "rel"));
                    self.document.skip()?;
                }
                Node::Start(element) if element.name == "file" => {
                    let kind = match element.get("type") {
                        Some("dir") => FileKind::Dir,
                        Some("ghost") => FileKind::Ghost,
                        _ => FileKind::File,
                    };
                    files.push(PackageFile { path: self.document.read_text()?, kind });
                }
                Node::Start(_) => self.document.skip()?,
                Node::Text(_) => {}
                Node::End | Node::Eof => return Ok(PackageFiles { nevra, files }),
            }
        }
    }
}

impl<R: BufRead> Iterator for FilelistsReader<R> {
    type Item = Result<PackageFiles>;

    fn next(&mut self) -> Option<Result<PackageFiles>> {
        if self.is_done {
            return None;
        }
        let answer = self.read().transpose();
        self.is_done = !matches!(answer, Some(Ok(_)));
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_read_with_their_paths_and_a_damaged_document_ends_with_an_error() {
        let xml = "<filelists packages=\"2\"><package pkgid=\"x\" name=\"jq\" arch=\"x86_64\">\
                   <version epoch=\"1\" ver=\"1.7\" rel=\"2\"/><file>/usr/bin/jq</file><file type=\"dir\">/usr/share/a &amp; b</file>\
                   </package><package pkgid=\"y\" name=\"none\" arch=\"noarch\"><version epoch=\"0\" ver=\"1\" rel=\"1\"/></package></filelists>";

        let read: Vec<PackageFiles> = FilelistsReader::new(xml.as_bytes(), "x").collect::<Result<_>>().unwrap();
        let cut: Vec<Result<PackageFiles>> = FilelistsReader::new(&xml.as_bytes()[..150], "x").collect();

        assert_eq!(
            read.iter().map(|one| one.nevra.to_string()).collect::<Vec<_>>(),
            ["jq-1:1.7-2.x86_64", "none-1-1.noarch"]
        );
        assert_eq!(read[0].files[1], PackageFile { path: "/usr/share/a & b".into(), kind: FileKind::Dir });
        assert!(cut.len() == 1 && cut[0].is_err(), "{cut:?}");
    }
}
