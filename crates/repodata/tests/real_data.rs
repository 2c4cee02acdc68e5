//! The real metadata of an Enterprise Linux, 18,000 packages with groups and modules: read, written and read again, nothing
//! is lost. It lies in `../shared/data`; where it does not, the build script says so, and these tests are left out.
#![cfg(shared_data)]

use std::{fs, path::PathBuf};

use anima_repodata::{Compression, Items, Modules, RepodataBuilder, Repomd, Repository};
use tempfile::TempDir;

fn repository(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/repodata").join(name)
}

/// Reads the open content of the file of a kind; some of the data names files that are not there.
fn content(name: &str, kind: &str) -> Vec<u8> {
    let repository = Repository::open(&repository(name)).unwrap();
    let mut bytes = Vec::new();
    let record = repository.repomd.record(kind).unwrap();
    std::io::Read::read_to_end(&mut repository.open_record(record).unwrap(), &mut bytes).unwrap();
    bytes
}

#[test]
fn every_package_says_the_same_after_it_was_read_and_written() {
    for (name, count, kinds) in
        [("el-baseos-x86_64", 1_125, &["primary", "filelists"][..]), ("el-appstream-x86_64", 17_649, &["primary"])]
    {
        let mut theirs = Repository::open(&repository(name)).unwrap();
        theirs.repomd.records.retain(|record| kinds.contains(&record.kind.as_str()));
        let fragments = theirs.read_fragments().unwrap();
        assert_eq!(fragments.len(), count, "{name}");
        let folder = TempDir::new().unwrap();

        let built = fragments.iter().fold(RepodataBuilder::new(Compression::Zstd), RepodataBuilder::add);
        built.finish(17).unwrap().write_to(folder.path()).unwrap();

        let ours = Repository::open(folder.path()).unwrap();
        ours.verify().unwrap();
        for kind in kinds {
            let digests =
                |repository: &Repository| repository.digests(repository.repomd.record(kind).unwrap()).unwrap();
            let (ours, theirs) = (digests(&ours), digests(&theirs));
            assert_eq!(ours.len(), count, "{name} {kind}");
            assert!(ours == theirs, "{name} {kind}");
        }
    }
}

#[test]
fn indexes_groups_and_modules_lose_nothing() {
    for (name, group) in [("el-baseos-x86_64", "group_gz"), ("el-appstream-x86_64", "group")] {
        let index = Repomd::parse(&fs::read(repository(name).join("repodata/repomd.xml")).unwrap()).unwrap();
        assert_eq!(Repomd::parse(&index.to_xml()).unwrap(), index, "{name}");
        let names: Vec<_> = index.tags.iter().map(|tag| tag.name.as_str()).collect();
        assert_eq!(names, if name.contains("appstream") { &["distro"][..] } else { &[] });

        let comps = Items::parse(&content(name, group), "comps.xml").unwrap();
        assert!(comps.items.len() > 20, "{name}");
        assert_eq!(Items::parse(&comps.to_xml(), "comps.xml").unwrap(), comps, "{name}");
        assert!(comps.diff(&comps).is_empty());
    }
    let yaml = content("el-appstream-x86_64", "modules");
    let modules = Modules::parse(&yaml).unwrap();
    let labels: std::collections::BTreeSet<_> = modules.documents.iter().map(|one| &one.label).collect();
    assert_eq!(labels.len(), modules.documents.len(), "each document has a name of its own");
    assert!(labels.iter().any(|label| label.starts_with("modulemd mariadb:10.11:")), "{labels:?}");
    assert_eq!(Modules::parse(&modules.to_yaml()).unwrap(), modules);
}
