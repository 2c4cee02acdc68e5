//! The real metadata of an Enterprise Linux: 18,000 packages, thousands of rich dependencies. It lies in `../shared/data`
//! beside a developer's checkout; where it does not, the build script says so, and these tests are left out.
#![cfg(shared_data)]

mod common;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io::Read;

use anima_solver::{Broken, CacheUse, DEFAULT_PRIORITY, Error, Place, Pool, RepodataFiles, Request, Solution};
use common::{RealRepository, names, real_pool, real_repositories};

/// The shared BaseOS is of an earlier day than its AppStream, so gcc cannot be installed from them; these can.
const TOOLS: [&str; 9] =
    ["bash", "make >= 1:4.3", "cmake", "git", "automake", "bison", "createrepo_c", "/usr/bin/awk", "(patch if git)"];

/// What primary.xml says of a package, read by a reader that knows nothing of libsolv.
#[derive(Default)]
struct Facts {
    requires: Vec<String>,
    provides: HashSet<String>,
    files: HashSet<String>,
}

/// NEVRA to facts. primary.xml has one element a line, so a reader of lines will do.
fn facts() -> HashMap<String, Facts> {
    let mut all = HashMap::new();
    for repository in &real_repositories() {
        let mut text = String::new();
        let file = std::fs::File::open(&repository.primary).unwrap();
        flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
        for chunk in text.split("<package type=\"rpm\">").skip(1) {
            let (nevra, facts) = read_package(chunk);
            all.insert(nevra, facts);
        }
    }
    all
}

fn read_package(chunk: &str) -> (String, Facts) {
    let element = |name: &str| between(chunk, &format!("<{name}>"), &format!("</{name}>")).to_owned();
    let version = between(chunk, "<version ", "/>");
    let epoch = match attribute(version, "epoch") {
        "0" => String::new(),
        epoch => format!("{epoch}:"),
    };
    let evr = format!("{epoch}{}-{}", attribute(version, "ver"), attribute(version, "rel"));
    let nevra = format!("{}-{evr}.{}", element("name"), element("arch"));

    let entries = |kind: &str| {
        between(chunk, &format!("<rpm:{kind}>"), &format!("</rpm:{kind}>"))
            .lines()
            .filter(|line| line.contains("<rpm:entry"))
            .map(|line| attribute(line, "name").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
            .collect::<Vec<_>>()
    };
    let files =
        chunk.lines().filter(|line| line.contains("<file")).map(|line| between(line, ">", "</file>").to_owned());
    (
        nevra,
        Facts {
            requires: entries("requires"),
            provides: entries("provides").into_iter().collect(),
            files: files.collect(),
        },
    )
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    let Some(from) = text.find(start).map(|at| at + start.len()) else { return "" };
    &text[from..from + text[from..].find(end).unwrap_or(0)]
}

fn attribute<'a>(text: &'a str, name: &str) -> &'a str {
    between(text, &format!("{name}=\""), "\"")
}

#[test]
fn a_set_of_tools_is_solved_and_closed() {
    let solution = real_pool().solve(&Request::install(TOOLS)).unwrap();

    let facts = facts();
    let chosen: Vec<&Facts> = solution.packages.iter().map(|package| &facts[&package.nevra()]).collect();
    let has = |wanted: &str| chosen.iter().any(|facts| facts.provides.contains(wanted) || facts.files.contains(wanted));
    for (package, facts) in solution.packages.iter().zip(&chosen) {
        for required in facts.requires.iter().filter(|required| !required.starts_with('(')) {
            assert!(has(required), "{} needs {required}, which nothing in the solution has", package.nevra());
        }
    }
    let names = names(&solution.packages);
    for wanted in ["bash", "make", "cmake", "git", "gawk", "patch", "perl-libs", "glibc", "filesystem"] {
        assert!(names.contains(&wanted), "{wanted} is missing in {names:?}");
    }
    assert!(solution.packages.len() > 150, "{}", solution.packages.len());
    assert!(solution.packages.iter().all(|package| package.arch == "x86_64" || package.arch == "noarch"));
    let distinct: HashSet<&str> = names.iter().copied().collect();
    assert_eq!(distinct.len(), names.len(), "a name twice");
}

