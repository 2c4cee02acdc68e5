//! Reads `primary.xml`, one package at a time.

use std::io::BufRead;

use anima_rpm_file::{Comparison, Dependency, FileKind};
use anima_types::{Evr, Nevra};

use crate::{
    Checksum, Package, PackageFile, Result,
    repomd::{check_location, start},
    xml::{Document, Element, Node},
};

/// Packages in the order of the file; after an error there are no more.
pub struct PrimaryReader<R: BufRead> {
    document: Document<R>,
    state: State,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Before,
    Within,
    Done,
}

impl<R: BufRead> PrimaryReader<R> {
    /// Reads unpacked XML; `name` is what errors call it.
    pub fn new(reader: R, name: &str) -> PrimaryReader<R> {
        PrimaryReader { document: Document::new(reader, name), state: State::Before }
    }

    fn read(&mut self) -> Result<Option<Package>> {
        if self.state == State::Before {
            start(&mut self.document, "metadata")?;
            self.state = State::Within;
        }
        loop {
            self.document.settle();
            match self.document.next()? {
                Node::Start(element) if element.name == "package" => return package(&mut self.document).map(Some),
                Node::Start(_) => self.document.skip()?,
                Node::Text(_) => {}
                Node::End | Node::Eof => return Ok(None),
            }
        }
    }
}

impl<R: BufRead> Iterator for PrimaryReader<R> {
    type Item = Result<Package>;

    fn next(&mut self) -> Option<Result<Package>> {
        if self.state == State::Done {
            return None;
        }
        let answer = self.read().transpose();
        if !matches!(answer, Some(Ok(_))) {
            self.state = State::Done;
        }
        answer
    }
}

fn package<R: BufRead>(document: &mut Document<R>) -> Result<Package> {
    let mut package = empty();
    let depth = document.depth();
    while document.depth() >= depth {
        if let Node::Start(element) = document.next()? {
            field(document, &element, &mut package)?;
        }
    }
    let evr = &package.nevra.evr;
    let parts = [
        &package.nevra.name,
        &evr.version,
        &evr.release,
        &package.nevra.arch,
        &package.checksum.hex,
        &package.location,
    ];
    match parts.iter().any(|part| part.is_empty()) {
        true => {
            Err(document
                .error(format!("the package \"{}\" lacks a name, version, checksum or location", package.nevra)))
        }
        false => Ok(package),
    }
}

/// Takes one element of a package; `<format>` is only a frame around more of them.
fn field<R: BufRead>(document: &mut Document<R>, element: &Element, package: &mut Package) -> Result<()> {
    let text = match element.name.as_str() {
        "format" => return Ok(()),
        "name" => &mut package.nevra.name,
        "arch" => &mut package.nevra.arch,
        "summary" => &mut package.summary,
        "description" => &mut package.description,
        "packager" => &mut package.packager,
        "url" => &mut package.url,
        "license" => &mut package.license,
        "vendor" => &mut package.vendor,
        "group" => &mut package.group,
        "buildhost" => &mut package.build_host,
        "sourcerpm" => &mut package.source_rpm,
        "provides" => return entries(document, &mut package.provides),
        "requires" => return entries(document, &mut package.requires),
        "conflicts" => return entries(document, &mut package.conflicts),
        "obsoletes" => return entries(document, &mut package.obsoletes),
        "recommends" => return entries(document, &mut package.recommends),
        "suggests" => return entries(document, &mut package.suggests),
        "supplements" => return entries(document, &mut package.supplements),
        "enhances" => return entries(document, &mut package.enhances),
        "file" => {
            let kind = file_kind(element);
            package.files.push(PackageFile { path: document.read_text()?, kind });
            return Ok(());
        }
        "checksum" => {
            let kind = element.get("type").unwrap_or_default().to_string();
            package.checksum = Checksum { kind, hex: document.read_text()?.trim().to_ascii_lowercase() };
            return Ok(());
        }
        _ => {
            attributes(document, element, package)?;
            return document.skip();
        }
    };
    *text = document.read_text()?;
    Ok(())
}

