//! What an environment that could not be made means to the person who asked for it.

use anima_solver::{MissingRequirement, Problem};
use anima_types::work::{Failure, NODE_DISK_FULL, NODE_LAYER_DAMAGED};

use crate::Error;

/// How many missing requirements the message names; the log has all of them.
const NAMED: usize = 5;
const NO_EMULATOR: &str =
    "Use a node of that architecture, or install QEMU's user emulators (`anima doctor` says how).";

impl Error {
    /// Returns whether the task was stopped, so that nothing is to be said of it.
    pub fn is_cancelled(&self) -> bool {
        matches!(self, Error::Cancelled | Error::Buildroot(anima_buildroot::Error::Stopped))
    }

    /// Returns the failure of a task that could not go on without this. `missing_code` is the word for a wish that nothing
    /// provides, such as `missing_build_requires`.
    pub fn failure(&self, missing_code: &str) -> Failure {
        let failure =
            |code: &str, hint: Option<String>| Failure::new(code, format!("could not {self}")).with_hint(hint);
        if self.is_disk_full() {
            let hint = "Give the node's data folder more room, or let fewer tasks run on it at once. The task is tried again by whoever has room.";
            return failure(NODE_DISK_FULL, Some(hint.to_owned()));
        }
        match self {
            Error::Solver(anima_solver::Error::Unsolvable(problem)) => unsolvable(problem, missing_code),
            Error::Solver(anima_solver::Error::Request { text, reason }) => {
                Failure::new(missing_code, format!("\"{text}\" is not a requirement that can be looked for: {reason}"))
            }
            Error::Missing { .. } => failure(
                "missing_packages",
                Some("Name a folder that has them, or the repository that the lock names.".to_owned()),
            ),
            Error::Network { .. } => failure("unreachable", Some("Try again when the server answers.".to_owned())),
            Error::Signature { .. } => failure(
                "bad_signature",
                Some(
                    "Compare gpg_keys of the repository in the platform's file with the keys of who publishes it."
                        .to_owned(),
                ),
            ),
            Error::Address { .. }
            | Error::Status { .. }
            | Error::Metadata { .. }
            | Error::Hash { .. }
            | Error::TooLarge { .. } => {
                let hint = "The repository may just be changing: try again. If it stays so, look at its address in the platform's file.";
                failure("bad_repository", Some(hint.to_owned()))
            }
            Error::Buildroot(_) if self.limit_of_layers().is_some() => failure(
                "buildroot_failed",
                Some("A script of a package goes on without an end, or needs more than it may have here.".to_owned()),
            ),
            Error::Buildroot(anima_buildroot::Error::Install { .. }) => failure(
                "buildroot_failed",
                Some("A package of the platform does not install: its scripts say why.".to_owned()),
            ),
            Error::Buildroot(anima_buildroot::Error::Damaged { .. }) => failure(
                NODE_LAYER_DAMAGED,
                Some("Look at the disk of the node: something changed or lost files of its cache.".to_owned()),
            ),
            Error::Modules(_) => failure(
                "modules",
                Some("Look at `modules` in the platform's file, for the platform and for the package.".to_owned()),
            ),
            Error::Foreign { .. } => failure("no_emulator", Some(NO_EMULATOR.to_owned())),
            Error::TimedOut { .. } => failure("timed_out", None),
            _ => failure("internal", None),
        }
    }
}

fn unsolvable(problem: &Problem, missing_code: &str) -> Failure {
    let (own, inner): (Vec<_>, Vec<_>) = problem.missing.iter().partition(|missing| missing.needed_by.is_none());
    if !own.is_empty() {
        let names = named(&own, |missing| missing.wanted.clone());
        let message = format!("no repository of the platform provides {names}");
        return Failure::new(missing_code, message).with_hint(near(&own));
    }
    if !inner.is_empty() {
        let needed = |missing: &MissingRequirement| {
            format!("{} (needed by {})", missing.wanted, missing.needed_by.as_deref().unwrap_or_default())
        };
        let names = named(&inner, needed);
        let message = format!("the platform's repositories are not complete: nothing provides {names}");
        return Failure::new("unsolvable", message).with_hint(near(&inner));
    }
    Failure::new("unsolvable", format!("the packages cannot be installed together: {problem}"))
}

