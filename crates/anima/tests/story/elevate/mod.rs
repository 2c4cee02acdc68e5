//! A machine goes from one release to the next, or to a sibling, with packages that the pipeline made, and comes back.

mod distribution;

use std::{
    fs,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use anima_elevate_act::{Manifest, STORE};
use serde_json::Value;

use crate::said;
use distribution::Distribution;

const OK: i32 = 0;
const REFUSED: i32 = 2;
const FIXABLE: i32 = 8;
/// What a process gets that writes a larger file than it may.
const FILE_TOO_LARGE: i32 = 25;
/// The package database is larger, and everything that is staged before it smaller.
const FILE_LIMIT: &str = "--fsize=65536";
const IMAGE_BYTES: u64 = 512 * 1024 * 1024;

/// A machine in a folder, the mirrors that it goes by, and the state of its upgrade.
struct Machine<'a> {
    distribution: &'a Distribution,
    root: PathBuf,
    state: PathBuf,
    target: &'static str,
    mirrors: Vec<(&'static str, PathBuf)>,
}

impl<'a> Machine<'a> {
    fn new(distribution: &'a Distribution, root: &Path, name: &str, to: &str, target: &'static str) -> Machine<'a> {
        let mirrors = ["BaseOS", "Extras"].map(|repository| (repository, distribution.mirror(to, repository)));
        let state = distribution.path(&format!("state-{name}"));
        Machine { distribution, root: root.to_owned(), state, target, mirrors: mirrors.into() }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_anima")).arg("elevate").args(arguments).output().unwrap()
    }

    fn mirrors(&self) -> Vec<String> {
        let mirrors = self.mirrors.iter();
        mirrors.flat_map(|(id, folder)| ["--repository".to_string(), format!("{id}={}", folder.display())]).collect()
    }

    /// A command that plans.
    fn plan(&self, command: &[&str]) -> Output {
        let (root, cache) = (self.root.display().to_string(), self.distribution.path("cache").display().to_string());
        let data = self.distribution.path("data").display().to_string();
        let mirrors = self.mirrors();
        let mut arguments = command.to_vec();
        arguments.extend(["--root", &root, "--target", self.target, "--data", &data, "--cache", &cache]);
        arguments.extend(mirrors.iter().map(String::as_str));
        self.run(&arguments)
    }

    /// Writes the plan to a file, with more wishes, and returns the file.
    fn planned(&self, wishes: &[&str]) -> String {
        let plan = self.plan(&[&["plan", "--json"], wishes].concat());
        ends(&plan, OK);
        let file = self.distribution.path("plan.json");
        fs::write(&file, &plan.stdout).unwrap();
        file.display().to_string()
    }

    /// A command that works on the root.
    fn act(&self, command: &[&str]) -> Output {
        let (root, state) = (self.root.display().to_string(), self.state.display().to_string());
        self.run(&[command, &["--root", &root, "--state", &state]].concat())
    }

    fn rehearse(&self, plan: &str) -> Output {
        let mirrors = self.mirrors();
        let mirrors: Vec<&str> = mirrors.iter().map(String::as_str).collect();
        self.act(&[&["rehearse", "--plan", plan], &mirrors[..]].concat())
    }

    /// Acts with a limit on the size of files, so that the kernel ends it in the middle.
    fn act_cut_off(&self) -> Output {
        let mut prlimit = Command::new("prlimit");
        prlimit.arg(FILE_LIMIT).arg("--core=0").args([env!("CARGO_BIN_EXE_anima"), "elevate", "act", "--no-trial"]);
        prlimit.arg("--root").arg(&self.root).arg("--state").arg(&self.state).output().unwrap()
    }

    fn phase(&self) -> Value {
        let status = self.act(&["status", "--json"]);
        ends(&status, OK);
        json(&status)["phase"].clone()
    }

    fn text(&self, path: &str) -> String {
        fs::read_to_string(self.root.join(path)).unwrap()
    }

    fn import(&self, product: &str) {
        let (key, _) = self.distribution.key(product);
        let mut rpm = Command::new("rpm");
        rpm.arg("--root").arg(&self.root).args(["--define", "_dbpath /var/lib/rpm", "--import"]).arg(key);
        assert!(rpm.status().unwrap().success());
    }

    /// All files, but the store of the upgrade and the time of the folder that this is in.
    fn manifest(&self) -> Manifest {
        let mut manifest = Manifest::read(&self.root, &[STORE.into()]).unwrap();
        manifest.entries.get_mut(Path::new("")).unwrap().modified = (0, 0);
        manifest
    }

    fn assert_is(&self, expected: &Manifest, what: &str) {
        assert_eq!(expected.differences(&self.manifest()), Vec::<PathBuf>::new(), "{what}");
    }
}