#[test]
fn each_package_can_be_fetched_and_verified() {
    let solution = real_pool().solve(&Request::install(["bash", "jq"])).unwrap();

    for package in &solution.packages {
        assert_eq!((package.checksum_type.as_str(), package.checksum.len()), ("sha256", 64), "{package:?}");
        assert!(package.location.starts_with("Packages/") && package.location.ends_with(".rpm"), "{package:?}");
        assert!(package.size_bytes > 1000, "{package:?}");
    }
    let repositories: HashSet<&str> = solution.packages.iter().map(|package| package.repository.as_str()).collect();
    assert_eq!(repositories, HashSet::from(["el-baseos-x86_64", "el-appstream-x86_64"]));
}

#[test]
fn what_is_needed_comes_before_what_needs_it() {
    let solution = real_pool().solve(&Request::install(["bash", "git"])).unwrap();

    let order: Vec<&str> = solution.in_install_order().map(|package| package.name.as_str()).collect();
    let place =
        |name: &str| order.iter().position(|known| *known == name).unwrap_or_else(|| panic!("{name} in {order:?}"));
    for (first, then) in
        [("setup", "filesystem"), ("glibc", "ncurses-libs"), ("ncurses-libs", "less"), ("git-core", "git")]
    {
        assert!(place(first) < place(then), "{first} before {then} in {order:?}");
    }
    let mut indexes = solution.install_order.clone();
    indexes.sort_unstable();
    assert_eq!(indexes, (0..solution.packages.len()).collect::<Vec<_>>());
}

#[test]
fn the_same_question_has_the_same_answer_in_a_new_pool_and_after_other_questions() {
    let ask = |pool: &mut Pool| pool.solve(&Request { weak: true, ..Request::install(TOOLS) }).unwrap();
    let mut used = real_pool();
    let first = ask(&mut used);

    used.solve(&Request::install(["no-such-package", "/no/such/file"])).unwrap_err();
    used.solve(&Request { exclude: vec!["g*".into()], ..Request::install(["jq"]) }).ok();

    assert_eq!(ask(&mut used), first);
    let fresh = ask(&mut real_pool());
    assert_eq!(fresh, first);
    assert_eq!(fresh.lock("x86_64").to_json(), first.lock("x86_64").to_json());
    assert_eq!(fresh.lock("x86_64").content_hash(), first.lock("x86_64").content_hash());
}

#[test]
fn weak_dependencies_only_add() {
    let mut pool = real_pool();
    let all_names =
        |solution: &Solution| names(&solution.packages).into_iter().map(str::to_owned).collect::<HashSet<_>>();

    let lean = all_names(&pool.solve(&Request::install(TOOLS)).unwrap());
    let full = all_names(&pool.solve(&Request { weak: true, ..Request::install(TOOLS) }).unwrap());

    assert!(full.len() > lean.len(), "{} {}", full.len(), lean.len());
    assert!(full.is_superset(&lean), "{:?}", lean.difference(&full));
}

#[test]
fn the_foreign_library_is_taken_when_it_is_asked_for() {
    let mut pool = real_pool();

    let solution = pool.solve(&Request::install(["glibc(x86-32)", "glibc(x86-64)"])).unwrap();

    let arches: HashSet<&str> = solution
        .packages
        .iter()
        .filter(|package| package.name == "glibc")
        .map(|package| package.arch.as_str())
        .collect();
    assert_eq!(arches, HashSet::from(["i686", "x86_64"]));
}

#[test]
fn a_misspelt_build_requirement_is_explained() {
    let mut pool = real_pool();
    let wishes = ["bash", "libcurl-devl", "pkgconfig(zlb)", "libzstd-dev", "/usr/sbin/awk", "make >= 9:1"];

    let Err(Error::Unsolvable(problem)) = pool.solve(&Request::install(wishes)) else { panic!("it was solved") };

    let near = |wanted: &str| &problem.missing.iter().find(|missing| missing.wanted == wanted).expect(wanted).near;
    assert!(near("libcurl-devl").contains(&"libcurl-devel".to_owned()), "{problem:?}");
    assert!(near("pkgconfig(zlb)").contains(&"pkgconfig(zlib)".to_owned()), "{problem:?}");
    assert!(near("libzstd-dev").contains(&"libzstd".to_owned()), "{problem:?}");
    assert!(near("/usr/sbin/awk").contains(&"/usr/bin/awk".to_owned()), "{problem:?}");
    assert_eq!(near("make >= 9:1").first().map(String::as_str), Some("make = 1:4.3-7.el9"));
    assert_eq!(problem.missing.len(), wishes.len() - 1, "{problem:?}");
}

