//! What was probably meant: names in the pool that are like one that is not.
//!
//! It runs only when there is something to explain, over all provided names of the pool, with a bounded edit distance.

use std::ffi::{CStr, c_int};

use crate::dependency::{Dependency, names_in_rich};
use crate::pool::{Pool, c_text, text};
use crate::{Problem, ffi, nevra};

/// How many proposals a reader gets for one missing requirement.
const MAX_NEAR: usize = 5;

/// What is behind a package's name, when it is one of a family made from one source.
const SUFFIXES: [&str; 12] =
    ["-devel", "-dev", "-libs", "-lib", "-static", "-tools", "-utils", "-bin", "-common", "-core", "-doc", "-headers"];

/// What marks a capability as being of one architecture.
const ISA_MARKS: [&str; 7] = ["(x86-64)", "(x86-32)", "(aarch-64)", "(ppc-64)", "(s390-64)", "(riscv-64)", "(arm-32)"];

/// Fills in `near` of what is missing.
pub(crate) fn propose(pool: &mut Pool, problem: &mut Problem, max_searches: usize) {
    for missing in problem.missing.iter_mut().take(max_searches) {
        missing.near = near(pool, &missing.wanted);
        missing.near.truncate(MAX_NEAR);
    }
}

fn near(pool: &mut Pool, wanted: &str) -> Vec<String> {
    if let Some(exact) = nevra::parse_exact(wanted) {
        let versions = versions_of(pool, exact.name, Style::Nevra);
        if !versions.is_empty() {
            return versions;
        }
    }
    match Dependency::parse(wanted) {
        Ok(Dependency::Plain(name)) => near_name(pool, &name),
        Ok(Dependency::Versioned { name, .. }) => {
            let versions = versions_of(pool, &name, Style::Dependency);
            if versions.is_empty() { near_name(pool, &name) } else { versions }
        }
        Ok(Dependency::Rich(rich)) => near_any(pool, &names_in_rich(&rich)),
        Err(_) => Vec::new(),
    }
}

/// Of a rich dependency's names, those that nothing provides are the ones to look for.
fn near_any(pool: &mut Pool, names: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    for name in names {
        if versions_of(pool, name, Style::Dependency).is_empty() {
            found.extend(near_name(pool, name));
        }
    }
    found
}

#[derive(Clone, Copy)]
enum Style {
    Nevra,
    Dependency,
}

/// The packages that provide the name in some version, newest first.
fn versions_of(pool: &mut Pool, name: &str, style: Style) -> Vec<String> {
    let Ok(id) = pool.intern(name) else { return Vec::new() };
    let mut packages = pool.providers(id);
    packages.sort_by(|&a, &b| unsafe { ffi::anima_solv_compare_evr(pool.raw(), b, a) }.cmp(&0).then(a.cmp(&b)));
    let mut found: Vec<String> = Vec::new();
    for package in packages {
        let line = match style {
            Style::Dependency if pool.field(package, ffi::FIELD_NAME) == name => {
                format!("{name} = {}", pool.field(package, ffi::FIELD_EVR))
            }
            _ => pool.nevra(package),
        };
        if !found.contains(&line) {
            found.push(line);
        }
    }
    found
}

fn near_name(pool: &mut Pool, wanted: &str) -> Vec<String> {
    match wanted.strip_prefix('/') {
        Some(_) => near_path(pool, wanted),
        None => best_scored(pool, wanted),
    }
}

/// The same file elsewhere, or a package named like the file.
fn near_path(pool: &mut Pool, wanted: &str) -> Vec<String> {
    let Some((_, file)) = wanted.rsplit_once('/').filter(|(_, file)| !file.is_empty()) else { return Vec::new() };
    let max_found = c_int::try_from(MAX_NEAR).expect("a small number");
    let pattern = c_text(&format!("/{file}"));
    let paths =
        text(unsafe { ffi::anima_solv_find_files(pool.raw(), pattern.as_ptr(), max_found) }).unwrap_or_default();
    let mut found: Vec<String> = paths.lines().map(str::to_owned).collect();
    found.sort();
    if found.is_empty() { best_scored(pool, file) } else { found }
}

fn best_scored(pool: &mut Pool, wanted: &str) -> Vec<String> {
    let wanted = Shape::of(without_isa(wanted));
    unsafe { ffi::anima_solv_prepare(pool.raw()) };
    let mut scored: Vec<(u32, String)> = (0..unsafe { ffi::anima_solv_string_count(pool.raw()) })
        .filter_map(|id| {
            let pointer = unsafe { ffi::anima_solv_provided_name(pool.raw(), id) };
            // Borrowed for this one comparison: there can be a hundred thousand names.
            let name = (!pointer.is_null()).then(|| unsafe { CStr::from_ptr(pointer) })?.to_str().ok()?;
            Some((score(&wanted, name)?, name.to_owned()))
        })
        .collect();
    scored.sort();
    scored.dedup();
    scored.into_iter().map(|(_, name)| name).take(MAX_NEAR).collect()
}

