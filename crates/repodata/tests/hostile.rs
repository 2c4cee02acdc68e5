//! Metadata of somebody who means harm, or was cut off: it is refused, within bounds of memory and time.

use std::{fs, io::Read, path::Path};

use anima_repodata::{
    Checksum, Compression, Error, Items, Modules, PrimaryReader, Record, RepodataBuilder, Repomd, Repository,
};
use tempfile::TempDir;

/// An empty repository with another `primary`, whose size and checksum are told truly.
fn with_primary(name: &str, bytes: &[u8], open_size_bytes: Option<u64>) -> TempDir {
    let folder = TempDir::new().unwrap();
    let made = RepodataBuilder::new(Compression::Gzip).finish(1).unwrap();
    made.write_to(folder.path()).unwrap();
    let mut repomd = made.repomd;
    let location = format!("repodata/{name}");
    fs::write(folder.path().join(&location), bytes).unwrap();
    repomd.records[0] = Record {
        location,
        checksum: Checksum::sha256(bytes),
        size_bytes: Some(bytes.len() as u64),
        open_size_bytes,
        ..repomd.records[0].clone()
    };
    write_index(folder.path(), &repomd);
    folder
}

fn write_index(folder: &Path, repomd: &Repomd) {
    fs::write(folder.join("repodata/repomd.xml"), repomd.to_xml()).unwrap();
}

fn refused(folder: &TempDir) -> String {
    Repository::open(folder.path()).and_then(|repository| repository.read_packages()).unwrap_err().to_string()
}

fn gzip(reader: &mut impl Read) -> Vec<u8> {
    let mut packed = Vec::new();
    flate2::read::GzEncoder::new(reader, flate2::Compression::best()).read_to_end(&mut packed).unwrap();
    packed
}

#[test]
fn a_file_that_unpacks_to_more_than_the_index_says_is_not_unpacked() {
    let mut endless = b"<metadata>".chain(std::io::repeat(b' ').take(300 << 20));
    let bomb = gzip(&mut endless);
    assert!(bomb.len() < 1 << 20, "{}", bomb.len());

    let told = refused(&with_primary("bomb.xml.gz", &bomb, Some(1_000)));
    assert!(told.contains("more than it may"), "{told}");
    // Where the index tells nothing, one package's bound holds.
    let untold = refused(&with_primary("bomb.xml.gz", &bomb, None));
    assert!(untold.contains("larger than"), "{untold}");
}

#[test]
fn a_zstd_bomb_is_bounded_too() {
    let open = vec![b' '; 64 << 20];
    let bomb = zstd::bulk::compress(&open, 19).unwrap();

    let told = refused(&with_primary("bomb.xml.zst", &bomb, Some(1_000)));

    assert!(told.contains("more than it may"), "{told}");
}

#[test]
fn wrong_sizes_wrong_checksums_and_cut_off_files_are_told_by_name() {
    let folder = TempDir::new().unwrap();
    let made = RepodataBuilder::new(Compression::Zstd).finish(1).unwrap();
    made.write_to(folder.path()).unwrap();
    let edits: [fn(&mut Record); 3] = [
        |record| record.size_bytes = record.size_bytes.map(|size| size - 1),
        |record| record.checksum.hex = "0".repeat(64),
        |record| record.checksum.kind = "md5".into(),
    ];
    for edit in edits {
        let mut repomd = made.repomd.clone();
        edit(&mut repomd.records[0]);
        write_index(folder.path(), &repomd);
        assert!(refused(&folder).contains(&made.files[0].name));
    }
    write_index(folder.path(), &made.repomd);
    let path = folder.path().join(&made.files[0].name);
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    assert!(refused(&folder).contains("size"));
}

#[test]
fn an_index_that_leads_out_of_the_repository_or_to_itself_is_of_no_use() {
    let good = RepodataBuilder::new(Compression::Gzip).finish(1).unwrap().repomd;
    for location in ["../../etc/passwd", "/etc/passwd", "https://example.org/x", "repodata/../../x", "a\\b", ""] {
        let mut repomd = good.clone();
        repomd.records[0].location = location.to_string();
        let error = Repomd::parse(&repomd.to_xml()).unwrap_err();
        assert!(matches!(error, Error::UnsafeLocation(_)), "{location}: {error}");
    }
    // An index that names itself as its primary cannot know its own checksum, and is no list of packages.
    let folder = TempDir::new().unwrap();
    fs::create_dir(folder.path().join("repodata")).unwrap();
    let mut repomd = good;
    repomd.records[0].location = "repodata/repomd.xml".to_string();
    write_index(folder.path(), &repomd);
    assert!(refused(&folder).contains("repodata/repomd.xml"));
}

#[test]
fn an_endless_index_too_many_files_and_deep_nesting_are_refused() {
    let many = "<data type=\"x\"><location href=\"a\"/><checksum type=\"sha256\">0</checksum></data>".repeat(1_000);
    for document in [
        format!("<repomd>{}", " ".repeat(2 << 20)),
        format!("<repomd>{many}</repomd>"),
        format!("<repomd>{}", "<data>".repeat(100)),
        "<!DOCTYPE r [<!ENTITY a \"b\">]><repomd><revision>&a;</revision></repomd>".to_string(),
    ] {
        assert!(Repomd::parse(document.as_bytes()).is_err());
    }
    assert!(Items::parse("<updates>".repeat(1_000).as_bytes(), "updateinfo.xml").is_err());
    assert!(Modules::parse(&[0xff; 100]).is_err());
}

#[test]
fn packages_without_a_name_with_numbers_that_do_not_fit_or_places_elsewhere_are_refused() {
    let package = |inside: &str| {
        let document = format!("<metadata><package type=\"rpm\">{inside}</package></metadata>");
        PrimaryReader::new(document.as_bytes(), "primary.xml").next().unwrap().is_err()
    };
    let head =
        "<name>a</name><arch>x</arch><version epoch=\"0\" ver=\"1\" rel=\"1\"/><checksum type=\"sha256\">ab</checksum>";
    assert!(!package(&format!("{head}<location href=\"a.rpm\"/>")));

    for bad in [
        head.to_string(),
        format!("{head}<location href=\"../a.rpm\"/>"),
        format!("{head}<location xml:base=\"http://x\" href=\"a.rpm\"/>"),
        format!("{head}<location href=\"a.rpm\"/><size package=\"99999999999999999999\"/>"),
        format!("{head}<location href=\"a.rpm\"/><time file=\"x\"/>"),
    ] {
        assert!(package(&bad), "{bad}");
    }
}
