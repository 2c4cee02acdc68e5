//! Nothing secret is left in the memory of a Sign Server that has closed its keyring: all of it is searched.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    path::Path,
};

use anima_rpm_file::SigningKey;
use anima_sign_server::{keyring::Keyring, wipe};
use zeroize::{Zeroize as _, Zeroizing};

#[global_allocator]
static ALLOCATOR: wipe::Wiping = wipe::Wiping;

/// The words that are searched for are put together anew each time, so that the searcher finds no copy of its own: it looks
/// for their bytes each changed by one bit, and changes what it reads in the same way.
const MASK: u8 = 0x20;

fn masked(words: &str) -> Vec<u8> {
    words.bytes().map(|byte| byte ^ MASK).collect()
}

/// Counts the places in this process's memory that hold the words.
fn places(masked: &[u8]) -> usize {
    let memory = File::open("/proc/self/mem").unwrap();
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let mut found = 0;
    let mut piece = vec![0_u8; 1 << 20];
    for line in maps.lines().filter(|line| line.contains(" rw-p ")) {
        let (range, _) = line.split_once(' ').unwrap();
        let (start, end) = range.split_once('-').unwrap();
        let [mut at, end] = [start, end].map(|number| u64::from_str_radix(number, 16).unwrap());
        while at < end {
            let length = (end - at).min(piece.len() as u64) as usize;
            if memory.read_exact_at(&mut piece[..length], at).is_err() {
                break;
            }
            found += count(&piece[..length], masked);
            piece.zeroize();
            piece.resize(1 << 20, 0);
            at += length as u64;
        }
    }
    found
}

fn count(bytes: &[u8], masked: &[u8]) -> usize {
    let matches = |window: &[u8]| window.iter().zip(masked).all(|(byte, masked)| byte ^ MASK == *masked);
    bytes.windows(masked.len()).filter(|window| matches(window)).count()
}

fn made_in(dir: &Path, words: &str) -> String {
    let wanted = anima_types::key::CreateKey {
        name: "k".into(),
        algorithm: anima_types::key::Algorithm::Ed25519,
        user_id: "K <k@example.org>".into(),
        options: Default::default(),
    };
    let mut keyring = Keyring::open(dir, Zeroizing::new(words.to_string())).unwrap();
    keyring.create(&wanted, 1_700_000_000).unwrap().fingerprint()
}

#[test]
fn a_closed_keyring_leaves_neither_passphrase_nor_imported_key_behind() {
    wipe::begin();
    let dir = tempfile::tempdir().unwrap();
    let words = masked("correct horse battery staple, said by nobody else");
    let said = || Zeroizing::new(words.iter().map(|byte| char::from(byte ^ MASK)).collect::<String>());

    let fingerprint = made_in(dir.path(), &said());
    let mut keyring = Keyring::open(dir.path(), said()).unwrap();
    keyring.by_fingerprint(&fingerprint).unwrap().key.sign_detached(b"data", 1_700_000_001).unwrap();
    assert!(places(&words) > 0, "the search finds what is there");
    let locked = fs::read_to_string(dir.path().join("k.asc")).unwrap();
    drop(SigningKey::from_armoured_secret(&locked, &said()).unwrap());
    drop(keyring);

    assert_eq!(places(&words), 0);
}
