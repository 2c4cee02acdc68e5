//! `anima elevate facts | data | plan | why | report | fix | fleet` as an operator types it, on a root of Seed's machine.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use anima_seedling::{Arch, machine};
use serde_json::Value;

const OK: i32 = 0;
const USER: i32 = 2;
const BLOCKED: i32 = 5;
const FIXABLE: i32 = 8;

/// A root of the first release, and the repositories of the second.
struct World {
    folder: tempfile::TempDir,
    machines: PathBuf,
}

impl World {
    fn new() -> World {
        let seed = Path::new(env!("CARGO_TARGET_TMPDIR")).join("seed");
        let machines = machine::make(&seed, Arch::of_this_program().unwrap()).unwrap();
        let world = World { folder: tempfile::tempdir().unwrap(), machines };
        fs::create_dir(world.root()).unwrap();
        let packages = fs::read_dir(world.machines.join("1/base")).unwrap().map(|entry| entry.unwrap().path());
        let rpms = packages.filter(|path| path.extension().is_some_and(|extension| extension == "rpm"));
        let mut rpm = Command::new("rpm");
        rpm.arg("--root").arg(world.root()).args(["--define", "_dbpath /var/lib/rpm", "--noplugins", "-U"]);
        assert!(rpm.args(rpms).status().unwrap().success());
        fs::write(world.root().join("etc/configured.conf"), "colour = mine\n").unwrap();
        world
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_anima"));
        command.arg("elevate").args(arguments).output().unwrap()
    }

