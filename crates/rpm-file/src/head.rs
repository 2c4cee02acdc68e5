//! The beginning of a package, as it can be fetched without the rest: all that it says of itself, and its signature.

use std::io::Read;

use crate::{PackageInfo, PublicKey, Result, extract::from_segments, segments::Segments, verify::check_signature};

/// A package up to its payload.
pub struct PackageHead {
    segments: Segments,
    /// What it says of itself.
    pub info: PackageInfo,
}

impl PackageHead {
    /// Reads it; [`crate::Error::CutOff`] means that more bytes are needed.
    pub fn read(reader: &mut impl Read) -> Result<PackageHead> {
        let segments = Segments::read(reader)?;
        let info = from_segments(&segments)?;
        Ok(PackageHead { segments, info })
    }

    /// Checks that the header is what its digest says and that the key signed it. The payload, which the header has the
    /// digest of, is not looked at: [`crate::verify`] does that.
    pub fn check_signature(&self, key: &PublicKey) -> Result<()> {
        self.segments.check_header_digest()?;
        check_signature(&self.segments, key)
    }
}