#[test]
fn repositories_of_different_days_are_explained() {
    let Err(Error::Unsolvable(problem)) = real_pool().solve(&Request::install(["gcc"])) else {
        panic!("it was solved")
    };

    // Each gcc of AppStream needs libraries of its own version, and BaseOS has older ones. Which of them libsolv names is its choice.
    let newest = problem.missing.iter().find(|missing| missing.needed_by.as_deref() == Some("gcc-11.5.0-2.el9.x86_64"));
    let newest = newest.unwrap_or_else(|| panic!("{problem:?}"));
    let said = (newest.wanted.as_str(), newest.near.join(", "));
    let libgcc = ("libgcc >= 11.5.0-2.el9", "libgcc = 11.2.1-9.1.el9".to_owned());
    let libgomp = ("libgomp = 11.5.0-2.el9", "libgomp = 11.2.1-9.1.el9".to_owned());
    assert!(said == libgcc || said == libgomp, "{said:?}");
    assert!(problem.problems[0].starts_with("nothing provides libg"), "{problem:?}");
}

#[test]
fn a_release_into_a_whole_distribution_is_told_from_what_was_broken_before() {
    let mut pool = real_pool();
    let repositories = real_repositories().map(|repository| repository.name);

    let before = pool.closure(&repositories, &BTreeSet::new(), None).unwrap();
    let zlib = pool.what_provides("libz.so.1()(64bit)").unwrap();
    let gone = zlib.into_iter().map(|nevra| Place { repository: "el-baseos-x86_64".into(), nevra }).collect();
    let after = pool.closure(&repositories, &gone, None).unwrap();

    // The shared BaseOS is of an earlier day than its AppStream, so many were broken before.
    let were: HashSet<&Place> = before.broken.iter().map(|broken| &broken.place).collect();
    assert!(
        before.asked_count > 18_000 && were.len() < before.asked_count / 2,
        "{} of {}",
        were.len(),
        before.asked_count
    );
    let newly: Vec<&Broken> = after.broken.iter().filter(|broken| !were.contains(&broken.place)).collect();
    assert!(newly.len() > 1000, "{}", newly.len());
    let git = newly.iter().find(|broken| broken.place.nevra.starts_with("git-core-2")).expect("git needs zlib");
    assert!(git.chain.last().unwrap().contains("libz.so.1"), "{git:?}");
    let places: Vec<Place> = newly.iter().map(|broken| broken.place.clone()).take(50).collect();
    assert_eq!(pool.installable(&places, &BTreeSet::new()).unwrap().len(), places.len());
}

#[test]
fn a_cache_gives_the_same_packages_as_the_metadata() {
    let folder = tempfile::tempdir().unwrap();
    let real = real_repositories();
    let load = || {
        let mut pool = Pool::new("x86_64").unwrap();
        let uses = real.each_ref().map(|repository: &RealRepository| {
            let cache = folder.path().join(repository.name).with_extension("solv");
            let files = RepodataFiles { cache: Some(&cache), ..repository.files() };
            pool.add_repository(repository.name, DEFAULT_PRIORITY, &files).unwrap()
        });
        (pool, uses)
    };

    let (mut from_xml, written) = load();
    let (mut from_cache, read) = load();

    assert!(written.iter().all(|loaded| loaded.cache == CacheUse::Written), "{written:?}");
    assert!(read.iter().all(|loaded| loaded.cache == CacheUse::Read), "{read:?}");
    assert_eq!(written.map(|loaded| loaded.package_count), read.map(|loaded| loaded.package_count));
    let request = Request { weak: true, ..Request::install(TOOLS) };
    assert_eq!(from_xml.solve(&request).unwrap(), from_cache.solve(&request).unwrap());
}