fn ends(output: &Output, code: i32) -> String {
    assert_eq!(output.status.code(), Some(code), "{}", said(output));
    said(output)
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", said(output)))
}

#[tokio::test]
async fn a_machine_of_one_release_is_upgraded_with_what_the_pipeline_made_of_the_next_and_goes_back() {
    let distribution = Distribution::new().await;
    let installed = distribution.install();
    let root = installed.path("root");
    distribution.data();
    let machine = Machine::new(&distribution, &root, "layer", "seed-2", "2");

    is_known(&machine);
    every_fate_is_planned_and_explained(&machine);
    what_is_in_the_way_is_mended(&machine);
    traps_of_a_third_party_are_found(&machine);
    becomes_the_next_release_and_the_old_one_again(&machine);
    by_btrfs_too(&distribution, &root);
    becomes_a_sibling(&distribution, &root);
}

fn is_known(machine: &Machine<'_>) {
    let facts = json(&machine.run(&["facts", "--json", "--root", machine.root.to_str().unwrap()]));
    let package = |name: &str| {
        let packages = facts["packages"].as_array().unwrap();
        packages.iter().find(|package| package["name"] == name).unwrap_or_else(|| panic!("{name}: {facts:#}")).clone()
    };
    let key = |product: &str| machine.distribution.key(product).1;
    assert_eq!(package("editor")["key_id"], Value::from(key("seed-1")));
    assert_eq!(package("agent")["key_id"], Value::from(key("elsewhere-1")));
    assert_eq!(package("agent")["vendor"], "Elsewhere Inc.");
    assert_eq!(package("configured")["changed_config"].as_array().unwrap().len(), 2);
    assert!(facts["repositories"].as_array().unwrap().iter().any(|it| it["id"] == "seed-1-BaseOS"), "{facts:#}");

    let data = machine.distribution.path("data");
    assert!(ends(&machine.run(&["data", "check", data.to_str().unwrap()]), OK).contains("6 events"));
}

fn every_fate_is_planned_and_explained(machine: &Machine<'_>) {
    let plan = machine.plan(&["plan", "--json"]);
    ends(&plan, OK);
    let plan = json(&plan);
    let fate = |name: &str| {
        let planned = plan["packages"].as_array().unwrap().iter().find(|package| package["name"] == name);
        planned.unwrap_or_else(|| panic!("{name}: {plan:#}"))["fate"].as_str().unwrap().to_string()
    };
    let expected = [
        ("editor", "upgrade"),
        ("old-mailer", "replace"),
        ("old-ftp", "rename"),
        ("runtime-8", "replace"),
        ("python2", "split"),
        ("perl-a", "merge"),
        ("perl-b", "merge"),
        ("games", "remove"),
        ("agent", "remove"),
        ("mover", "upgrade"),
        ("manual", "upgrade"),
    ];
    for (name, expected) in expected {
        assert_eq!(fate(name), expected, "{name}");
    }
    let comes = plan["transaction"]["install"].as_array().unwrap();
    let mover = comes.iter().find(|package| package["nevra"].as_str().unwrap().starts_with("mover-")).unwrap();
    assert_eq!(mover["repository"], "Extras");
    assert!(comes.iter().any(|package| package["nevra"] == "manual-2-1.seed2.noarch"));

    assert!(ends(&machine.plan(&["why", "agent"]), OK).contains("games"));
    assert!(ends(&machine.plan(&["why", "old-ftp"]), OK).contains("pes-events.json:"));
    let text = ends(&machine.plan(&["plan"]), OK);
    assert!(text.contains("mine.service starts /usr/bin/agent"), "{text}");
    assert!(text.contains("agent-1-1.seed1") && text.contains("/etc/configured.conf"), "{text}");
    let page = machine.distribution.path("report.html");
    ends(&machine.plan(&["report", "--format", "html", "--output", page.to_str().unwrap()]), OK);
    assert!(fs::read_to_string(page).unwrap().contains("agent"));
}

