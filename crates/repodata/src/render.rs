//! From a package to its XML, equal in content to what createrepo_c writes.

use std::fmt::Write;

use anima_rpm_file::{Comparison, Dependency, File, FileKind, PackageInfo};
use anima_types::Sha256;

use crate::{
    PackageXml, changelog, requires,
    xml::{attribute, text},
};

/// What metadata says of the file, beside what the package says of itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PublishedFile {
    /// Where it lies, relative to the repository.
    pub location: String,
    /// The digest of the whole file.
    pub sha256: Sha256,
    /// Its size.
    pub size_bytes: u64,
    /// When it was made, in seconds since 1970; metadata calls it the file's time.
    pub modified_at_secs: i64,
}

/// Renders a package once and for all.
pub fn render(info: &PackageInfo, file: &PublishedFile) -> PackageXml {
    PackageXml {
        nevra: info.nevra.clone(),
        sha256: file.sha256,
        location: file.location.clone(),
        primary: primary(info, file),
        filelists: filelists(info, file),
        other: other(info, file),
    }
}

/// The element that tells where a package lies.
pub(crate) fn location_element(location: &str) -> String {
    format!("  <location href=\"{}\"/>\n", attribute(location))
}

fn primary(info: &PackageInfo, file: &PublishedFile) -> String {
    let mut out = String::with_capacity(4096);
    out.push_str("<package type=\"rpm\">\n");
    element(&mut out, "  ", "name", &info.nevra.name);
    element(&mut out, "  ", "arch", &info.nevra.arch);
    version(&mut out, info);
    put(&mut out, format_args!("  <checksum type=\"sha256\" pkgid=\"YES\">{}</checksum>\n", file.sha256));
    element(&mut out, "  ", "summary", &info.summary);
    element(&mut out, "  ", "description", &info.description);
    element(&mut out, "  ", "packager", optional(&info.packager));
    element(&mut out, "  ", "url", optional(&info.url));
    put(&mut out, format_args!("  <time file=\"{}\" build=\"{}\"/>\n", file.modified_at_secs, info.build_time_secs));
    put(
        &mut out,
        format_args!(
            "  <size package=\"{}\" installed=\"{}\" archive=\"{}\"/>\n",
            file.size_bytes, info.installed_size_bytes, info.archive_size_bytes
        ),
    );
    out.push_str(&location_element(&file.location));
    format_element(&mut out, info);
    out.push_str("</package>\n");
    out
}

fn format_element(out: &mut String, info: &PackageInfo) {
    out.push_str("  <format>\n");
    element(out, "    ", "rpm:license", &info.license);
    element(out, "    ", "rpm:vendor", optional(&info.vendor));
    element(out, "    ", "rpm:group", optional(&info.group));
    element(out, "    ", "rpm:buildhost", optional(&info.build_host));
    element(out, "    ", "rpm:sourcerpm", optional(&info.source_rpm));
    put(out, format_args!("    <rpm:header-range start=\"{}\" end=\"{}\"/>\n", info.header_start, info.header_end));
    let (requires, hints) = requires::select(info);
    let recommends: Vec<&Dependency> = hints.into_iter().chain(&info.recommends).collect();
    entries(out, "provides", info.provides.iter());
    entries(out, "requires", requires.into_iter());
    entries(out, "conflicts", info.conflicts.iter());
    entries(out, "obsoletes", info.obsoletes.iter());
    entries(out, "suggests", info.suggests.iter());
    entries(out, "enhances", info.enhances.iter());
    entries(out, "recommends", recommends.into_iter());
    entries(out, "supplements", info.supplements.iter());
    files(out, "    ", info.files.iter().filter(|file| is_primary(&file.path)));
    out.push_str("  </format>\n");
}

fn filelists(info: &PackageInfo, file: &PublishedFile) -> String {
    let mut out = identity(info, file);
    files(&mut out, "  ", info.files.iter());
    out.push_str("</package>\n");
    out
}

fn other(info: &PackageInfo, file: &PublishedFile) -> String {
    let mut out = identity(info, file);
    for entry in changelog::select(&info.changelogs) {
        let (author, changes) = (attribute(&entry.author), text(&entry.text));
        put(
            &mut out,
            format_args!("  <changelog author=\"{author}\" date=\"{}\">{changes}</changelog>\n", entry.time_secs),
        );
    }
    out.push_str("</package>\n");
    out
}

