//! What is installed, given to the solver as metadata: so a plan needs the facts, and no root.

use std::{borrow::Cow, collections::BTreeSet, fmt::Write as _, io};

use anima_solver::{Pool, RepodataFiles};

use crate::{
    Error, Result,
    facts::{Facts, Installed},
};

/// A build time of no package of a distribution. The solver takes two packages of one version for the same if they were built
/// at the same time; with this, an installed one is another than the repository's, which then takes its place.
const BUILT_OTHERWISE_SECS: u64 = 1;

/// Adds the installed packages; those of the names that are to be installed again differ from the repositories'.
pub fn load(pool: &mut Pool, facts: &Facts, again: &BTreeSet<String>) -> Result<()> {
    let failed = |source: io::Error| Error::Read { path: "the temporary folder".into(), source };
    let folder = tempfile::tempdir().map_err(failed)?;
    let path = folder.path().join("primary.xml");
    std::fs::write(&path, primary(facts, again)).map_err(failed)?;
    let files = RepodataFiles { primary: &path, filelists: None, cache: None };
    pool.add_installed_metadata(&files).map_err(Error::Repositories)?;
    Ok(())
}

fn primary(facts: &Facts, again: &BTreeSet<String>) -> String {
    let mut xml = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<metadata xmlns=\"http://linux.duke.edu/metadata/common\" \
         xmlns:rpm=\"http://linux.duke.edu/metadata/rpm\">\n",
    );
    for installed in &facts.packages {
        let is_again = again.contains(&installed.name);
        package(&mut xml, installed, if is_again { BUILT_OTHERWISE_SECS } else { installed.built_at_secs });
    }
    xml.push_str("</metadata>\n");
    xml
}

fn package(xml: &mut String, package: &Installed, built_at_secs: u64) {
    let Installed { name, epoch, version, release, arch, vendor, .. } = package;
    let _ = write!(
        xml,
        "<package type=\"rpm\"><name>{}</name><arch>{}</arch><version epoch=\"{epoch}\" ver=\"{}\" rel=\"{}\"/>\
         <checksum type=\"sha256\" pkgid=\"YES\">{:064x}</checksum><time file=\"0\" build=\"{built_at_secs}\"/><size installed=\"{}\"/><location href=\"installed\"/>\
         <format><rpm:vendor>{}</rpm:vendor>",
        escape(name),
        escape(arch),
        escape(version),
        escape(release),
        0,
        package.size_bytes,
        escape(vendor),
    );
    for (tag, list) in [
        ("provides", &package.provides),
        ("requires", &package.requires),
        ("conflicts", &package.conflicts),
        ("obsoletes", &package.obsoletes),
    ] {
        let _ = write!(xml, "<rpm:{tag}>");
        list.iter().for_each(|text| entry(xml, text));
        let _ = write!(xml, "</rpm:{tag}>");
    }
    for path in &package.files {
        let _ = write!(xml, "<file>{}</file>", escape(path));
    }
    xml.push_str("</format></package>\n");
}

/// Writes `foo >= 1:2-3` as metadata has it; a rich dependency is a name.
fn entry(xml: &mut String, text: &str) {
    let words: Vec<&str> = text.split(' ').collect();
    let flags = match words.get(1).copied() {
        Some("=") => "EQ",
        Some("<") => "LT",
        Some(">") => "GT",
        Some("<=") => "LE",
        Some(">=") => "GE",
        _ => "",
    };
    let (3, false, false) = (words.len(), flags.is_empty(), text.starts_with('(')) else {
        let _ = write!(xml, "<rpm:entry name=\"{}\"/>", escape(text));
        return;
    };
    let (epoch, rest) = words[2].split_once(':').unwrap_or(("0", words[2]));
    let (version, release) = rest.split_once('-').map_or((rest, None), |(version, release)| (version, Some(release)));
    let _ = write!(
        xml,
        "<rpm:entry name=\"{}\" flags=\"{flags}\" epoch=\"{}\" ver=\"{}\"",
        escape(words[0]),
        escape(epoch),
        escape(version)
    );
    if let Some(release) = release {
        let _ = write!(xml, " rel=\"{}\"", escape(release));
    }
    xml.push_str("/>");
}

/// Most of a thousand packages' words have nothing to escape.
fn escape(text: &str) -> Cow<'_, str> {
    if !text.contains(|c: char| c.is_control() || "&<>\"".contains(c)) {
        return Cow::Borrowed(text);
    }
    text.chars()
        .filter(|c| !c.is_control())
        .flat_map(|c| match c {
            '&' => "&amp;".chars().collect::<Vec<_>>(),
            '<' => "&lt;".chars().collect(),
            '>' => "&gt;".chars().collect(),
            '"' => "&quot;".chars().collect(),
            c => vec![c],
        })
        .collect()
}