    /// Runs a command that plans, with a root or with facts.
    fn plan(&self, command: &[&str], from: &[&str]) -> Output {
        let repository = |name: &str| format!("{name}={}", self.machines.join("2").join(name).display());
        let (base, extras, cache) = (repository("base"), repository("extras"), self.path("cache"));
        let way = ["--target", "2", "--cache", &cache, "--repository", &base, "--repository", &extras];
        self.run(&[command, &way, from].concat())
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.root().join(path)).unwrap()
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn ends(output: &Output, code: i32) -> String {
    assert_eq!(output.status.code(), Some(code), "{}", said(output));
    said(output)
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", said(output)))
}

#[test]
fn a_machine_is_planned_from_its_root_or_from_its_facts_and_its_report_is_one_page() {
    let world = World::new();
    let root = world.root().display().to_string();

    let facts = world.run(&["facts", "--root", &root, "--json"]);
    ends(&facts, OK);
    let file = world.path("facts.json");
    fs::write(&file, &facts.stdout).unwrap();
    let plan_of = |from: &[&str]| {
        let mut plan = json(&world.plan(&["plan", "--json"], from));
        // Other programs write to the disk, too.
        for room in plan["costs"]["rooms"].as_array_mut().unwrap() {
            assert!(room["free_bytes"].take().as_u64().unwrap() > 0);
        }
        plan
    };
    let from_root = plan_of(&["--root", &root]);
    let from_facts = plan_of(&["--facts", &file]);

    assert_eq!(from_root, from_facts, "facts are all that a plan is made from");
    assert!(from_facts["transaction"]["install"].as_array().unwrap().len() > 5);
    let text = said(&world.plan(&["plan"], &["--facts", &file]));
    assert!(text.contains("/etc/configured.conf"), "what is the owner's is told: {text}");
    let why = ends(&world.plan(&["why", "editor"], &["--facts", &file]), OK);
    assert!(why.contains("upgrade"), "{why}");
    let page = world.path("report.html");
    world.plan(&["report", "--format", "html", "--output", &page], &["--facts", &file]);
    let page = fs::read_to_string(page).unwrap();
    assert!(page.contains("What is yours") && page.contains("/etc/configured.conf") && !page.contains("http"));
    let leapp = json(&world.plan(&["report", "--format", "leapp"], &["--facts", &file]));
    assert!(leapp["entries"].is_array());
}

#[test]
fn what_is_in_the_way_is_told_by_the_exit_code_mended_and_taken_back() {
    let world = World::new();
    let root = world.root().display().to_string();
    world.write("etc/dnf/vars/releasever", "1\n");
    world.write("etc/yum.repos.d/a.repo", "[a]\nbaseurl=https://example.org/\ngpgcheck=0\n");
    let plan = || world.plan(&["plan"], &["--root", &root]);
    let fix = |arguments: &[&str]| world.run(&[&["fix", "--root", &root], arguments].concat());

    assert!(ends(&plan(), FIXABLE).contains("releasever_fixed"));
    assert!(ends(&fix(&["--target", "2", "--preview"]), OK).contains("+gpgcheck=1"));
    ends(&fix(&["--target", "2", "--safe"]), OK);

    assert!(!world.root().join("etc/dnf/vars/releasever").exists(), "what is safe was done");
    assert!(world.read("etc/yum.repos.d/a.repo").contains("gpgcheck=0"), "what is not was left");
    ends(&plan(), OK);
    ends(&fix(&["--undo"]), OK);
    assert_eq!(world.read("etc/dnf/vars/releasever"), "1\n");
    ends(&plan(), FIXABLE);
    ends(&fix(&["--undo"]), USER);
    assert!(ends(&fix(&["--target", "2", "--rule", "nonsense"]), USER).contains("no rule nonsense"));
    world.write("etc/corosync/corosync.conf", "");
    assert!(ends(&plan(), BLOCKED).contains("high_availability"));
}

#[test]
fn a_fleet_is_planned_from_files_and_one_that_cannot_be_read_is_told() {
    let world = World::new();
    let facts = json(&world.run(&["facts", "--root", &world.root().display().to_string(), "--json"]));
    let mut files = Vec::new();
    for at in 0..4 {
        let mut own = facts.clone();
        own["host"] = format!("web{at}").into();
        files.push(world.path(&format!("web{at}.json")));
        fs::write(&files[at], own.to_string()).unwrap();
    }
    files.push(world.path("broken.json"));
    fs::write(&files[4], "{\"version\": 1,\n").unwrap();
    let files: Vec<&str> = std::iter::once("--facts").chain(files.iter().map(String::as_str)).collect();

    let output = world.plan(&["plan", "--json"], &files);

    assert_eq!(output.status.code(), Some(BLOCKED));
    let fleet = json(&output);
    assert_eq!(fleet["groups"].as_array().unwrap().len(), 1);
    assert_eq!(fleet["groups"][0]["hosts"].as_array().unwrap().len(), 4);
    assert!(fleet["failed"].to_string().contains("broken.json"), "{}", fleet["failed"]);
    assert_eq!(fleet["waves"][0]["hosts"], serde_json::json!(["web0"]));
}

#[test]
fn bad_input_is_told_in_one_line_with_its_place() {
    let world = World::new();
    let data = world.folder.path().join("data");
    fs::create_dir(&data).unwrap();
    let check = || world.run(&["data", "check", &data.display().to_string()]);

    fs::write(data.join("pes-events.json"), "{\"packageinfo\": [\n  {\"action\": \"; rm -rf /\"}\n]}").unwrap();
    assert!(ends(&check(), USER).contains("pes-events.json:2:"));
    fs::write(data.join("pes-events.json"), "[".repeat(200_000)).unwrap();
    assert!(ends(&check(), USER).contains("pes-events.json:1:"), "too deep is no crash");
    fs::write(data.join("pes-events.json"), [0xff, 0xfe, 0x00]).unwrap();
    ends(&check(), USER);

    let empty = world.path("empty");
    fs::create_dir(&empty).unwrap();
    assert!(ends(&world.run(&["facts", "--root", &empty]), USER).contains("os-release"));
    fs::write(world.root().join("var/lib/rpm/rpmdb.sqlite"), "no database ".repeat(1000)).unwrap();
    let broken = ends(&world.run(&["facts", "--root", &world.root().display().to_string()]), USER);
    assert!(broken.contains("could not list the packages of"), "{broken}");
}
