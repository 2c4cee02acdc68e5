//! Metadata that is cut, garbled or malicious ends in an error; the pool stays usable.

mod common;

use std::io::Write;
use std::path::Path;

use anima_solver::{CacheUse, DEFAULT_PRIORITY, Error, Loaded, Pool, RepodataFiles, Request};
use common::{Tiny, filelists, package, pool, primary};

fn load(pool: &mut Pool, name: &str, primary: &[u8]) -> Result<Loaded, Error> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("primary");
    std::fs::write(&path, primary).unwrap();
    pool.add_repository(name, DEFAULT_PRIORITY, &RepodataFiles { primary: &path, filelists: None, cache: None })
}

fn sample() -> Vec<Tiny> {
    vec![package("foo", "1-1").requires("bar"), package("bar", "1-1").file("/usr/bin/bar").file("/opt/bar")]
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn every_usual_compression_is_read_whatever_the_file_is_called() {
    let text = primary(&sample());
    let zstd = zstd::encode_all(text.as_bytes(), 3).unwrap();

    for bytes in [text.clone().into_bytes(), gzip(text.as_bytes()), zstd] {
        let mut pool = Pool::new("x86_64").unwrap();

        assert_eq!(load(&mut pool, "r", &bytes).unwrap().package_count, 2);
        assert_eq!(pool.solve(&Request::install(["foo"])).unwrap().packages.len(), 2);
    }
}

#[test]
fn a_document_cut_anywhere_is_an_error_and_leaves_nothing_behind() {
    let text = primary(&sample());
    let zipped = gzip(text.as_bytes());
    let zstd = zstd::encode_all(text.as_bytes(), 3).unwrap();
    let mut pool = pool(&[package("good", "1-1")]);

    for whole in [text.as_bytes(), &zipped, &zstd] {
        // Not the last byte of all: a gzip without its end of the sum still has the whole document.
        for length in (0..whole.len() - 12).step_by(whole.len() / 40) {
            let error = load(&mut pool, "cut", &whole[..length]).expect_err("it was taken");
            assert!(matches!(error, Error::Metadata { .. }), "{error:?}");
        }
    }

    assert!(pool.solve(&Request::install(["foo"])).is_err());
    assert_eq!(pool.solve(&Request::install(["good"])).unwrap().packages.len(), 1);
    assert_eq!(load(&mut pool, "cut", &zipped).unwrap().package_count, 2);
    assert_eq!(pool.solve(&Request::install(["foo", "good"])).unwrap().packages.len(), 3);
}

#[test]
fn garbage_is_an_error() {
    let mut garbled = gzip(primary(&sample()).as_bytes());
    let middle = garbled.len() / 2;
    garbled[middle..middle + 8].fill(0xa5);
    let mut state = 1_u32;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    })
    .take(100_000)
    .collect();
    let zchunk = [b"\0ZCK1".as_slice(), &noise].concat();
    let page = b"<html><body>404 Not Found</body></html>";
    let cases: [&[u8]; 7] = [&garbled, &noise, &zchunk, page, b"", b"hello", filelists(&sample()).leak().as_bytes()];

    let mut pool = Pool::new("x86_64").unwrap();
    for (index, case) in cases.into_iter().enumerate() {
        let error = load(&mut pool, "garbage", case).expect_err("it was taken");
        assert!(matches!(error, Error::Metadata { .. }), "case {index}: {error:?}");
        assert!(error.to_string().starts_with("read metadata of repository garbage from "), "{error}");
    }
}

#[test]
fn entities_that_multiply_are_refused() {
    let mut text =
        String::from("<?xml version=\"1.0\"?><!DOCTYPE m [<!ENTITY a0 \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\">");
    for level in 1..12 {
        let inner = format!("&a{};", level - 1).repeat(10);
        text.push_str(&format!("<!ENTITY a{level} \"{inner}\">"));
    }
    text.push_str("]><metadata packages=\"1\"><package type=\"rpm\"><name>&a11;</name></package></metadata>");

    assert!(load(&mut Pool::new("x86_64").unwrap(), "bomb", text.as_bytes()).is_err());
}

#[test]
fn flipping_any_byte_never_crashes() {
    let text = primary(&sample()).into_bytes();

    for position in 0..text.len() {
        let mut flipped = text.clone();
        flipped[position] ^= 0x15;
        let mut pool = Pool::new("x86_64").unwrap();
        // An error or an answer, both are fine: what matters is that this line is reached every time.
        if load(&mut pool, "flipped", &flipped).is_ok() {
            pool.solve(&Request::install(["foo"])).ok();
        }
    }
}

#[test]
fn a_package_that_leads_out_of_its_repository_is_refused() {
    for location in ["../../etc/passwd", "/etc/passwd", ""] {
        let mut pool = pool(&[package("evil", "1-1").location(location)]);

        let error = pool.solve(&Request::install(["evil"])).unwrap_err();

        assert!(matches!(error, Error::Package { .. }), "{error:?}");
        assert!(error.to_string().contains("evil-1-1.x86_64 of repository tiny"), "{error}");
    }
}

