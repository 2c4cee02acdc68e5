//! The rules of choice, each in a repository of a few packages.

mod common;

use anima_solver::{DEFAULT_PRIORITY, Error, Pool, Problem, Request};
use common::{add, names, package, pool};

fn solved(pool: &mut Pool, wanted: &[&str]) -> Vec<String> {
    pool.solve(&Request::install(wanted.iter().copied()))
        .unwrap()
        .packages
        .iter()
        .map(|package| package.nevra())
        .collect()
}

fn problem(pool: &mut Pool, request: &Request) -> Problem {
    match pool.solve(request) {
        Err(Error::Unsolvable(problem)) => problem,
        other => panic!("a problem was expected, not {other:?}"),
    }
}

#[test]
fn a_package_comes_with_all_that_it_needs_and_where_to_get_it() {
    let mut pool = pool(&[package("app", "1-1").requires("lib >= 2"), package("lib", "2-1"), package("other", "1-1")]);

    let solution = pool.solve(&Request::install(["app"])).unwrap();

    assert_eq!(names(&solution.packages), ["app", "lib"]);
    assert_eq!(solution.in_install_order().map(|package| &package.name).collect::<Vec<_>>(), ["lib", "app"]);
    let lib = &solution.packages[1];
    assert_eq!((lib.epoch, &*lib.version, &*lib.release, &*lib.arch), (0, "2", "1", "x86_64"));
    assert_eq!((&*lib.repository, &*lib.location, &*lib.checksum_type), ("tiny", "Packages/lib-2-1.rpm", "sha256"));
    assert_eq!((lib.checksum.len(), lib.size_bytes), (64, 1234));
    assert_eq!(solution.removed, Vec::<String>::new());
}

#[test]
fn the_newest_is_chosen_by_rpm_rules() {
    let versions = ["1.9-1", "1.10-1", "1.10~rc1-1", "1.10^git1-1", "1.10-1.1"];
    let mut without_epoch = pool(&versions.map(|evr| package("foo", evr)));
    let mut with_epoch = pool(&[package("foo", "9.9-9"), package("foo", "1:0.1-1")]);

    assert_eq!(solved(&mut without_epoch, &["foo"]), ["foo-1.10^git1-1.x86_64"]);
    assert_eq!(solved(&mut without_epoch, &["foo < 1.10"]), ["foo-1.10~rc1-1.x86_64"]);
    assert_eq!(solved(&mut without_epoch, &["foo = 1.10"]), ["foo-1.10-1.1.x86_64"]);
    assert_eq!(solved(&mut with_epoch, &["foo"]), ["foo-1:0.1-1.x86_64"]);
    assert_eq!(solved(&mut with_epoch, &["foo < 1:0"]), ["foo-9.9-9.x86_64"]);
}

#[test]
fn a_path_is_met_by_the_package_that_has_the_file() {
    let packages =
        [package("gawk", "5-1").file("/usr/bin/awk"), package("data", "1-1").file("/usr/share/deep/file.txt")];
    let mut pool = pool(&packages);

    assert_eq!(solved(&mut pool, &["/usr/bin/awk"]), ["gawk-5-1.x86_64"]);
    // A path that no package requires, asked for after the index was made.
    assert_eq!(solved(&mut pool, &["/usr/share/deep/file.txt"]), ["data-1-1.x86_64"]);
    assert_eq!(pool.what_provides("/usr/share/deep/file.txt").unwrap(), ["data-1-1.x86_64"]);
    assert_eq!(solved(&mut pool, &["(/usr/share/deep/file.txt or nothing)"]), ["data-1-1.x86_64"]);
}

#[test]
fn rich_dependencies_are_obeyed() {
    let mut pool = pool(&[
        package("app", "1-1").requires("(plugin if desktop)"),
        package("plugin", "1-1"),
        package("desktop", "1-1"),
        package("either", "1-1").requires("(missing or plugin)"),
        package("range", "1-1").requires("(lib >= 2 with lib < 3)"),
        package("lib", "1-1"),
        package("lib", "2-1"),
        package("lib", "3-1"),
    ]);

    assert_eq!(solved(&mut pool, &["app"]), ["app-1-1.x86_64"]);
    assert_eq!(solved(&mut pool, &["app", "desktop"]), ["app-1-1.x86_64", "desktop-1-1.x86_64", "plugin-1-1.x86_64"]);
    assert_eq!(solved(&mut pool, &["either"]), ["either-1-1.x86_64", "plugin-1-1.x86_64"]);
    assert_eq!(solved(&mut pool, &["range"]), ["lib-2-1.x86_64", "range-1-1.x86_64"]);
    assert_eq!(solved(&mut pool, &["(lib >= 2 with lib < 3)"]), ["lib-2-1.x86_64"]);
    assert_eq!(solved(&mut pool, &["desktop", "(plugin if desktop)"]), ["desktop-1-1.x86_64", "plugin-1-1.x86_64"]);
}

