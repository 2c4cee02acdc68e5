//! Which package a message is about.

use std::collections::BTreeMap;

use anima_solver::Problem;
use anima_types::Nevra;

use crate::subject::is_named_in;

/// A verdict shows so many messages; the log has all of them.
const MESSAGES_SHOWN: usize = 5;

/// Returns the packages that a problem of the solver is about, each with the sentences about it.
pub(crate) fn by_problem(problem: &Problem, packages: &[(&Nevra, String)]) -> BTreeMap<Nevra, String> {
    let mut blamed = BTreeMap::new();
    for (nevra, exact) in packages {
        let mut sentences: Vec<String> =
            problem.problems.iter().filter(|sentence| is_named_in(nevra, sentence)).cloned().collect();
        for missing in &problem.missing {
            let is_its_own = match &missing.needed_by {
                Some(needed_by) => is_named_in(nevra, needed_by),
                None => missing.wanted == *exact,
            };
            if is_its_own {
                let near = if missing.near.is_empty() {
                    String::new()
                } else {
                    format!(", near: {}", missing.near.join(", "))
                };
                sentences.push(format!("nothing provides {}{near}", missing.wanted));
            }
        }
        if !sentences.is_empty() {
            blamed.insert((*nevra).clone(), shown(&sentences));
        }
    }
    blamed
}

/// Returns the lines about a package, joined; nothing when there is none.
pub(crate) fn lines_about(nevra: &Nevra, lines: &[String]) -> Option<String> {
    let about: Vec<String> =
        lines.iter().filter(|line| is_named_in(nevra, line)).map(|line| line.trim().to_owned()).collect();
    (!about.is_empty()).then(|| shown(&about))
}

/// Returns the lines that tell of a script of the package that failed.
pub(crate) fn failed_scripts(nevra: &Nevra, lines: &[String]) -> Option<String> {
    let of_scripts: Vec<String> = lines.iter().filter(|line| line.contains("scriptlet failed")).cloned().collect();
    lines_about(nevra, &of_scripts)
}

/// Joins messages, as many as a person reads.
pub(crate) fn shown(messages: &[String]) -> String {
    let mut text = messages.iter().take(MESSAGES_SHOWN).map(String::as_str).collect::<Vec<_>>().join("; ");
    if messages.len() > MESSAGES_SHOWN {
        text += &format!("; and {} more", messages.len() - MESSAGES_SHOWN);
    }
    text
}

#[cfg(test)]
mod tests {
    use anima_solver::MissingRequirement;

    use super::*;

    fn nevra(text: &str) -> Nevra {
        text.parse().unwrap()
    }

    #[test]
    fn a_problem_goes_to_the_packages_that_it_names_and_to_no_other() {
        let (app, lib, other) = (nevra("app-1-1.x86_64"), nevra("lib-2-1.x86_64"), nevra("other-1-1.noarch"));
        let packages =
            [(&app, "app = 1-1".to_owned()), (&lib, "lib = 2-1".to_owned()), (&other, "other = 1-1".to_owned())];
        let missing = MissingRequirement {
            wanted: "libz.so.9".to_owned(),
            needed_by: Some("lib-2-1.x86_64".to_owned()),
            near: vec!["libz.so.1".to_owned()],
        };
        let problems =
            vec!["package app-1-1.x86_64 requires lib, but none of the providers can be installed".to_owned()];

        let blamed = by_problem(&Problem { problems, missing: vec![missing] }, &packages);

        assert_eq!(blamed.len(), 2);
        assert!(blamed[&app].contains("requires lib"));
        assert_eq!(blamed[&lib], "nothing provides libz.so.9, near: libz.so.1");
    }

    #[test]
    fn a_package_that_is_in_no_repository_is_blamed_itself() {
        let app = nevra("app-1-1.x86_64");
        let missing = MissingRequirement { wanted: "app = 1-1".to_owned(), needed_by: None, near: Vec::new() };

        let blamed =
            by_problem(&Problem { problems: Vec::new(), missing: vec![missing] }, &[(&app, "app = 1-1".to_owned())]);

        assert_eq!(blamed[&app], "nothing provides app = 1-1");
    }

    #[test]
    fn a_failed_script_is_its_own_packages() {
        let lines =
            ["warning: %post(app-1-1.x86_64) scriptlet failed, exit status 3".to_owned(), "lib-2-1.x86_64".to_owned()];

        assert!(failed_scripts(&nevra("app-1-1.x86_64"), &lines).unwrap().contains("exit status 3"));
        assert_eq!(failed_scripts(&nevra("lib-2-1.x86_64"), &lines), None);
    }

    #[test]
    fn a_long_list_is_cut_and_says_so() {
        let messages: Vec<String> = (0..7).map(|number| number.to_string()).collect();

        assert_eq!(shown(&messages), "0; 1; 2; 3; 4; and 2 more");
    }
}
