//! What two versions of a package say differently: dependencies, files, licence.

use std::collections::BTreeSet;

use anima_rpm_file::Dependency;
use anima_types::repository_diff::ContentChange;

use crate::{
    Package, PackageXml, Result,
    repomd::start,
    xml::{Document, Node},
};

/// A sort of dependency, and where a package has it.
type Sort = (&'static str, fn(&Package) -> &[Dependency]);

const SORTS: [Sort; 8] = [
    ("provides", |package| &package.provides),
    ("requires", |package| &package.requires),
    ("conflicts", |package| &package.conflicts),
    ("obsoletes", |package| &package.obsoletes),
    ("recommends", |package| &package.recommends),
    ("suggests", |package| &package.suggests),
    ("supplements", |package| &package.supplements),
    ("enhances", |package| &package.enhances),
];

/// Returns what differs, sort by sort; sorts without a difference are left out.
pub fn content_changes(old: &PackageXml, new: &PackageXml) -> Result<Vec<ContentChange>> {
    let (old_package, new_package) = (old.package()?, new.package()?);
    let mut changes: Vec<ContentChange> = SORTS
        .iter()
        .filter_map(|(what, of)| {
            let lines = |package| of(package).iter().map(Dependency::to_string).collect();
            change(what, &lines(&old_package), &lines(&new_package))
        })
        .collect();
    changes.extend(change("files", &files(old)?, &files(new)?));
    let license = |package: &Package| BTreeSet::from([package.license.clone()]);
    changes.extend(change("license", &license(&old_package), &license(&new_package)));
    Ok(changes)
}

fn change(what: &str, old: &BTreeSet<String>, new: &BTreeSet<String>) -> Option<ContentChange> {
    let only = |these: &BTreeSet<String>, those| these.difference(those).cloned().collect::<Vec<_>>();
    let (added, removed) = (only(new, old), only(old, new));
    let differs = !added.is_empty() || !removed.is_empty();
    differs.then(|| ContentChange { what: what.to_string(), added, removed })
}

/// Returns all paths of a package.
fn files(package: &PackageXml) -> Result<BTreeSet<String>> {
    let mut document = Document::new(package.filelists.as_bytes(), "a package's list of files");
    let mut paths = BTreeSet::new();
    start(&mut document, "package")?;
    loop {
        match document.next()? {
            Node::Start(element) if element.name == "file" => {
                paths.insert(document.read_text()?);
            }
            Node::Start(_) => document.skip()?,
            Node::Text(_) => {}
            Node::End | Node::Eof => return Ok(paths),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(version: &str, license: &str, requires: &str, files: &[&str]) -> PackageXml {
        let hash = "ab".repeat(32);
        let files: String = files.iter().map(|path| format!("<file>{path}</file>\n")).collect();
        let head = format!("<name>jq</name><arch>x86_64</arch><version epoch=\"0\" ver=\"{version}\" rel=\"1\"/>");
        PackageXml {
            nevra: format!("jq-{version}-1.x86_64").parse().unwrap(),
            sha256: hash.parse().unwrap(),
            location: "Packages/jq.rpm".into(),
            primary: format!(
                "<package type=\"rpm\">{head}<checksum type=\"sha256\" pkgid=\"YES\">{hash}</checksum>\
                 <location href=\"Packages/jq.rpm\"/><format><license>{license}</license><requires>\
                 <entry name=\"{requires}\" flags=\"GE\" epoch=\"0\" ver=\"{version}\"/></requires></format></package>"
            ),
            filelists: format!("<package pkgid=\"{hash}\" name=\"jq\">{files}</package>"),
            other: String::new(),
        }
    }

    #[test]
    fn what_came_and_went_is_told_by_sort_and_what_stays_is_not() {
        let old = package("1", "MIT", "libc", &["/usr/bin/jq", "/usr/share/old &amp; gone"]);
        let new = package("2", "GPL", "libc", &["/usr/bin/jq", "/usr/share/new"]);

        let told: Vec<_> = content_changes(&old, &new)
            .unwrap()
            .into_iter()
            .map(|change| format!("{} +{} -{}", change.what, change.added.join(","), change.removed.join(",")))
            .collect();

        assert_eq!(
            told,
            ["requires +libc >= 2 -libc >= 1", "files +/usr/share/new -/usr/share/old & gone", "license +GPL -MIT"]
        );
        assert!(content_changes(&new, &new).unwrap().is_empty());
    }
}
