//! Files that lie: every one ends in an error, none in a panic or a full memory.

mod support;

use std::{fs, io::Cursor, sync::OnceLock};

use anima_rpm_file::{
    Error, PackageInfo, PublicKey, SigningKey, check_header_bytes, header_bytes, install_signature, is_package, verify,
};
use proptest::prelude::*;
use support::{SIGNED_AT, ed25519, odd};
use tempfile::TempDir;

fn signed() -> &'static (Vec<u8>, usize) {
    static SIGNED: OnceLock<(Vec<u8>, usize)> = OnceLock::new();
    SIGNED.get_or_init(|| {
        let dir = TempDir::new().unwrap();
        let package = odd().named("odd-1.0");
        let signature = ed25519().sign_detached(&header_bytes(&package).unwrap().bytes, SIGNED_AT).unwrap();
        let output = dir.path().join("signed.rpm");
        install_signature(&package, &output, &signature).unwrap();
        let end = PackageInfo::read(&output).unwrap().header_end as usize;
        (fs::read(output).unwrap(), end)
    })
}

/// All that can be asked of a file.
fn ask(bytes: &[u8]) -> [Result<(), Error>; 4] {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("asked.rpm");
    fs::write(&path, bytes).unwrap();
    let signature = ed25519().sign_detached(b"x", SIGNED_AT).unwrap();
    let answers = [
        PackageInfo::read(&path).map(drop),
        header_bytes(&path).map(drop),
        install_signature(&path, &dir.path().join("out.rpm"), &signature),
        verify(&path, &ed25519().public_key()).map(drop),
    ];
    assert_eq!(dir.path().join("out.rpm").exists(), answers[2].is_ok());
    answers
}

#[test]
fn a_package_cut_off_anywhere_is_refused() {
    let (bytes, header_end) = signed();
    let near_the_seams =
        [0, 1, 4, 95, 96, 97, 111, 112, 113, *header_end - 1, *header_end, *header_end + 1, bytes.len() - 1];
    let all_over = (0..bytes.len()).step_by(211);

    for len in near_the_seams.into_iter().chain(all_over) {
        for answer in ask(&bytes[..len]) {
            assert!(answer.is_err(), "cut at {len} of {}", bytes.len());
        }
    }
}

#[test]
fn a_package_with_something_behind_it_is_refused() {
    let (bytes, _) = signed();

    for answer in ask(&[&bytes[..], b"more"].concat()) {
        assert!(matches!(answer, Err(Error::WrongLength { .. })));
    }
}

#[test]
fn a_header_that_claims_to_be_huge_costs_no_memory() {
    let (bytes, _) = signed();
    for (entries, data) in [(1u32, 64u32 << 20), (32, 60 << 20), (u32::MAX, u32::MAX), (0, 0)] {
        let mut lying = bytes[..200].to_vec();
        lying[104..108].copy_from_slice(&entries.to_be_bytes());
        lying[108..112].copy_from_slice(&data.to_be_bytes());

        let answer = PackageInfo::from_reader(&mut Cursor::new(lying));

        assert!(matches!(answer, Err(Error::CutOff { .. } | Error::Malformed { .. })), "{answer:?}");
    }
}

/// A header with these entries (tag, type, count, data) in order, framed by its region.
fn header(region: u32, entries: &[(u32, u32, u32, &[u8])]) -> Vec<u8> {
    let word = |out: &mut Vec<u8>, value: u32| out.extend(value.to_be_bytes());
    let (mut index, mut data) = (Vec::new(), Vec::new());
    for (tag, kind, count, bytes) in entries {
        data.resize(data.len().next_multiple_of(if *kind == 4 { 4 } else { 2 }), 0);
        [*tag, *kind, data.len() as u32, *count].iter().for_each(|value| word(&mut index, *value));
        data.extend_from_slice(bytes);
    }
    let (count, end) = (entries.len() as u32 + 1, data.len() as u32);
    [region, 7, (count * 16).wrapping_neg(), 16].iter().for_each(|value| word(&mut data, *value));
    let mut out = vec![0x8e, 0xad, 0xe8, 1, 0, 0, 0, 0];
    [count, data.len() as u32, region, 7, end, 16].iter().for_each(|value| word(&mut out, *value));
    [out, index, data].concat()
}

