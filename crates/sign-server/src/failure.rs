//! What the person who looks first is told of a task that could not be done: a stable code, a sentence, and the cure.

use anima_client::lease::Stop;
use anima_types::{Sha256, work::Failure};

use crate::{keyring, work};

/// Returns a failure of that code.
pub(crate) fn failure(code: &str, message: String, hint: Option<&str>) -> Stop {
    Failure::new(code, message).with_hint(hint).into()
}

/// Returns the failure of a task whose bytes could not be had.
pub(crate) fn not_fetched(artifact: Sha256, error: anima_client::Error) -> Stop {
    let message = format!("could not get what is to be signed of {artifact}: {error}");
    match error {
        anima_client::Error::TooLong { .. } => {
            failure("too_large", message, Some("Only headers of packages and small files are signed."))
        }
        anima_client::Error::Api { status: 400..500, .. } => {
            failure("missing_bytes", message, Some("Look whether the master's store still has the artifact."))
        }
        other => other.into(),
    }
}

/// Returns the failure of a task that was refused.
pub(crate) fn refused(error: work::Error) -> Stop {
    let message = error.to_string();
    let (code, hint) = match error {
        work::Error::Keyring(error) => return refused_by_keyring(error),
        work::Error::TooMany(_) => ("too_large", Some("Build fewer packages at once.")),
        work::Error::Digest { .. } => {
            ("bad_bytes", Some("The master's store or the way to it altered them; restart the task."))
        }
        work::Error::Form { .. } => ("bad_bytes", Some("This is a defect of the master, or an attack on it.")),
        work::Error::Policy { .. } => {
            ("refused_by_policy", Some("If it is to be signed, say so in policy.toml in the Sign Server's folder."))
        }
        work::Error::Sign { .. } => ("not_signable", None),
        work::Error::Unverified { .. } => {
            ("bad_signature", Some("Check the memory and the processor of the Sign Server's machine."))
        }
        work::Error::Journal(source) if source.kind() == std::io::ErrorKind::StorageFull => {
            ("out_of_disk", Some("Make room in the Sign Server's data folder, then restart the task."))
        }
        work::Error::Journal(_) => ("journal", Some("See that the Sign Server may write in its data folder.")),
    };
    failure(code, message, hint)
}

/// Returns the failure of a task whose key is not to be had.
pub(crate) fn refused_by_keyring(error: keyring::Error) -> Stop {
    let (code, hint) = match &error {
        keyring::Error::Unknown(_) => {
            ("unknown_key", Some("Start the Sign Server that has the key, or restore its keyring from the backup."))
        }
        keyring::Error::Name(_) => ("bad_name", Some("Ask for a key with a plain name.")),
        keyring::Error::Exists(_) => ("key_exists", Some("Ask for a key with another name.")),
        keyring::Error::File(error) if error.is_full() => {
            ("out_of_disk", Some("Make room in the Sign Server's data folder, then restart the task."))
        }
        keyring::Error::Ended { .. } => {
            ("key_ended", Some("Give the product another key: `anima key rotate PRODUCT`."))
        }
        keyring::Error::Token(_) => {
            ("token", Some("See that the token is there, and that its PIN and its module are right."))
        }
        keyring::Error::File(_) | keyring::Error::Key { .. } => {
            ("keyring", Some("See that the Sign Server may write in its data folder."))
        }
    };
    failure(code, error.to_string(), hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(stop: Stop) -> String {
        match stop {
            Stop::Failed { failure, .. } | Stop::GivenBack { failure } => failure.code,
            Stop::Abandoned => "abandoned".to_string(),
        }
    }

    #[test]
    fn bytes_that_could_not_be_had_fail_the_task_unless_it_is_no_longer_ours() {
        let (what, reason) = (|| "GET /header".to_string(), || "it is away".to_string());
        let api = |status| {
            let body = anima_types::error::ErrorBody { code: "no".into(), message: "no".into(), hint: None };
            anima_client::Error::Api { what: what(), status, body }
        };
        let cases = [
            (anima_client::Error::TooLong { what: what(), max_bytes: 1 }, "too_large"),
            (api(404), "missing_bytes"),
            (api(507), "master_disk_full"),
            (
                anima_client::Error::Unreachable { server: "http://h".into(), what: what(), reason: reason() },
                "unreachable",
            ),
            (anima_client::Error::LeaseLost { what: what() }, "abandoned"),
        ];

        for (error, wanted) in cases {
            assert_eq!(code(not_fetched(Sha256([7; 32]), error)), wanted);
        }
    }
}
