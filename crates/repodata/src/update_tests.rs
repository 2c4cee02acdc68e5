use anima_types::repository::Compression;
use proptest::{collection::btree_set, prelude::*};
use sha2::Digest;

use super::*;
use crate::{Repodata, RepodataBuilder};

/// A package whose content follows from its number; every tenth number is another version of the same name.
fn package(number: u32) -> PackageXml {
    let (name, version) = (format!("name{}", number % 1_000 / 10), number);
    let sha256 = Sha256(sha2::Sha256::digest(number.to_be_bytes()).into());
    let location = format!("Packages/n/{name}-{version}-1.noarch.rpm");
    let head = format!("<package pkgid=\"{sha256}\" name=\"{name}\" arch=\"noarch\">\n");
    PackageXml {
        nevra: format!("{name}-{version}-1.noarch").parse().unwrap(),
        sha256,
        primary: format!(
            "<package type=\"rpm\">\n  <name>{name}</name>\n  <arch>noarch</arch>\n  \
             <version epoch=\"0\" ver=\"{version}\" rel=\"1\"/>\n  <checksum type=\"sha256\" pkgid=\"YES\">{sha256}</checksum>\n  \
             <location href=\"{location}\"/>\n</package>\n"
        ),
        filelists: format!("{head}  <file>/usr/share/{name}/{version} &lt;größe&gt;</file>\n</package>\n"),
        other: format!("{head}</package>\n"),
        location,
    }
}

fn made(compression: Compression, numbers: &BTreeSet<u32>) -> Repodata {
    let packages: Vec<PackageXml> = numbers.iter().map(|number| package(*number)).collect();
    packages.iter().fold(RepodataBuilder::new(compression), RepodataBuilder::add).finish(17).unwrap()
}

fn updated(old: &Repodata, added: &[u32], removed: &[u32]) -> Result<Update> {
    let added: Vec<PackageXml> = added.iter().map(|number| package(*number)).collect();
    let gone = |number: &u32| Gone { location: package(*number).location, sha256: package(*number).sha256 };
    let removed: Vec<Gone> = removed.iter().map(gone).collect();
    update(&old.layout, &Change { added: &added, removed: &removed }, |part, bucket| {
        let range = old.layout.range(part, bucket);
        Ok(old.files[part as usize].bytes[range.start as usize..range.end as usize].to_vec())
    })
}

fn put_together(old: &[u8], pieces: &[Piece]) -> Vec<u8> {
    let mut file = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Old(range) => file.extend_from_slice(&old[range.start as usize..range.end as usize]),
            Piece::New(bytes) => file.extend_from_slice(bytes),
        }
    }
    file
}

proptest! {
    #[test]
    fn an_update_gives_the_same_bytes_as_metadata_that_is_made_anew(
        before in btree_set(0..1_000_u32, 129..256),
        after in btree_set(0..1_000_u32, 129..256),
        is_zstd in any::<bool>(),
    ) {
        let compression = if is_zstd { Compression::Zstd } else { Compression::Gzip };
        let (old, new) = (made(compression, &before), made(compression, &after));
        let added: Vec<u32> = after.difference(&before).copied().collect();
        let removed: Vec<u32> = before.difference(&after).copied().collect();

        let update = updated(&old, &added, &removed).unwrap();

        prop_assert_eq!(&update.layout, &new.layout);
        for at in 0..3 {
            prop_assert_eq!(&put_together(&old.files[at].bytes, &update.pieces[at]), &new.files[at].bytes);
        }
    }
}

#[test]
fn one_package_more_copies_nearly_everything() {
    let numbers: BTreeSet<u32> = (0..5_000).collect();
    let old = made(Compression::Gzip, &numbers);

    let update = updated(&old, &[7_777], &[]).unwrap();

    assert_eq!(update.layout.package_count, 5_001);
    for (file, pieces) in old.files.iter().zip(&update.pieces) {
        let new: usize = pieces.iter().map(|piece| if let Piece::New(bytes) = piece { bytes.len() } else { 0 }).sum();
        assert!(new * 20 < file.bytes.len(), "{new} of {} bytes are new", file.bytes.len());
        assert!(pieces.len() <= 4, "{}", pieces.len());
    }
}

#[test]
fn what_is_there_may_come_again_and_what_is_not_cannot_go() {
    let numbers: BTreeSet<u32> = (0..10).collect();
    let old = made(Compression::Gzip, &numbers);

    let again = updated(&old, &[3], &[]).unwrap();
    let error = updated(&old, &[], &[11]).unwrap_err();

    assert_eq!(again.layout, old.layout);
    assert_eq!(error.to_string(), "could not read the old metadata: primary lacks a package that goes");
}

#[test]
fn old_metadata_that_is_not_what_the_layout_says_is_refused() {
    let numbers: BTreeSet<u32> = (0..10).collect();
    let old = made(Compression::Zstd, &numbers);
    let good = |part: Part, bucket| {
        let range = old.layout.range(part, bucket);
        old.files[part as usize].bytes[range.start as usize..range.end as usize].to_vec()
    };
    let added = [package(99)];
    let change = Change { added: &added, removed: &[] };

    let short = update(&old.layout, &change, |part, bucket| Ok(good(part, bucket)[1..].to_vec()));
    let damaged = update(&old.layout, &change, |part, bucket| {
        let mut bytes = good(part, bucket);
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x40;
        Ok(bytes)
    });
    let other = update(&old.layout, &change, |_, bucket| Ok(good(Part::Primary, bucket)));

    assert!(short.is_err() && damaged.is_err() && other.is_err());
}
