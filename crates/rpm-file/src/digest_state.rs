//! SHA-256 in the middle of its work: what has been hashed of a long file, so that another can go on without the file.
//!
//! [FIPS 180-4](https://csrc.nist.gov/pubs/fips/180-4/upd1/final): eight words of state after each block of 64 bytes.

use sha2_blocks::block_api::compress256;

const BLOCK_BYTES: usize = 64;
const STATE_BYTES: usize = 32;
const LENGTH_BYTES: usize = 8;
/// The state before the first block.
const INITIAL: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// What SHA-256 remembers of the bytes that it was given.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DigestState {
    words: [u32; 8],
    total_bytes: u64,
    /// The beginning of a block that is not whole yet.
    tail: Vec<u8>,
}

impl Default for DigestState {
    fn default() -> DigestState {
        DigestState { words: INITIAL, total_bytes: 0, tail: Vec::with_capacity(BLOCK_BYTES) }
    }
}

impl DigestState {
    /// Goes on with more bytes.
    pub fn update(&mut self, mut bytes: &[u8]) {
        self.total_bytes += bytes.len() as u64;
        if !self.tail.is_empty() {
            let (missing, rest) = bytes.split_at(bytes.len().min(BLOCK_BYTES - self.tail.len()));
            self.tail.extend_from_slice(missing);
            bytes = rest;
            if self.tail.len() < BLOCK_BYTES {
                return;
            }
            compress(&mut self.words, &self.tail);
            self.tail.clear();
        }
        let (whole, rest) = bytes.split_at(bytes.len() / BLOCK_BYTES * BLOCK_BYTES);
        compress(&mut self.words, whole);
        self.tail.extend_from_slice(rest);
    }

    /// Returns the digest of all bytes.
    pub fn finish(mut self) -> [u8; 32] {
        let total_bits = self.total_bytes * 8;
        let mut end = std::mem::take(&mut self.tail);
        end.push(0x80);
        end.resize((end.len() + LENGTH_BYTES).next_multiple_of(BLOCK_BYTES) - LENGTH_BYTES, 0);
        end.extend_from_slice(&total_bits.to_be_bytes());
        compress(&mut self.words, &end);
        digest(self.words)
    }

    /// Returns the state in hexadecimal: words, length, and what is left over.
    pub fn to_hex(&self) -> String {
        hex::encode([&digest(self.words)[..], &self.total_bytes.to_be_bytes(), &self.tail].concat())
    }

    /// Reads what [`DigestState::to_hex`] wrote; nothing where it cannot be a state.
    pub fn from_hex(text: &str) -> Option<DigestState> {
        let bytes = hex::decode(text).ok()?;
        let (words, rest) = bytes.split_at_checked(STATE_BYTES)?;
        let (length, tail) = rest.split_at_checked(LENGTH_BYTES)?;
        let mut state = DigestState::default();
        for (word, bytes) in state.words.iter_mut().zip(words.chunks_exact(4)) {
            *word = u32::from_be_bytes(bytes.try_into().ok()?);
        }
        state.total_bytes = u64::from_be_bytes(length.try_into().ok()?);
        state.tail.extend_from_slice(tail);
        (state.total_bytes % BLOCK_BYTES as u64 == tail.len() as u64).then_some(state)
    }
}

fn compress(words: &mut [u32; 8], blocks: &[u8]) {
    let (blocks, _) = blocks.as_chunks::<BLOCK_BYTES>();
    compress256(words, blocks);
}

fn digest(words: [u32; 8]) -> [u8; 32] {
    let mut digest = [0; STATE_BYTES];
    for (bytes, word) in digest.chunks_exact_mut(4).zip(words) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    digest
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sha2::Digest as _;

    proptest! {
        #[test]
        fn a_state_that_travels_anywhere_in_the_file_gives_the_files_digest(
            bytes in proptest::collection::vec(any::<u8>(), 0..600),
            cuts in proptest::collection::vec(0_usize..600, 0..6),
        ) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.sort_unstable();

            let mut state = DigestState::default();
            let mut at = 0;
            for cut in cuts.into_iter().chain([bytes.len()]) {
                state.update(&bytes[at..cut]);
                state = DigestState::from_hex(&state.to_hex()).unwrap();
                at = cut;
            }

            prop_assert_eq!(state.finish(), <[u8; 32]>::from(sha2::Sha256::digest(&bytes)));
        }
    }

    #[test]
    fn what_cannot_be_a_state_is_refused() {
        let mut state = DigestState::default();
        state.update(b"abc");
        let good = state.to_hex();

        for bad in ["", "zz", &good[..70], &format!("{good}00"), &good[..good.len() - 2]] {
            assert_eq!(DigestState::from_hex(bad), None, "{bad}");
        }
    }
}
