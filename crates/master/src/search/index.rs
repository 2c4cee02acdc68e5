//! What packages are searched by, computed once when they come: texts, and for the paths, which are far longer, the set of
//! triples of bytes in them as bits. A package that lacks a bit of what is searched for surely has no such path; one that has
//! all of them is looked into.

use anima_db::{package::Package, package_search::Searchable};
use anima_repodata::{FilelistsReader, PackageXml};
use anima_rpm_file::PackageInfo;

use crate::{
    app::App,
    error::{ApiError, ApiResult},
    package_file::blocking,
};

/// How the bits are written; others are not read.
const VERSION: char = '1';
/// Bits for each triple: with two of them set for each, one package in twenty is looked into in vain for a search of three
/// characters, and fewer than one in a thousand for one of six.
const BITS_PER_TRIPLE: usize = 8;
/// Bits at least and at most: 16 bytes, 16 KiB.
const BITS: (usize, usize) = (128, 128 << 10);
/// Packages of before this was computed that are looked at in one pass.
const BATCH: u32 = 200;

/// Returns what a package is searched by, from its header.
pub fn of_header(info: &PackageInfo) -> Searchable {
    let provides = info.provides.iter().map(ToString::to_string);
    searchable(&info.nevra.name, &info.summary, provides, info.files.iter().map(|file| file.path.as_str()))
}

/// Returns the same from its part of the metadata. A package whose part cannot be read is found by its name, and holds no
/// other up.
pub fn of_metadata(package: &Package) -> Searchable {
    let read = || -> ApiResult<Searchable> {
        let said = xml(package)?.package().map_err(ApiError::internal)?;
        let paths = paths(package)?;
        let provides = said.provides.iter().map(ToString::to_string);
        Ok(searchable(&said.nevra.name, &said.summary, provides, paths.iter().map(String::as_str)))
    };
    read().unwrap_or_else(|error| {
        let (nevra, why) = (&package.nevra, &error.body.message);
        tracing::warn!("the metadata of {nevra} cannot be read, so it is found by its name alone: {why}");
        searchable(&nevra.name, "", std::iter::empty(), std::iter::empty())
    })
}

/// Returns the paths of a package, from its part of the metadata.
pub fn paths(package: &Package) -> ApiResult<Vec<String>> {
    let document = format!("<filelists>{}</filelists>", xml(package)?.filelists);
    let package = FilelistsReader::new(document.as_bytes(), "a package's metadata").next();
    let package = package.transpose().map_err(ApiError::internal)?;
    Ok(package.into_iter().flat_map(|package| package.files).map(|file| file.path).collect())
}

fn xml(package: &Package) -> ApiResult<PackageXml> {
    serde_json::from_str(&package.xml).map_err(ApiError::internal)
}

fn searchable<'a>(
    name: &str,
    summary: &str,
    provides: impl Iterator<Item = String>,
    paths: impl Iterator<Item = &'a str>,
) -> Searchable {
    Searchable {
        summary: summary.to_string(),
        words: format!("{name}\n{summary}").to_lowercase(),
        provides: provides.collect::<Vec<_>>().join("\n"),
        files: bits(paths),
    }
}

fn bits<'a>(paths: impl Iterator<Item = &'a str>) -> String {
    let mut triples: Vec<u32> = paths.flat_map(triples).collect();
    triples.sort_unstable();
    triples.dedup();
    let count = (triples.len() * BITS_PER_TRIPLE).next_power_of_two().clamp(BITS.0, BITS.1);
    let mut bytes = vec![0_u8; count / 8];
    for place in triples.into_iter().flat_map(|triple| places(triple, count)) {
        bytes[place / 8] |= 1 << (place % 8);
    }
    format!("{VERSION}{}", hex::encode(bytes))
}

fn triples(text: &str) -> impl Iterator<Item = u32> {
    text.as_bytes().windows(3).map(|three| u32::from_be_bytes([0, three[0], three[1], three[2]]))
}

/// Where a triple is among so many bits, a power of two.
fn places(triple: u32, count: usize) -> [usize; 2] {
    let place = |factor: u32| (triple.wrapping_mul(factor) >> (32 - count.trailing_zeros())) as usize;
    // Multiples of the golden ratio and of another irrational: neighbours lie far apart.
    [place(0x9e37_79b9), place(0x85eb_ca6b)]
}

/// Returns whether a package with these bits may have a path that has the text.
pub fn may_have(files: &str, text: &str) -> bool {
    let Some(hex) = files.strip_prefix(VERSION).map(str::as_bytes) else { return true };
    let count = hex.len() * 4;
    if !count.is_power_of_two() || count < BITS.0 {
        return true;
    }
    let is_set = |place: usize| {
        let digit = hex[place / 8 * 2 + usize::from(place % 8 < 4)];
        (digit as char).to_digit(16).is_none_or(|digit| digit >> (place % 4) & 1 == 1)
    };
    triples(text).flat_map(|triple| places(triple, count)).all(is_set)
}

/// Computes what packages are searched by that came before that was kept; returns how many.
pub async fn fill_once(app: &App) -> ApiResult<usize> {
    let mut read = app.db.read().await?;
    let missing = anima_db::package_search::missing(&mut read, BATCH).await?;
    drop(read);
    if missing.is_empty() {
        return Ok(0);
    }
    let rows = blocking(move || {
        let row = |package: Package| (package.header_sha256, of_metadata(&package));
        Ok(missing.into_iter().map(row).collect::<Vec<_>>())
    });
    let rows = rows.await?;
    let mut write = app.db.write(app.now(), "anima").await?;
    for (header, row) in &rows {
        anima_db::package_search::insert(&mut write, *header, row).await?;
    }
    write.commit().await?;
    Ok(rows.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn most_packages_without_a_path_are_told_apart() {
        let of = |number: usize| {
            let paths = (0..20).map(|file| format!("/usr/share/pack{number}/file{file}.txt")).collect::<Vec<_>>();
            bits(paths.iter().map(String::as_str))
        };
        let all: Vec<String> = (0..1_000).map(of).collect();

        let found = all.iter().filter(|files| may_have(files, "/pack417/")).count();

        assert!(may_have(&all[417], "/pack417/file7"));
        assert!((1..50).contains(&found), "{found} of 1000 would be looked into");
    }

    #[test]
    fn what_is_not_understood_is_looked_into() {
        assert!(may_have("", "abc") && may_have("2ff", "abc") && may_have("1f", "abc"));
        assert!(!may_have(&bits(std::iter::empty()), "abc"));
        assert!(may_have(&bits(std::iter::empty()), "ab"), "two characters tell nothing");
    }

    proptest! {
        #[test]
        fn a_path_is_never_missed(paths in prop::collection::vec("[ -~]{0,40}", 0..200), at in 0_usize..200, cut in 0_usize..40) {
            let files = bits(paths.iter().map(String::as_str));
            if let Some(path) = paths.get(at) {
                prop_assert!(may_have(&files, &path[cut.min(path.len())..]));
            }
        }
    }
}