/// Reads a package of so many files in one folder, whose name has so many bytes; returns how many files it has.
fn files_of(file_count: u32, folder_bytes: usize) -> Result<usize, Error> {
    let (empty, zeros) = (vec![0; file_count as usize], vec![0; file_count as usize * 4]);
    let (modes, folder) = ([0o100, 0].repeat(file_count as usize), [&vec![b'/'; folder_bytes][..], b"\0"].concat());
    let one = |tag, text: &'static [u8]| (tag, 6, 1, text);
    let texts = |tag| (tag, 8, file_count, &empty[..]);
    let numbers = |tag| (tag, 4, file_count, &zeros[..]);
    let entries = [
        one(1000, b"bomb\0"),
        one(1001, b"1\0"),
        one(1002, b"1\0"),
        one(1022, b"noarch\0"),
        numbers(1028),
        (1030, 3, file_count, &modes[..]),
        texts(1035),
        texts(1036),
        numbers(1037),
        texts(1039),
        texts(1040),
        one(1044, b"bomb-1-1.src.rpm\0"),
        numbers(1116),
        texts(1117),
        (1118, 8, 1, &folder[..]),
    ];
    let mut signature = header(62, &[one(269, b"0\0")]);
    signature.resize(signature.len().next_multiple_of(8), 0);
    let package = [&[0xed, 0xab, 0xee, 0xdb, 3, 0][..], &[0; 90], &signature, &header(63, &entries)].concat();
    Ok(PackageInfo::from_reader(&mut Cursor::new(package))?.files.len())
}

#[test]
fn one_long_folder_before_many_files_costs_no_memory() {
    assert_eq!(files_of(1000, 4096).unwrap(), 1000);

    for (file_count, folder_bytes, reason) in [
        (100_000, 200_000, "a path of 200000 bytes"),
        (100_000, 4096, "more than 67108864 bytes"),
        (700_000, 1, "more than 3000000 texts"),
    ] {
        let error = files_of(file_count, folder_bytes).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn what_is_no_package_says_so() {
    for bytes in [&b""[..], b"#!/bin/sh\n", &[0u8; 4096]] {
        assert!(matches!(PackageInfo::from_reader(&mut Cursor::new(bytes)), Err(Error::NotRpm)));
    }
}

#[test]
fn only_a_whole_header_without_anything_behind_it_is_taken_for_one() {
    let (package, header_end) = signed();
    let header = header_bytes(&odd().named("odd-1.0")).unwrap().bytes;
    let start = header_end - header.len();

    check_header_bytes(&header).unwrap();

    let not_headers = [
        &package[..],                    // a package
        &package[96..start],             // its signature header
        &package[*header_end..],         // its payload
        &package[start..header_end + 1], // its header and the first byte of its payload
        &package[start..header_end - 1], // a part of its header
        b"",
    ];
    for (number, bytes) in not_headers.into_iter().enumerate() {
        assert!(check_header_bytes(bytes).is_err(), "{number}");
    }
    assert!(is_package(package) && !is_package(&header));
}

#[test]
fn what_is_no_key_is_refused() {
    let public = ed25519().to_armoured_public().unwrap();
    let huge = "x".repeat(2 << 20);
    for text in ["", "garbage", &public[..public.len() / 2], &huge] {
        assert!(matches!(PublicKey::from_armoured(text), Err(Error::Key(_))));
        assert!(matches!(SigningKey::from_armoured_secret(text, "x"), Err(Error::Key(_))));
    }
    assert!(SigningKey::from_armoured_secret(&public, "x").is_err(), "a public key cannot sign");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_altered_byte_makes_reading_panic(place in 0usize..1 << 20, value: u8, count in 1usize..6) {
        let (bytes, header_end) = signed();
        let mut bytes = bytes.clone();
        for i in 0..count {
            let place = (place + i * 7919) % header_end;
            bytes[place] = value.wrapping_add(i as u8);
        }

        let _ = PackageInfo::from_reader(&mut Cursor::new(&bytes));
    }

    #[test]
    fn no_altered_index_entry_makes_reading_panic(entry in 0usize..400, column in 0usize..4, value: u32) {
        let (bytes, header_end) = signed();
        let info = PackageInfo::from_reader(&mut Cursor::new(bytes)).unwrap();
        let mut bytes = bytes.clone();
        let place = (info.header_start as usize + 16 + entry * 16 + column * 4).min(*header_end - 4);
        bytes[place..place + 4].copy_from_slice(&(value % 97).to_be_bytes());

        let _ = PackageInfo::from_reader(&mut Cursor::new(&bytes));
    }

    // A signature's unhashed part and the lengths of its numbers are not covered by any OpenPGP signature, so an altered
    // packet may still hold for what was signed; it must never hold for anything else.
    #[test]
    fn no_altered_signature_packet_holds_for_other_data(place in 0usize..200, value in 1u8..=255) {
        let mut signature = ed25519().sign_detached(b"data", SIGNED_AT).unwrap();
        let place = place % signature.len();
        signature[place] ^= value;

        prop_assert!(ed25519().public_key().verify_detached(b"other data", &signature).is_err());
        let _ = ed25519().public_key().verify_detached(b"data", &signature);
    }

    // The last 30 bytes are the number `s` (of at most 32), whatever the length of what stands before it.
    #[test]
    fn no_altered_signature_value_is_accepted(back in 1usize..=30, value in 1u8..=255) {
        let mut signature = ed25519().sign_detached(b"data", SIGNED_AT).unwrap();
        let place = signature.len() - back;
        signature[place] ^= value;

        prop_assert!(ed25519().public_key().verify_detached(b"data", &signature).is_err(), "byte {}", place);
    }
}
