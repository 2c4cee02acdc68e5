//! The hashes that files are known by: what repositories, lookasides and artifacts name.

use std::fs::File;
use std::io::{self, Read};

use anima_types::Sha256;
use anima_types::dist_git::{Algorithm, LookasideFile};
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha512};

/// How much is read of a file at once.
const READ_BYTES: usize = 256 * 1024;

/// A hash with its algorithm.
#[derive(Clone, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub struct FileHash {
    /// Which hash.
    pub algorithm: Algorithm,
    /// In lower-case hexadecimal, of the algorithm's length.
    pub hex: String,
}

impl From<Sha256> for FileHash {
    fn from(hash: Sha256) -> FileHash {
        FileHash { algorithm: Algorithm::Sha256, hex: hash.to_string() }
    }
}

impl From<&LookasideFile> for FileHash {
    fn from(file: &LookasideFile) -> FileHash {
        FileHash { algorithm: file.algorithm, hex: file.hash.clone() }
    }
}

impl FileHash {
    /// Returns the hash that repository metadata writes so; nothing when it is no hash, or one too weak to trust.
    pub fn of_metadata(algorithm: &str, hex: &str) -> Option<FileHash> {
        let algorithm = Algorithm::from_name(algorithm)?;
        let is_strong = matches!(algorithm, Algorithm::Sha256 | Algorithm::Sha512);
        is_strong.then(|| algorithm.parse_hash(hex)).flatten().map(|hex| FileHash { algorithm, hex })
    }
}

/// Returns the hash of a file from where it is read next.
pub fn hash_file(file: &mut File, algorithm: Algorithm) -> io::Result<FileHash> {
    let hex = match algorithm {
        Algorithm::Md5 => digest::<Md5>(file)?,
        Algorithm::Sha1 => digest::<Sha1>(file)?,
        Algorithm::Sha256 => digest::<sha2::Sha256>(file)?,
        Algorithm::Sha512 => digest::<Sha512>(file)?,
    };
    Ok(FileHash { algorithm, hex })
}

/// Returns the SHA-256 by which a file is known as an artifact.
pub fn sha256_of(file: &mut File) -> io::Result<Sha256> {
    let hash = hash_file(file, Algorithm::Sha256)?;
    Ok(hash.hex.parse().expect("a digest is 64 hexadecimal digits"))
}

fn digest<D: Digest>(file: &mut File) -> io::Result<String> {
    let mut digest = D::new();
    let mut buffer = vec![0; READ_BYTES];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(hex::encode(digest.finalize())),
            Ok(count) => digest.update(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, Write};

    use super::*;

    #[test]
    fn every_algorithm_gives_its_known_value() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"abc").unwrap();
        let mut hash = |algorithm| {
            file.rewind().unwrap();
            hash_file(&mut file, algorithm).unwrap().hex
        };

        assert_eq!(hash(Algorithm::Md5), "900150983cd24fb0d6963f7d28e17f72");
        assert_eq!(hash(Algorithm::Sha1), "a9993e364706816aba3e25717850c26c9cd0d89d");
        assert!(hash(Algorithm::Sha256).starts_with("ba7816bf8f01cfea"));
        assert!(hash(Algorithm::Sha512).starts_with("ddaf35a193617aba"));
    }

    #[test]
    fn metadata_with_weak_or_broken_hashes_is_not_believed() {
        assert!(FileHash::of_metadata("sha256", &"ab".repeat(32)).is_some());
        assert!(FileHash::of_metadata("sha512", &"AB".repeat(64)).is_some());
        for (algorithm, hex) in
            [("md5", "ab".repeat(16)), ("sha", "ab".repeat(20)), ("sha256", "ab".repeat(31)), ("sha256", "../x".into())]
        {
            assert!(FileHash::of_metadata(algorithm, &hex).is_none(), "{algorithm}");
        }
    }
}