fn attributes<R: BufRead>(document: &Document<R>, element: &Element, package: &mut Package) -> Result<()> {
    let text = |name: &str| element.get(name).unwrap_or_default().to_string();
    match element.name.as_str() {
        "version" => package.nevra.evr = Evr::new(number(document, element, "epoch")?, text("ver"), text("rel")),
        "time" => {
            package.file_time_secs = number(document, element, "file")?;
            package.build_time_secs = number(document, element, "build")?;
        }
        "size" => {
            package.size_bytes = number(document, element, "package")?;
            package.installed_size_bytes = number(document, element, "installed")?;
            package.archive_size_bytes = number(document, element, "archive")?;
        }
        "location" => {
            package.location = text("href");
            check_location(&package.location)?;
            if element.get("xml:base").is_some() {
                return Err(document.error("a package lies in another repository (xml:base), which is not supported"));
            }
        }
        "header-range" => {
            package.header_range = (number(document, element, "start")?, number(document, element, "end")?);
        }
        _ => {}
    }
    Ok(())
}

/// Returns a number, and zero where it is left out.
fn number<R: BufRead, N: std::str::FromStr + Default>(
    document: &Document<R>,
    element: &Element,
    name: &str,
) -> Result<N> {
    match element.get(name) {
        None | Some("") => Ok(N::default()),
        Some(text) => text.parse().map_err(|_| document.error(format!("{name}=\"{text}\" is no number that fits"))),
    }
}

fn entries<R: BufRead>(document: &mut Document<R>, dependencies: &mut Vec<Dependency>) -> Result<()> {
    let depth = document.depth();
    while document.depth() >= depth {
        match document.next()? {
            Node::Start(element) if element.name == "entry" => {
                dependencies.push(entry(&element));
                document.skip()?;
            }
            Node::Start(_) => document.skip()?,
            _ => {}
        }
    }
    Ok(())
}

fn entry(element: &Element) -> Dependency {
    let get = |name: &str| element.get(name).unwrap_or_default();
    let comparison = match get("flags") {
        "LT" => Some(Comparison::Less),
        "LE" => Some(Comparison::LessOrEqual),
        "EQ" => Some(Comparison::Equal),
        "GE" => Some(Comparison::GreaterOrEqual),
        "GT" => Some(Comparison::Greater),
        _ => None,
    };
    let mut version = String::new();
    if !matches!(get("epoch"), "" | "0") {
        version = format!("{}:", get("epoch"));
    }
    version.push_str(get("ver"));
    if !get("rel").is_empty() {
        version = format!("{version}-{}", get("rel"));
    }
    let bound = comparison.map(|comparison| (comparison, version.as_str()));
    Dependency::new(get("name"), bound, get("pre") == "1")
}

fn file_kind(element: &Element) -> FileKind {
    match element.get("type") {
        Some("dir") => FileKind::Dir,
        Some("ghost") => FileKind::Ghost,
        _ => FileKind::File,
    }
}

fn empty() -> Package {
    Package {
        nevra: Nevra { name: String::new(), evr: Evr::new(0, "", ""), arch: String::new() },
        checksum: Checksum { kind: String::new(), hex: String::new() },
        location: String::new(),
        summary: String::new(),
        description: String::new(),
        packager: String::new(),
        url: String::new(),
        license: String::new(),
        vendor: String::new(),
        group: String::new(),
        build_host: String::new(),
        source_rpm: String::new(),
        file_time_secs: 0,
        build_time_secs: 0,
        size_bytes: 0,
        installed_size_bytes: 0,
        archive_size_bytes: 0,
        header_range: (0, 0),
        provides: Vec::new(),
        requires: Vec::new(),
        conflicts: Vec::new(),
        obsoletes: Vec::new(),
        recommends: Vec::new(),
        suggests: Vec::new(),
        supplements: Vec::new(),
        enhances: Vec::new(),
        files: Vec::new(),
    }
}
