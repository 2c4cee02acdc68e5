//! How caller, supervisor and pid 1 talk: frames of JSON on a socket, and single bytes for what cannot wait.

use std::io::{self, Read, Write};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{Enforced, Outcome};

/// Largest frame: a spec with thousands of mounts stays below it.
const FRAME_BYTES: usize = 16 * 1024 * 1024;

/// The caller asks for the end, by its handle.
pub(crate) const CANCEL: u8 = b'c';
/// The caller asks for the end, because the log is too long.
pub(crate) const LOG_TOO_LONG: u8 = b'l';
/// The caller asks for the end, because too much was written.
pub(crate) const DISK_FULL: u8 = b'd';

/// What the supervisor tells the caller.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Report {
    /// The command was executed.
    Started(Enforced),
    /// It was not.
    Failed(Failure),
    /// It is over, and no process is left.
    Ended(Outcome),
}

/// What pid 1 tells the supervisor.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Inside {
    /// The command was executed.
    Started,
    /// It was not.
    Failed(Failure),
    /// The command's wait status.
    Ended(i32),
}

/// A step that the system refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failure {
    pub step: String,
    pub errno: i32,
}

impl Failure {
    pub(crate) fn new(step: impl Into<String>, source: &io::Error) -> Failure {
        Failure { step: step.into(), errno: source.raw_os_error().unwrap_or(libc::EIO) }
    }
}

/// Adds the name of the step to what the system said.
pub(crate) trait Step<T> {
    fn step(self, step: impl FnOnce() -> String) -> Result<T, Failure>;
}

impl<T, E: Into<io::Error>> Step<T> for Result<T, E> {
    fn step(self, step: impl FnOnce() -> String) -> Result<T, Failure> {
        self.map_err(|source| Failure::new(step(), &source.into()))
    }
}

/// How long a half-sent frame may take; both ends are on one machine.
pub(crate) const FRAME_PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn send(mut to: impl Write, message: &impl Serialize) -> io::Result<()> {
    let body = serde_json::to_vec(message)?;
    let size = u32::try_from(body.len()).ok().filter(|size| *size as usize <= FRAME_BYTES);
    let size = size.ok_or_else(|| io::Error::other(format!("message of {} bytes is too long", body.len())))?;
    let mut frame = size.to_le_bytes().to_vec();
    frame.extend_from_slice(&body);
    to.write_all(&frame)
}

pub(crate) fn receive<T: DeserializeOwned>(mut from: impl Read) -> io::Result<T> {
    let mut size = [0; 4];
    from.read_exact(&mut size)?;
    let size = u32::from_le_bytes(size) as usize;
    if size > FRAME_BYTES {
        return Err(io::Error::other(format!("message of {size} bytes is too long")));
    }
    let mut body = vec![0; size];
    from.read_exact(&mut body)?;
    Ok(serde_json::from_slice(&body)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_arrives_as_it_was_sent() {
        let mut wire = Vec::new();
        let failure = Failure { step: "mount /proc".to_owned(), errno: 1 };

        send(&mut wire, &failure).expect("send");

        assert_eq!(receive::<Failure>(wire.as_slice()).expect("receive"), failure);
    }

    #[test]
    fn a_cut_or_absurd_message_is_an_error() {
        let mut wire = Vec::new();
        send(&mut wire, &"hello").expect("send");

        assert!(receive::<String>(&wire[..wire.len() - 1]).is_err());
        assert!(receive::<String>([0xff; 8].as_slice()).is_err());
    }
}
