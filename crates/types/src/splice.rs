//! A new artifact out of pieces of an old one and new bytes: metadata of which little changed need not travel.
//!
//! On the wire a splice is the length of its head (four bytes, the highest first), the head as JSON, and the new bytes one
//! after another.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Sha256, artifact::Kind};

/// Pieces at most: two for each bucket of a repository's metadata that changes.
pub const MAX_PIECES: usize = 8_192;
/// The head at most: each piece takes some 50 bytes.
const MAX_HEAD_BYTES: usize = 1 << 20;

/// The head of `POST /api/v1/tasks/{task}/splices`.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Splice {
    /// The artifact that pieces are taken from.
    pub base: Sha256,
    /// The pieces, one after another.
    pub pieces: Vec<SplicePiece>,
    /// What it is.
    pub kind: Kind,
    /// The new file's name, without a path.
    pub name: String,
}

/// A piece of the new artifact.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SplicePiece {
    /// Bytes of the old artifact: from which on, and how many.
    Old(u64, u64),
    /// So many of the new bytes.
    New(u64),
}

impl Splice {
    /// Returns the body of the request.
    pub fn encode(&self, new_bytes: &[u8]) -> Result<Vec<u8>, serde_json::Error> {
        let head = serde_json::to_vec(self)?;
        let length = u32::try_from(head.len()).unwrap_or(u32::MAX).to_be_bytes();
        Ok([&length, head.as_slice(), new_bytes].concat())
    }

    /// Reads the body of a request: the head, and where the new bytes begin. The pieces take all of them.
    pub fn decode(body: &[u8]) -> Result<(Splice, usize), String> {
        let (length, rest) = body.split_first_chunk::<4>().ok_or("it has no head")?;
        let length = u32::from_be_bytes(*length) as usize;
        if length > MAX_HEAD_BYTES || length > rest.len() {
            return Err("its head is cut off or too long".to_string());
        }
        let splice: Splice = serde_json::from_slice(&rest[..length]).map_err(|error| error.to_string())?;
        if splice.pieces.len() > MAX_PIECES {
            return Err(format!("it has more than {MAX_PIECES} pieces"));
        }
        let new_bytes = splice.pieces.iter().try_fold(0_u64, |sum, piece| match piece {
            SplicePiece::New(length) => sum.checked_add(*length),
            SplicePiece::Old(..) => Some(sum),
        });
        let given = (rest.len() - length) as u64;
        match new_bytes == Some(given) {
            true => Ok((splice, 4 + length)),
            false => Err(format!("its pieces do not take the {given} bytes that came")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn splice() -> Splice {
        let pieces = vec![SplicePiece::New(2), SplicePiece::Old(7, 9), SplicePiece::New(1)];
        Splice { base: Sha256([3; 32]), pieces, kind: Kind::Repodata, name: "primary.xml.gz".into() }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let body = splice().encode(b"abc").unwrap();

        let (read, at) = Splice::decode(&body).unwrap();

        assert_eq!((read, &body[at..]), (splice(), &b"abc"[..]));
    }

    #[test]
    fn bodies_that_lie_about_their_length_are_refused() {
        let good = splice().encode(b"abc").unwrap();
        for bad in [&b""[..], b"\0\0\0", b"\xff\xff\xff\xff{}", &good[..20], &good[..good.len() - 1], b"\0\0\0\x02{}"] {
            assert!(Splice::decode(bad).is_err(), "{bad:?}");
        }
        assert!(Splice::decode(&splice().encode(b"abcd").unwrap()).is_err());
        let greedy = Splice { pieces: vec![SplicePiece::New(u64::MAX), SplicePiece::New(4)], ..splice() };
        assert!(Splice::decode(&greedy.encode(b"abc").unwrap()).is_err());
    }
}