#[test]
fn a_package_with_a_dangerous_name_or_without_checksum_is_refused() {
    let dangerous = pool(&[package("a/../b", "1-1")]).solve(&Request::install(["a/../b"])).unwrap_err();
    let text = primary(&[package("foo", "1-1")]);
    let (start, end) = (text.find("<checksum").unwrap(), text.find("<summary>").unwrap());
    let mut without = Pool::new("x86_64").unwrap();
    load(&mut without, "r", [&text[..start], &text[end..]].concat().as_bytes()).unwrap();

    assert!(matches!(dangerous, Error::Package { .. }), "{dangerous:?}");
    assert!(matches!(without.solve(&Request::install(["foo"])), Err(Error::Package { .. })));
}

#[test]
fn a_missing_file_is_an_error_that_names_it() {
    let files = RepodataFiles { primary: Path::new("no/such/primary.xml.gz"), filelists: None, cache: None };

    let error = Pool::new("x86_64").unwrap().add_repository("r", 1, &files).unwrap_err();

    assert!(error.to_string().starts_with("open no/such/primary.xml.gz: "), "{error}");
}

#[test]
fn names_of_repositories_are_unique_and_printable() {
    let mut pool = pool(&[]);

    for name in ["tiny", "", "a\nb", "@installed\0"] {
        let error = load(&mut pool, name, primary(&[]).as_bytes()).unwrap_err();
        assert!(matches!(error, Error::Repository { .. }), "{error:?}");
    }
}

#[test]
fn bad_filelists_take_the_whole_repository_back() {
    let folder = tempfile::tempdir().unwrap();
    let (good, bad) = (folder.path().join("p"), folder.path().join("f"));
    std::fs::write(&good, primary(&sample())).unwrap();
    std::fs::write(&bad, &filelists(&sample())[..300]).unwrap();
    let mut pool = Pool::new("x86_64").unwrap();

    let files = RepodataFiles { primary: &good, filelists: Some(&bad), cache: None };
    let error = pool.add_repository("r", DEFAULT_PRIORITY, &files).unwrap_err();

    assert!(error.to_string().contains(&bad.display().to_string()), "{error}");
    assert_eq!(pool.what_provides("foo").unwrap(), Vec::<String>::new());
}

#[test]
fn a_damaged_cache_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let (path, cache) = (folder.path().join("p"), folder.path().join("c.solv"));
    std::fs::write(&path, primary(&sample())).unwrap();
    let files = RepodataFiles { primary: &path, filelists: None, cache: Some(&cache) };
    let cache_use = || {
        let mut pool = Pool::new("x86_64").unwrap();
        let loaded = pool.add_repository("r", DEFAULT_PRIORITY, &files).unwrap();
        assert_eq!(pool.solve(&Request::install(["foo"])).unwrap().packages.len(), 2);
        loaded.cache
    };

    assert_eq!(cache_use(), CacheUse::Written);
    assert_eq!(cache_use(), CacheUse::Read);
    let whole = std::fs::read(&cache).unwrap();
    for damaged in [&whole[..whole.len() / 2], &whole[..10], b"", &[whole.as_slice(), b"x"].concat()] {
        std::fs::write(&cache, damaged).unwrap();
        assert_eq!(cache_use(), CacheUse::Written);
    }
    assert_eq!(std::fs::read(&cache).unwrap(), whole);
}

#[test]
fn a_cache_that_cannot_be_written_stops_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p");
    std::fs::write(&path, primary(&sample())).unwrap();
    let files =
        RepodataFiles { primary: &path, filelists: None, cache: Some(Path::new("/proc/no-such-folder/c.solv")) };

    let loaded = Pool::new("x86_64").unwrap().add_repository("r", DEFAULT_PRIORITY, &files).unwrap();

    assert!(matches!(loaded.cache, CacheUse::NotWritten(_)), "{loaded:?}");
}

#[test]
fn a_dependency_that_would_overflow_the_solver_is_refused() {
    let deep = format!("{}a{}", "(a and ".repeat(200_000), ")".repeat(200_000));
    let wide = format!("({})", (0..40).map(|i| format!("(a{i} and b{i})")).collect::<Vec<_>>().join(" or "));
    let long = format!("({})", vec!["a"; 100_000].join(" or "));
    let hidden = |text: &str| text.replace('(', "&#40;");

    for dependency in [&deep, &wide, &long, &hidden(&deep), &hidden(&wide)] {
        for quote in ["\"", "'"] {
            let text = primary(&[package("foo", "1-1").requires("PLACE")]);
            let text = text.replace("\"PLACE\"", &format!("{quote}{dependency}{quote}"));
            let comment = text.replace("<name>", "<!-- \"' (>) --><?pi \"?><name>");
            for text in [text, comment] {
                let error = load(&mut Pool::new("x86_64").unwrap(), "r", text.as_bytes()).expect_err("it was taken");
                assert!(matches!(&error, Error::Metadata { reason, .. } if reason.contains("too")), "{error}");
            }
        }
    }
    assert!(matches!(pool(&[]).solve(&Request::install([deep])), Err(Error::Request { .. })));
}

#[test]
fn a_dependency_of_many_alternatives_is_fine() {
    let names: Vec<String> = (0..500).map(|i| format!("a{i}(x86-64)")).collect();
    let mut pool = pool(&[
        package("foo", "1-1").requires(&format!("({})", names.join(" or "))),
        package("b", "1-1").provides("a7(x86-64)"),
    ]);

    assert_eq!(pool.solve(&Request::install(["foo"])).unwrap().packages.len(), 2);
}