fn what_is_in_the_way_is_mended(machine: &Machine<'_>) {
    let root = machine.root.display().to_string();
    let variable = machine.root.join("etc/dnf/vars/releasever");
    fs::create_dir_all(variable.parent().unwrap()).unwrap();
    fs::write(&variable, "1\n").unwrap();

    assert!(ends(&machine.plan(&["plan"]), FIXABLE).contains("releasever_fixed"));
    ends(&machine.run(&["fix", "--root", &root, "--target", "2", "--safe"]), OK);
    ends(&machine.plan(&["plan"]), OK);
    ends(&machine.run(&["fix", "--root", &root, "--undo"]), OK);
    assert_eq!(fs::read_to_string(&variable).unwrap(), "1\n");
    fs::remove_file(&variable).unwrap();
}

fn traps_of_a_third_party_are_found(machine: &Machine<'_>) {
    let old = machine.manifest();
    let plan = machine.planned(&[]);
    let unknown = ends(&machine.rehearse(&plan), REFUSED);
    assert!(unknown.contains("NOKEY") && unknown.contains("nothing was changed"), "{unknown}");
    machine.assert_is(&old, "a key was missing");
    machine.import("seed-2");
    machine.import("elsewhere-2");

    let trapped = Machine {
        mirrors: [machine.mirrors.clone(), vec![("elsewhere", machine.distribution.mirror("elsewhere-2", "Main"))]]
            .concat(),
        root: machine.root.clone(),
        state: machine.distribution.path("state-trapped"),
        ..*machine
    };
    let old = machine.manifest();
    for (trap, says) in [("clash", "conflicts"), ("refuser", "this script refuses")] {
        let plan = trapped.planned(&["--install", trap]);
        let refused = said(&trapped.rehearse(&plan));
        assert!(refused.contains(trap) && refused.contains(says), "{refused}");
        machine.assert_is(&old, trap);
        assert!(ends(&trapped.act(&["act"]), REFUSED).contains("rehears"), "what was refused is not done");
    }
}

fn becomes_the_next_release_and_the_old_one_again(machine: &Machine<'_>) {
    let old = machine.manifest();
    let plan = machine.planned(&[]);
    let rehearsed = ends(&machine.rehearse(&plan), OK);
    for told in ["/etc/configured.conf.rpmnew", "this script fails", "the root is as it was"] {
        assert!(rehearsed.contains(told), "{told}: {rehearsed}");
    }
    machine.assert_is(&old, "rehearsed");

    // The kernel ends it in the middle: it goes on, or back, as one likes.
    assert_eq!(machine.act_cut_off().status.signal(), Some(FILE_TOO_LARGE));
    assert_eq!(machine.phase(), "staging");
    ends(&machine.act(&["rollback"]), OK);
    machine.assert_is(&old, "rolled back in the middle");
    ends(&machine.act(&["finish"]), OK);
    ends(&machine.rehearse(&plan), OK);
    assert_eq!(machine.act_cut_off().status.signal(), Some(FILE_TOO_LARGE));
    ends(&machine.act(&["resume"]), OK);

    assert_eq!(machine.phase(), "done");
    assert!(machine.text("etc/os-release").contains("VERSION_ID=2"));
    assert_eq!(machine.text("etc/configured.conf"), "colour = mine\n");
    assert_eq!(machine.text("usr/bin/mover"), "mover 2 seed\n");
    assert_eq!(machine.text("home/letter"), "dear");
    let status = ends(&machine.act(&["status"]), OK);
    assert!(status.contains("layer") && status.contains("rollback"), "{status}");
    ends(&machine.act(&["abort"]), REFUSED);
    ends(&machine.act(&["rollback"]), OK);
    machine.assert_is(&old, "rolled back");
    ends(&machine.act(&["finish"]), OK);
    assert!(!machine.root.join(STORE).exists());
    machine.assert_is(&old, "finished");
}

