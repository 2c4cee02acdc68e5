//! Which packages of repositories can be installed, before a release and after it.

mod common;

use std::collections::BTreeSet;

use anima_solver::{Broken, DEFAULT_PRIORITY, Place, Pool};
use common::{Tiny, add, package};

fn place(repository: &str, nevra: &str) -> Place {
    Place { repository: repository.into(), nevra: nevra.into() }
}

fn hidden(places: &[(&str, &str)]) -> BTreeSet<Place> {
    places.iter().map(|(repository, nevra)| place(repository, nevra)).collect()
}

fn names(broken: &[Broken]) -> Vec<&str> {
    broken.iter().map(|broken| broken.place.nevra.as_str()).collect()
}

fn pool_of(repositories: &[(&str, Vec<Tiny>)]) -> Pool {
    let mut pool = Pool::new("x86_64").unwrap();
    repositories.iter().for_each(|(name, packages)| add(&mut pool, name, DEFAULT_PRIORITY, packages));
    pool
}

/// `app` needs `tool` needs `libx.so.1`, which `libx` provides; `libx` 2 provides another.
fn pool() -> Pool {
    let ours = vec![
        package("app", "1-1").requires("tool").requires("libc.so.6"),
        package("tool", "1-1").requires("libx.so.1"),
        package("libx", "1-1").provides("libx.so.1"),
        package("orphan", "1-1").requires("nothing-has-it"),
    ];
    let base = vec![package("glibc", "2-1").provides("libc.so.6")];
    pool_of(&[("base", base), ("ours", ours), ("new", vec![package("libx", "2-1").provides("libx.so.2")])])
}

#[test]
fn what_a_release_breaks_is_found_with_the_chain_to_what_is_missing() {
    let mut pool = pool();

    let before = pool.closure(&["ours"], &hidden(&[("new", "libx-2-1.x86_64")]), None).unwrap();
    let after = pool.closure(&["ours", "new"], &hidden(&[("ours", "libx-1-1.x86_64")]), None).unwrap();

    assert_eq!((before.asked_count, names(&before.broken)), (4, vec!["orphan-1-1.x86_64"]));
    assert_eq!(
        (after.asked_count, names(&after.broken)),
        (4, vec!["app-1-1.x86_64", "orphan-1-1.x86_64", "tool-1-1.x86_64"])
    );
    let app = &after.broken[0];
    assert_eq!(app.missing, ["libx.so.1"]);
    assert_eq!(app.chain[0], "app-1-1.x86_64 needs tool, which only tool-1-1.x86_64 provides");
    assert_eq!(app.chain[1], "tool-1-1.x86_64 needs libx.so.1, which nothing provides");
}

#[test]
fn what_was_broken_before_is_told_from_what_is_broken_now() {
    let mut pool = pool();
    let broken = pool.closure(&["ours", "new"], &hidden(&[("ours", "libx-1-1.x86_64")]), None).unwrap().broken;
    let places: Vec<Place> = broken.into_iter().map(|broken| broken.place).collect();

    let fine_before = pool.installable(&places, &hidden(&[("new", "libx-2-1.x86_64")])).unwrap();

    assert_eq!(fine_before, hidden(&[("ours", "app-1-1.x86_64"), ("ours", "tool-1-1.x86_64")]));
}

#[test]
fn packages_that_conflict_can_each_be_installed_and_not_together() {
    let mut pool = common::pool(&[
        package("exim", "1-1").conflicts("postfix"),
        package("postfix", "1-1"),
        package("mailx", "1-1"),
    ]);
    let [exim, postfix, mailx] = ["exim", "postfix", "mailx"].map(|name| place("tiny", &format!("{name}-1-1.x86_64")));

    let closure = pool.closure(&["tiny"], &BTreeSet::new(), None).unwrap();
    let pairs = [[exim.clone(), postfix], [exim.clone(), mailx], [exim, place("tiny", "none-1-1.x86_64")]];
    let together = pool.together(&pairs, &BTreeSet::new()).unwrap();

    assert_eq!(closure.broken, []);
    assert_eq!(together, [false, true, false]);
}

#[test]
fn a_32_bit_package_is_asked_for_with_its_own_libraries() {
    let mut pool = common::pool(&[
        package("glibc", "2-1").provides("libc.so.6()(64bit)"),
        package("glibc", "2-1").arch("i686").provides("libc.so.6").location("Packages/glibc.i686.rpm"),
        package("app", "1-1").requires("libc.so.6()(64bit)"),
        package("app", "1-1").arch("i686").requires("libc.so.6").location("Packages/app.i686.rpm"),
        package("lost", "1-1").arch("i686").requires("libm.so.6"),
    ]);

    let closure = pool.closure(&["tiny"], &BTreeSet::new(), None).unwrap();

    assert_eq!((closure.asked_count, names(&closure.broken)), (5, vec!["lost-1-1.i686"]));
}

#[test]
fn a_package_whose_needs_conflict_is_broken_and_the_conflict_is_told() {
    let mut pool = common::pool(&[
        package("mail", "1-1").requires("exim").requires("postfix"),
        package("exim", "1-1").conflicts("postfix"),
        package("postfix", "1-1"),
    ]);

    let closure = pool.closure(&["tiny"], &BTreeSet::new(), None).unwrap();

    assert_eq!(names(&closure.broken), ["mail-1-1.x86_64"]);
    let chain = closure.broken[0].chain.join("; ");
    assert!(chain.contains("mail-1-1.x86_64 requires") && chain.contains("conflicts with postfix"), "{chain}");
}

#[test]
fn what_needs_nothing_that_changes_is_not_asked_for_again_and_what_does_is() {
    let conflicting = package("mail", "1-1").requires("exim").requires("postfix");
    let mut pool = pool_of(&[
        (
            "ours",
            vec![
                conflicting,
                package("exim", "1-1"),
                package("postfix", "1-1"),
                package("other", "1-1").requires("wedged").requires("wedge"),
                package("wedged", "1-1"),
                package("wedge", "1-1").conflicts("wedged"),
            ],
        ),
        ("new", vec![package("exim", "2-1").conflicts("postfix")]),
    ]);
    let gone = hidden(&[("ours", "exim-1-1.x86_64")]);
    let changed = hidden(&[("ours", "exim-1-1.x86_64"), ("new", "exim-2-1.x86_64")]);

    let touched = pool.closure(&["ours", "new"], &gone, Some(&changed)).unwrap();
    let all = pool.closure(&["ours", "new"], &gone, None).unwrap();

    assert_eq!(names(&touched.broken), ["mail-1-1.x86_64"]);
    assert_eq!(names(&all.broken), ["mail-1-1.x86_64", "other-1-1.x86_64"]);
}