#[test]
fn weak_dependencies_are_taken_only_when_asked_for() {
    let mut pool = pool(&[
        package("app", "1-1").recommends("docs"),
        package("docs", "1-1"),
        package("lang", "1-1").supplements("app"),
    ]);

    assert_eq!(solved(&mut pool, &["app"]), ["app-1-1.x86_64"]);
    let solution = pool.solve(&Request { weak: true, ..Request::install(["app"]) }).unwrap();
    assert_eq!(names(&solution.packages), ["app", "docs", "lang"]);
}

#[test]
fn the_best_architecture_is_preferred_and_foreign_ones_are_never_taken() {
    let mut pool = pool(&[
        package("lib", "1-1").arch("i686").provides("lib(x86-32)"),
        package("lib", "1-1").provides("lib(x86-64)"),
        package("arm", "1-1").arch("aarch64"),
        package("app", "1-1").arch("src"),
    ]);

    assert_eq!(solved(&mut pool, &["lib"]), ["lib-1-1.x86_64"]);
    assert!(pool.solve(&Request::install(["arm"])).is_err());
    assert!(pool.solve(&Request::install(["app"])).is_err());
}

#[test]
fn what_runs_on_every_x86_64_is_taken_for_x86_64_v2_where_there_is_nothing_of_its_own() {
    let mut pool = Pool::new("x86_64_v2").unwrap();
    let both = [package("lib", "1-1").arch("x86_64_v2"), package("lib", "1-1"), package("app", "1-1").requires("lib")];
    add(&mut pool, "base", DEFAULT_PRIORITY, &both);

    assert_eq!(solved(&mut pool, &["app"]), ["app-1-1.x86_64", "lib-1-1.x86_64_v2"]);
}

/// As dnf does on Enterprise Linux, whose libsolv is compiled for rpm's colors; Debian's is not.
#[test]
fn a_foreign_library_comes_in_step_with_its_native_twin_and_alone_where_there_is_none() {
    let mut pool = pool(&[
        package("lib", "1-1").arch("i686").provides("lib(x86-32)"),
        package("lib", "1-1").provides("lib(x86-64)"),
        package("lib", "2-1"),
        package("single", "1-1").arch("i686").provides("single(x86-32)"),
    ]);

    assert_eq!(solved(&mut pool, &["lib(x86-32)"]), ["lib-1-1.i686", "lib-1-1.x86_64"]);
    assert_eq!(solved(&mut pool, &["single(x86-32)"]), ["single-1-1.i686"]);
    assert!(pool.solve(&Request::install(["lib(x86-32)", "lib = 2-1"])).is_err());
}

#[test]
fn the_repository_of_lower_number_is_preferred_even_with_older_packages() {
    let mut pool = Pool::new("x86_64").unwrap();
    add(&mut pool, "late", DEFAULT_PRIORITY, &[package("foo", "2-1")]);
    add(&mut pool, "early", 10, &[package("foo", "1-1")]);

    let solution = pool.solve(&Request::install(["foo"])).unwrap();

    assert_eq!((&*solution.packages[0].version, &*solution.packages[0].repository), ("1", "early"));
}

#[test]
fn an_exact_package_is_taken_though_a_newer_one_is_there() {
    let mut pool = pool(&[package("foo", "1-1"), package("foo", "2-1"), package("bar", "3:1-1")]);
    let exact = |nevra: &str| Request { install_exact: vec![nevra.into()], ..Request::default() };

    assert_eq!(pool.solve(&exact("foo-1-1.x86_64")).unwrap().packages[0].nevra(), "foo-1-1.x86_64");
    assert_eq!(pool.solve(&exact("foo-0:1-1.x86_64")).unwrap().packages[0].nevra(), "foo-1-1.x86_64");
    assert_eq!(pool.solve(&exact("bar-3:1-1.x86_64")).unwrap().packages[0].nevra(), "bar-3:1-1.x86_64");
    let found = problem(&mut pool, &exact("foo-3-1.x86_64"));
    assert_eq!(found.problems, ["no repository has foo-3-1.x86_64"]);
    assert_eq!(found.missing[0].near, ["foo-2-1.x86_64", "foo-1-1.x86_64"]);
    assert!(matches!(pool.solve(&exact("foo")), Err(Error::Request { .. })));
}

#[test]
fn excluded_packages_are_not_chosen_and_the_explanation_says_so() {
    let mut pool = pool(&[package("foo", "1-1"), package("foo", "2-1"), package("app", "1-1").requires("foo >= 2")]);
    let without = |pattern: &str, wanted: &str| Request { exclude: vec![pattern.into()], ..Request::install([wanted]) };

    assert_eq!(pool.solve(&without("foo-2-1.x86_64", "foo")).unwrap().packages[0].nevra(), "foo-1-1.x86_64");
    let found = problem(&mut pool, &without("fo*", "app"));
    assert!(
        found.problems.iter().any(|sentence| sentence == "package foo-2-1.x86_64 is excluded by the request"),
        "{found:?}"
    );
    // The next request is free of it.
    assert_eq!(solved(&mut pool, &["app"]), ["app-1-1.x86_64", "foo-2-1.x86_64"]);
}