fn named(missing: &[&MissingRequirement], name: impl Fn(&MissingRequirement) -> String) -> String {
    let mut text = missing.iter().take(NAMED).map(|one| name(one)).collect::<Vec<_>>().join(", ");
    if missing.len() > NAMED {
        text += &format!(" and {} more", missing.len() - NAMED);
    }
    text
}

fn near(missing: &[&MissingRequirement]) -> Option<String> {
    let with_near = missing.iter().take(NAMED).filter(|one| !one.near.is_empty());
    let hints: Vec<String> =
        with_near.map(|one| format!("Instead of {} there is: {}.", one.wanted, one.near.join(", "))).collect();
    (!hints.is_empty()).then(|| hints.join(" "))
}

#[cfg(test)]
mod tests {
    use anima_sandbox::Exit;

    use super::*;

    fn missing(wanted: &str, needed_by: Option<&str>, near: &[&str]) -> MissingRequirement {
        let near = near.iter().map(|name| (*name).to_owned()).collect();
        MissingRequirement { wanted: wanted.to_owned(), needed_by: needed_by.map(str::to_owned), near }
    }

    fn failure(problems: &[&str], missing: Vec<MissingRequirement>) -> Failure {
        let problems = problems.iter().map(|text| (*text).to_owned()).collect();
        let error = anima_solver::Error::Unsolvable(Problem { problems, missing });
        Error::from(error).failure("missing_build_requires")
    }

    #[test]
    fn a_wish_that_nothing_provides_is_named_with_what_is_near() {
        let failure =
            failure(&[], vec![missing("zlip-devel", None, &["zlib-devel"]), missing("x", Some("y-1-1.noarch"), &[])]);

        assert_eq!(failure.code, "missing_build_requires");
        assert_eq!(failure.message, "no repository of the platform provides zlip-devel");
        assert_eq!(failure.hint.unwrap(), "Instead of zlip-devel there is: zlib-devel.");
    }

    #[test]
    fn a_gap_in_the_platform_is_not_the_packagers_fault() {
        let failure = failure(&[], vec![missing("libx", Some("y-1-1.noarch"), &[])]);

        assert_eq!(failure.code, "unsolvable");
        assert!(failure.message.ends_with("nothing provides libx (needed by y-1-1.noarch)"), "{}", failure.message);
    }

    #[test]
    fn packages_that_exclude_each_other_are_explained() {
        let failure = failure(&["a conflicts with b"], Vec::new());

        assert_eq!((failure.code.as_str(), failure.hint), ("unsolvable", None));
        assert!(failure.message.ends_with("a conflicts with b"), "{}", failure.message);
    }

    #[test]
    fn a_limit_that_installing_reached_is_no_fault_of_the_packages() {
        let hint = |exit| {
            let (why, log) = ("it ended".to_owned(), String::new());
            let error = Error::from(anima_buildroot::Error::Install { package_count: 2, why, exit, log });
            let failure = error.failure("x");
            assert_eq!(failure.code, "buildroot_failed");
            failure.hint.unwrap()
        };

        assert!(hint(Exit::OutOfMemory).contains("needs more than it may have"));
        assert!(hint(Exit::Exited(1)).contains("does not install"));
    }

    #[test]
    fn a_damaged_layer_is_the_nodes_fault() {
        let error = Error::from(anima_buildroot::Error::Damaged { name: "ab".to_owned() });

        assert_eq!(error.failure("x").code, NODE_LAYER_DAMAGED);
    }

    #[test]
    fn a_full_disk_is_told_wherever_it_is_met() {
        let full = || std::io::Error::from(std::io::ErrorKind::StorageFull);

        for error in [Error::file("write", "/x")(full()), Error::Sandbox(full().into())] {
            assert_eq!(error.failure("x").code, NODE_DISK_FULL, "{error}");
        }
    }
}
