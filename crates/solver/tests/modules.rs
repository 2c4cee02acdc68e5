//! What modules hide, and what they show.

mod common;

use anima_solver::{DEFAULT_PRIORITY, Error, Modules, Pool, Request};
use common::{add, package, pool};

fn solved(pool: &mut Pool, wanted: &str, modules: &Modules) -> Result<Vec<String>, Error> {
    let request = Request { modules: modules.clone(), ..Request::install([wanted]) };
    Ok(pool.solve(&request)?.packages.iter().map(|package| package.nevra()).collect())
}

fn list(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// perl in two streams, and one of no module.
fn perl() -> Pool {
    pool(&[
        package("perl", "4:5.32-9"),
        package("perl", "4:5.26-1.el8"),
        package("perl", "4:5.30-1.el8"),
        package("app", "1-1").requires("perl"),
    ])
}

fn stream_5_26() -> Modules {
    Modules {
        shown: list(&["perl-4:5.26-1.el8.x86_64", "perl-4:5.26-1.el8.src", "nowhere-0:1-1.x86_64"]),
        hidden: list(&["perl-4:5.30-1.el8.x86_64"]),
        names: list(&["perl", "nowhere"]),
        open_repositories: Vec::new(),
    }
}

#[test]
fn the_enabled_streams_package_is_chosen_though_a_newer_one_bears_its_name() {
    let mut pool = perl();

    assert_eq!(solved(&mut pool, "app", &Modules::default()).unwrap(), ["app-1-1.x86_64", "perl-4:5.32-9.x86_64"]);
    assert_eq!(solved(&mut pool, "app", &stream_5_26()).unwrap(), ["app-1-1.x86_64", "perl-4:5.26-1.el8.x86_64"]);
    assert_eq!(
        solved(&mut pool, "app", &Modules::default()).unwrap()[1],
        "perl-4:5.32-9.x86_64",
        "nothing of it stays"
    );
}

#[test]
fn packages_of_streams_that_are_not_enabled_are_excluded_and_the_problem_says_so() {
    let error = solved(&mut perl(), "perl = 4:5.30", &stream_5_26()).unwrap_err().to_string();

    assert!(error.contains("perl-4:5.30-1.el8.x86_64 is excluded"), "{error}");
    let mut other = pool(&[package("other-perl", "1-1").provides("perl")]);
    assert!(solved(&mut other, "other-perl", &Modules::default()).is_ok());
    assert!(solved(&mut other, "other-perl", &stream_5_26()).is_err(), "it provides a name of the module");
}

#[test]
fn of_a_repository_that_is_open_nothing_is_hidden() {
    let mut pool = perl();
    add(&mut pool, "build-7", DEFAULT_PRIORITY, &[package("perl", "4:5.40-1")]);
    let open = Modules { open_repositories: list(&["build-7"]), ..stream_5_26() };

    assert_eq!(solved(&mut pool, "perl", &stream_5_26()).unwrap(), ["perl-4:5.26-1.el8.x86_64"]);
    assert_eq!(solved(&mut pool, "perl", &open).unwrap(), ["perl-4:5.40-1.x86_64"]);
}