/// A name as the comparison sees it.
struct Shape {
    /// `pkgconfig` of `pkgconfig(x)`; empty for a package's name; `so` for a library's.
    kind: String,
    inner: String,
    stem: String,
}

impl Shape {
    fn of(name: &str) -> Self {
        let lower = name.to_lowercase();
        let (kind, inner) = match (lower.split_once(".so"), lower.split_once('(')) {
            (Some((library, _)), _) => ("so".to_owned(), library.to_owned()),
            (None, Some((kind, rest))) => (kind.to_owned(), rest.trim_end_matches(')').to_owned()),
            (None, None) => (String::new(), lower.clone()),
        };
        let stem = stem(&inner).to_owned();
        Self { kind, inner, stem }
    }
}

/// Returns how far the name is from the wanted one, or nothing when it is too far.
fn score(wanted: &Shape, name: &str) -> Option<u32> {
    if name.starts_with('/') || name.starts_with("bundled(") || name.starts_with("rpmlib(") {
        return None;
    }
    let found = Shape::of(name);
    if found.kind == wanted.kind {
        if found.inner == wanted.inner {
            return Some(0);
        }
        if let Some(distance) = edit_distance(&wanted.inner, &found.inner, limit(wanted.inner.len())) {
            return Some(10 * distance);
        }
        return (found.stem == wanted.stem).then_some(15);
    }
    // `pkgconfig(zlib)` is in `zlib-devel`; only names of packages are tried for another kind.
    (found.kind.is_empty() && found.stem == wanted.stem).then(|| if found.inner.ends_with("-devel") { 40 } else { 45 })
}

fn without_isa(name: &str) -> &str {
    ISA_MARKS.iter().find_map(|mark| name.strip_suffix(mark)).unwrap_or(name)
}

/// `zlib` of `zlib-devel`, `libzlib-dev` and `zlib`; a name that would be left too short stays.
fn stem(name: &str) -> &str {
    const SHORTEST: usize = 3;
    let long_enough = |rest: &&str| rest.len() >= SHORTEST;
    let name = SUFFIXES.iter().find_map(|suffix| name.strip_suffix(suffix)).filter(long_enough).unwrap_or(name);
    name.strip_prefix("lib").filter(long_enough).unwrap_or(name)
}

/// How many mistakes a name of this length may have: with more, a short name is like every other one.
fn limit(length: usize) -> u32 {
    match length {
        0..=2 => 0,
        3..=5 => 1,
        6..=11 => 2,
        _ => 3,
    }
}

/// The number of letters to add, take away, change or swap with their neighbour, if it is within the limit.
fn edit_distance(a: &str, b: &str, limit: u32) -> Option<u32> {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len().abs_diff(b.len()) > limit as usize {
        return None;
    }
    let mut before: Vec<u32> = Vec::new();
    let mut above: Vec<u32> = (0..=b.len() as u32).collect();
    for i in 1..=a.len() {
        let mut row = vec![i as u32; b.len() + 1];
        for j in 1..=b.len() {
            let changed = above[j - 1] + u32::from(a[i - 1] != b[j - 1]);
            row[j] = changed.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        if row.iter().min().is_some_and(|&least| least > limit) {
            return None;
        }
        before = std::mem::replace(&mut above, row);
    }
    above.last().copied().filter(|&distance| distance <= limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score_of(wanted: &str, name: &str) -> Option<u32> {
        score(&Shape::of(wanted), name)
    }

    #[test]
    fn edit_distance_counts_each_kind_of_mistake_once() {
        for (a, b, distance) in
            [("", "", 0), ("abc", "abc", 0), ("abc", "abd", 1), ("abc", "ab", 1), ("abc", "xabc", 1), ("abc", "acb", 1)]
        {
            assert_eq!(edit_distance(a, b, 3), Some(distance), "{a} {b}");
        }
        assert_eq!(edit_distance("kitten", "sitting", 3), Some(3));
        assert_eq!(edit_distance("kitten", "sitting", 2), None);
        assert_eq!(edit_distance("abc", "abcdefgh", 3), None);
    }

    #[test]
    fn a_misspelt_name_is_nearer_than_a_relative() {
        assert_eq!(score_of("onigurma-devel", "oniguruma-devel"), Some(10));
        assert_eq!(score_of("foo-devel", "foo"), Some(15));
        assert_eq!(score_of("libfoo-dev", "foo-devel"), Some(15));
        assert_eq!(score_of("foo-devel", "bar-devel"), None);
    }

    #[test]
    fn capabilities_are_compared_within_their_kind() {
        assert_eq!(score_of("pkgconfig(zlb)", "pkgconfig(zlib)"), Some(10));
        assert_eq!(score_of("pkgconfig(zlib)", "zlib-devel"), Some(40));
        assert_eq!(score_of("pkgconfig(zlib)", "cmake(zlib)"), None);
        assert_eq!(score_of("libfoo.so.1()(64bit)", "libfoo.so.2()(64bit)"), Some(0));
        assert_eq!(score_of("imagemagick", "ImageMagick"), Some(0));
        assert_eq!(score_of("zlib", "/usr/bin/zlib"), None);
    }
}