#[test]
fn a_conflict_is_explained() {
    let mut pool = pool(&[package("a", "1-1").conflicts("b"), package("b", "1-1")]);

    let found = problem(&mut pool, &Request::install(["a", "b"]));

    assert!(found.problems.iter().any(|sentence| sentence.contains("conflicts with b")), "{found:?}");
    assert_eq!(found.missing, []);
}

#[test]
fn every_missing_requirement_is_named_with_who_needs_it_and_what_is_near() {
    let mut pool = pool(&[
        package("oniguruma-devel", "6-1").provides("pkgconfig(oniguruma) = 6"),
        package("foo", "1-1"),
        package("app", "1-1").requires("libbar.so.3()(64bit)"),
        package("bar", "1-1").provides("libbar.so.2()(64bit)").file("/usr/sbin/bar"),
    ]);
    let wanted =
        ["onigurma-devel", "foo-devel", "foo >= 9", "pkgconfig(onigurum)", "app", "/usr/bin/bar", "nothing-like-it"];

    let found = problem(&mut pool, &Request::install(wanted));

    let near = |wanted: &str| {
        let missing = found.missing.iter().find(|missing| missing.wanted == wanted);
        let missing = missing.unwrap_or_else(|| panic!("{wanted} is not named: {found:?}"));
        (missing.needed_by.clone(), missing.near.iter().map(String::as_str).collect::<Vec<_>>())
    };
    assert_eq!(near("onigurma-devel"), (None, vec!["oniguruma-devel"]));
    assert_eq!(near("foo-devel"), (None, vec!["foo"]));
    assert_eq!(near("foo >= 9"), (None, vec!["foo = 1-1"]));
    assert_eq!(near("pkgconfig(onigurum)").1[0], "pkgconfig(oniguruma)");
    assert_eq!(near("libbar.so.3()(64bit)"), (Some("app-1-1.x86_64".into()), vec!["libbar.so.2()(64bit)", "bar"]));
    assert_eq!(near("/usr/bin/bar"), (None, vec!["/usr/sbin/bar"]));
    assert_eq!(near("nothing-like-it"), (None, vec![]));
    assert_eq!(found.missing.len(), wanted.len());
    let text = Error::Unsolvable(found).to_string();
    assert!(text.starts_with("find packages for the request: nothing provides requested onigurma-devel; "), "{text}");
    assert!(text.contains("near onigurma-devel: oniguruma-devel"), "{text}");
}

#[test]
fn the_request_is_checked_at_the_door() {
    let mut pool = pool(&[package("foo", "1-1")]);
    for wish in ["", "foo >=", "foo bar", "foo*", "(foo", "(foo if)", "foo\n"] {
        let answer = pool.solve(&Request::install([wish]));
        assert!(wish == "foo\n" || matches!(answer, Err(Error::Request { .. })), "{wish:?}: {answer:?}");
    }
    for arch in ["", "src", "x86 64", "../x"] {
        assert!(matches!(Pool::new(arch), Err(Error::Architecture { .. })), "{arch:?}");
    }
}

#[test]
fn with_best_an_older_package_is_no_way_out() {
    let mut pool = pool(&[package("foo", "1-1"), package("foo", "2-1").requires("missing")]);

    assert_eq!(solved(&mut pool, &["foo"]), ["foo-1-1.x86_64"]);
    let found = problem(&mut pool, &Request { best: true, ..Request::install(["foo"]) });
    assert_eq!(found.missing[0].needed_by.as_deref(), Some("foo-2-1.x86_64"));
}

#[test]
fn an_obsoleted_package_gives_way_to_its_successor() {
    let mut pool = pool(&[package("old", "5-1"), package("new", "1-1").obsoletes("old < 9").provides("old = 9")]);

    assert_eq!(solved(&mut pool, &["old"]), ["new-1-1.x86_64"]);
}

#[test]
fn providers_are_listed() {
    let mut pool = pool(&[package("a", "1-1").provides("cap = 1"), package("b", "1-1").provides("cap = 2")]);

    assert_eq!(pool.what_provides("cap").unwrap(), ["a-1-1.x86_64", "b-1-1.x86_64"]);
    assert_eq!(pool.what_provides("cap > 1").unwrap(), ["b-1-1.x86_64"]);
    assert_eq!(pool.what_provides("nobody").unwrap(), Vec::<String>::new());
}

#[test]
fn owners_of_files_are_found_by_the_end_of_the_path() {
    let mut pool = pool(&[
        package("zlib-devel", "1-1").file("/usr/include/zlib.h").file("/usr/include/sub/zlib.h"),
        package("other", "1-1").file("/usr/include/xzlib.h"),
    ]);

    let owners = pool.owners("/zlib.h");

    assert_eq!(owners.len(), 2, "{owners:?}");
    assert!(owners.iter().all(|(path, package)| path.ends_with("/zlib.h") && package == "zlib-devel"), "{owners:?}");
    assert_eq!(pool.names_that_provide("zlib-devel >= 1").unwrap(), ["zlib-devel"]);
}

#[test]
fn an_empty_request_is_met_by_nothing() {
    assert_eq!(pool(&[]).solve(&Request::default()).unwrap().packages, []);
}