fn identity(info: &PackageInfo, file: &PublishedFile) -> String {
    let (name, arch) = (attribute(&info.nevra.name), attribute(&info.nevra.arch));
    let mut out = format!("<package pkgid=\"{}\" name=\"{name}\" arch=\"{arch}\">\n", file.sha256);
    version(&mut out, info);
    out
}

fn version(out: &mut String, info: &PackageInfo) {
    let evr = &info.nevra.evr;
    let (version, release) = (attribute(&evr.version), attribute(&evr.release));
    put(out, format_args!("  <version epoch=\"{}\" ver=\"{version}\" rel=\"{release}\"/>\n", evr.epoch));
}

/// Whether a file's path belongs into primary.xml, where clients look first.
pub(crate) fn is_primary(path: &str) -> bool {
    path.starts_with("/etc/") || path == "/usr/lib/sendmail" || path.contains("bin/")
}

fn files<'a>(out: &mut String, indent: &str, files: impl Iterator<Item = &'a File>) {
    for file in files {
        let kind = match file.kind {
            FileKind::File => "",
            FileKind::Dir => " type=\"dir\"",
            FileKind::Ghost => " type=\"ghost\"",
        };
        put(out, format_args!("{indent}<file{kind}>{}</file>\n", text(&file.path)));
    }
}

fn entries<'a>(out: &mut String, kind: &str, dependencies: impl Iterator<Item = &'a Dependency>) {
    let before = out.len();
    put(out, format_args!("    <rpm:{kind}>\n"));
    let begun = out.len();
    dependencies.for_each(|dependency| entry(out, dependency, kind == "requires"));
    if out.len() == begun {
        out.truncate(before);
        return;
    }
    put(out, format_args!("    </rpm:{kind}>\n"));
}

/// Writes the element of a dependency, or nothing where it has no name or its epoch is no number.
fn entry(out: &mut String, dependency: &Dependency, with_pre: bool) {
    let Some((epoch, version, release)) = split_evr(&dependency.version) else { return };
    if dependency.name.is_empty() {
        return;
    }
    put(out, format_args!("      <rpm:entry name=\"{}\"", attribute(&dependency.name)));
    if let Some(comparison) = dependency.comparison {
        put(out, format_args!(" flags=\"{}\"", flags(comparison)));
        for (name, value) in [("epoch", epoch), ("ver", version), ("rel", release)] {
            if !value.is_empty() {
                put(out, format_args!(" {name}=\"{}\"", attribute(value)));
            }
        }
    }
    if with_pre && dependency.is_pre() {
        out.push_str(" pre=\"1\"");
    }
    out.push_str("/>\n");
}

/// Splits `[epoch:]version[-release]`; the epoch of a version without one is 0.
fn split_evr(text: &str) -> Option<(&str, &str, &str)> {
    if text.is_empty() {
        return Some(("", "", ""));
    }
    let (epoch, rest) = match text.split_once(':') {
        Some(("", rest)) => ("0", rest),
        Some((epoch, rest)) if epoch.bytes().all(|byte| byte.is_ascii_digit()) => (epoch, rest),
        Some(_) => return None,
        None => ("0", text),
    };
    let (version, release) = rest.split_once('-').unwrap_or((rest, ""));
    Some((epoch, version, release))
}

pub(crate) fn flags(comparison: Comparison) -> &'static str {
    match comparison {
        Comparison::Less => "LT",
        Comparison::LessOrEqual => "LE",
        Comparison::Equal => "EQ",
        Comparison::GreaterOrEqual => "GE",
        Comparison::Greater => "GT",
    }
}

fn element(out: &mut String, indent: &str, name: &str, content: &str) {
    match content.is_empty() {
        true => put(out, format_args!("{indent}<{name}/>\n")),
        false => put(out, format_args!("{indent}<{name}>{}</{name}>\n", text(content))),
    }
}

fn optional(text: &Option<String>) -> &str {
    text.as_deref().unwrap_or_default()
}

fn put(out: &mut String, arguments: std::fmt::Arguments<'_>) {
    out.write_fmt(arguments).expect("writing into a string never fails");
}