/// A root that is a subvolume of a btrfs, mounted until it is dropped.
struct Subvolume {
    top: PathBuf,
    root: PathBuf,
    device: String,
}

impl Subvolume {
    /// Makes one with a copy of a root in it.
    fn new(folder: &Path, content: &Path) -> Subvolume {
        let (image, top, root) = (folder.join("btrfs.img"), folder.join("top"), folder.join("machine"));
        fs::create_dir_all(&top).unwrap();
        fs::create_dir_all(&root).unwrap();
        fs::File::create(&image).unwrap().set_len(IMAGE_BYTES).unwrap();
        run(Command::new("mkfs.btrfs").arg("-q").arg(&image));
        run(Command::new("mount").args(["-o", "loop"]).args([&image, &top]));
        let device = run(Command::new("findmnt").args(["-no", "SOURCE"]).arg(&top)).trim().to_owned();
        let subvolume = Subvolume { top, root, device };
        run(Command::new("btrfs").args(["-q", "subvolume", "create"]).arg(subvolume.top.join("machine")));
        run(Command::new("cp").arg("-aT").arg(content).arg(subvolume.top.join("machine")));
        subvolume.start();
        subvolume
    }

    fn start(&self) {
        run(Command::new("mount").args(["-o", "subvol=machine", &self.device]).arg(&self.root));
    }

    fn restart(&self) {
        run(Command::new("umount").arg(&self.root));
        self.start();
    }
}

impl Drop for Subvolume {
    fn drop(&mut self) {
        for place in [&self.root, &self.top] {
            let _ = Command::new("umount").arg("-q").arg(place).status();
        }
    }
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", said(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn by_btrfs_too(distribution: &Distribution, root: &Path) {
    let folder = distribution.path("btrfs");
    let subvolume = Subvolume::new(&folder, root);
    let machine = Machine::new(distribution, &subvolume.root, "btrfs", "seed-2", "2");
    let old = machine.manifest();
    let plan = machine.planned(&[]);
    ends(&machine.rehearse(&plan), OK);
    ends(&machine.act(&["act", "--no-trial"]), OK);
    assert!(ends(&machine.act(&["status"]), OK).contains("btrfs"));
    machine.assert_is(&old, "what runs is not touched");

    subvolume.restart();
    assert!(machine.text("etc/os-release").contains("VERSION_ID=2"));
    assert_eq!(machine.text("etc/configured.conf"), "colour = mine\n");
    ends(&machine.act(&["rollback"]), OK);
    subvolume.restart();
    machine.assert_is(&old, "by btrfs, rolled back");
    ends(&machine.act(&["finish"]), OK);
    ends(&machine.act(&["status"]), OK);
    assert_eq!(machine.phase(), Value::Null);
}

/// The same major version, another brand: no event is needed, and the release package goes with the brand.
fn becomes_a_sibling(distribution: &Distribution, root: &Path) {
    let machine = Machine::new(distribution, root, "sibling", "sprout-1", "1");
    machine.import("sprout-1");
    let old = machine.manifest();
    let wishes = ["old-ftp", "runtime-8", "python2", "games", "agent"].map(|name| ["--remove", name]).concat();
    let plan = machine.planned(&wishes);
    assert!(ends(&machine.plan(&["why", "machine-release"]), OK).contains("sprout-release"));
    ends(&machine.rehearse(&plan), OK);
    let acted = machine.act(&["act", "--no-trial", "--json"]);
    ends(&acted, OK);

    // Who follows reads lines of JSON: what is done, how much of it, and the time that is left.
    let lines = String::from_utf8_lossy(&acted.stderr).into_owned();
    let told: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let is_of = |phase: &str| told.iter().any(|line| line["what"] == phase && line.get("left_secs").is_some());
    assert!(["staging", "keeping", "replacing"].iter().all(|phase| is_of(phase)), "{lines}");
    assert!(machine.text("etc/os-release").starts_with("ID=sprout\n"));
    assert_eq!(machine.text("usr/bin/ed"), "editor of sprout 1\n");
    ends(&machine.act(&["rollback"]), OK);
    machine.assert_is(&old, "it is no sibling any more");
}
