//! A packager without a server: folders become packages, a lock becomes the same root again, and bits stay the same.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use anima_diagnosis::{End, Reader, Section, read};
use anima_testkit::seed;
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    kills::{leftovers, sleeping},
    said,
};

/// A machine with Seed Linux in a folder, and nothing that runs.
struct Packager {
    folder: TempDir,
    seed: PathBuf,
}

impl Packager {
    fn new() -> Packager {
        Packager { folder: tempfile::tempdir().unwrap(), seed: seed().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a package's spec; what it makes is one file that says what it was built with.
    fn package(&self, name: &str, preamble: &str, install: &str) -> String {
        let folder = self.path(name);
        fs::create_dir_all(&folder).unwrap();
        let spec = format!(
            "Name: {name}\nVersion: 1\nRelease: 1%{{?dist}}\nSummary: A test\nLicense: MIT\nBuildArch: noarch\n{preamble}\n\
             %description\nA test.\n%install\nmkdir -p %{{buildroot}}/usr/share/{name}\n{install}\n\
             %files\n/usr/share/{name}\n%changelog\n* Mon Nov 23 2026 A <a@example.org> - 1-1\n- First\n"
        );
        fs::write(folder.join(format!("{name}.spec")), spec).unwrap();
        folder.to_string_lossy().into_owned()
    }

    /// Runs the program, with a cache of its own.
    fn anima(&self, arguments: &[&str]) -> Output {
        self.here(env!("CARGO_BIN_EXE_anima")).args(arguments).output().unwrap()
    }

    /// A program in the packager's folder.
    fn here(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.folder.path()).env("ANIMA_DATA", self.path("data"));
        command
    }

    /// Writes the file of a platform like Seed Linux that is for two architectures, both of which this machine runs.
    fn platform_of_two(&self) -> String {
        let text = include_str!("../../../../platforms/seed-1.toml");
        let text = text.replace("\"seed-1\"", "\"two\"").replace("[\"x86_64\"]", "[\"x86_64\", \"i686\"]");
        let text = text.replace("{master}/mirror/seed/", &format!("file://{}/", self.seed.display()));
        let path = self.path("two.toml");
        fs::write(&path, text).unwrap();
        path.to_string_lossy().into_owned()
    }

    /// Enters a root at a terminal, which is closed when the command there has said `inside`: its mount goes with it.
    fn close_the_terminal_of(&self, shell: &[&str]) {
        let line = format!("{} {}", env!("CARGO_BIN_EXE_anima"), shell.join(" "));
        let mut terminal = Command::new("script")
            .args(["--quiet", "--flush", "--command", &line, "/dev/null"])
            .current_dir(self.folder.path())
            .env("ANIMA_DATA", self.path("data"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let screen = BufReader::new(terminal.stdout.take().unwrap());
        assert!(screen.lines().any(|line| line.unwrap().contains("inside")));
        assert_ne!(self.mount_count(), 0);

        terminal.kill().unwrap();
        terminal.wait().unwrap();

        let deadline = Instant::now() + Duration::from_secs(60);
        while self.mount_count() > 0 {
            assert!(Instant::now() < deadline, "the root is mounted still");
            std::thread::yield_now();
        }
    }

    /// Counts what is mounted in its folder.
    fn mount_count(&self) -> usize {
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        mounts.lines().filter(|line| line.contains(&*self.folder.path().to_string_lossy())).count()
    }

    /// Builds on Seed Linux; returns the report.
    fn build(&self, arguments: &[&str]) -> Value {
        let output = self.try_build(arguments);
        assert!(output.status.success(), "{}", said(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn try_build(&self, arguments: &[&str]) -> Output {
        let repository = format!("seed={}/seed-1/{{arch}}", self.seed.display());
        let mut all = vec!["local", "build", "--json", "--platform", "seed-1", "--repository", &repository];
        all.extend(arguments);
        self.anima(&all)
    }
}

/// Returns the file that a report names last.
fn made(report: &Value, package: &str) -> PathBuf {
    let packages = report["packages"].as_array().unwrap();
    let package = packages.iter().find(|it| it["name"] == package).unwrap();
    let step = package["steps"].as_array().unwrap().last().unwrap();
    Path::new(package["folder"].as_str().unwrap()).join(step["packages"][0]["file"].as_str().unwrap())
}

#[test]
fn folders_are_built_in_their_order_and_again_from_a_lock_when_no_repository_is_there() {
    let packager = Packager::new();
    let later = packager.package(
        "later",
        "BuildRequires: sooner",
        "cat /usr/share/sooner/word > %{buildroot}/usr/share/later/word",
    );
    let sooner = packager.package("sooner", "", "echo %{?word}%{!?word:none} > %{buildroot}/usr/share/sooner/word");

    let report = packager.build(&[&later, &sooner, "--define", "word hello", "--result", "first"]);

    let names: Vec<&str> =
        report["packages"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["sooner", "later"]);
    let first = made(&report, "later");
    let listed =
        Command::new("rpm").args(["-qp", "--qf", "[%{FILENAMES} %{FILESIZES}\n]"]).arg(&first).output().unwrap();
    assert!(
        String::from_utf8_lossy(&listed.stdout).contains("/usr/share/later/word 6"),
        "hello and a line's end: {listed:?}"
    );
    for name in
        ["first/repodata/repomd.xml", "first/later/src.log", "first/later/x86_64.log", "first/later/report.json"]
    {
        assert!(packager.path(name).exists(), "{name}");
    }

    // Its packages in one folder, a cache that has none of them, and no repository.
    let srpm = first.with_file_name("later-1-1.s1.src.rpm");
    let lock = first.with_file_name("x86_64.lock.json");
    let (srpm, lock) = (srpm.to_string_lossy().into_owned(), lock.to_string_lossy().into_owned());
    let seed = packager.seed.to_string_lossy().into_owned();
    let hermetic = ["local", "build", &srpm, "--platform", "seed-1", "--lock", &lock, "--define", "word hello"];
    let nowhere = [&hermetic[..], &["--cache", "other", "--result", "no"]].concat();
    let missing = packager.anima(&nowhere);
    assert_eq!(missing.status.code(), Some(5), "{}", said(&missing));
    assert!(said(&missing).contains("packages of the lock"), "{}", said(&missing));
    let folders = ["--cache", "other", "--result", "second", "--packages", "first", "--packages", &seed, "--json"];
    let output = packager.anima(&[&hermetic[..], &folders].concat());
    assert!(output.status.success(), "{}", said(&output));

    let second = made(&serde_json::from_slice(&output.stdout).unwrap(), "later");
    assert!(second.starts_with(packager.path("second").canonicalize().unwrap()));
    assert_eq!(fs::read(&second).unwrap(), fs::read(&first).unwrap(), "the same bits");

    // The lock makes a root for a person, too.
    let shell = [
        "buildroot",
        "shell",
        "--platform",
        "seed-1",
        "--cache",
        "other",
        "--lock",
        &lock,
        "--",
        "cat",
        "/usr/share/sooner/word",
    ];
    let output = packager.anima(&shell);
    assert_eq!(
        (output.status.code(), String::from_utf8_lossy(&output.stdout).as_ref()),
        (Some(0), "hello\n"),
        "{output:?}"
    );
    packager.close_the_terminal_of(&[&shell[..shell.len() - 2], &["sh", "-c", "'echo inside; cat'"]].concat());
}

/// How long anything of a build on this machine takes at most.
const LIMIT: Duration = Duration::from_secs(300);

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + LIMIT;
    while !is_so() {
        assert!(Instant::now() < end, "{what} did not come about");
        std::thread::yield_now();
    }
}

#[test]
fn a_list_two_architectures_a_look_at_what_failed_and_an_end_in_the_middle() {
    let packager = Packager::new();
    let platform = packager.platform_of_two();
    let folder = packager.package("both", "", "uname -m > /dev/null");
    let of_two = ["--platform", &platform];

    // For two architectures: what is all noarch is built once, and a third one is refused with those that there are.
    let arches = ["--arch", "x86_64", "--arch", "i686", "--json", "--result", "results"];
    let output = packager.anima(&[&["local", "build", &folder][..], &of_two, &arches].concat());
    assert!(output.status.success(), "{}", said(&output));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let steps = report["packages"][0]["steps"].as_array().unwrap().iter();
    let steps: Vec<_> = steps.map(|step| (step["step"].as_str().unwrap(), step["status"].as_str().unwrap())).collect();
    assert_eq!(steps, [("src", "built"), ("x86_64", "built"), ("i686", "excluded")]);
    let output = packager.anima(&[&["local", "build", &folder, "--arch", "s390x"][..], &of_two].concat());
    assert!(output.status.code() == Some(2) && said(&output).contains("it has x86_64, i686"), "{}", said(&output));

    // The list of a root that is made by nobody is that of the root of the build.
    let list = packager.path("list.json").to_string_lossy().into_owned();
    let arguments =
        [&["buildroot", "lock", "--of", &folder, "--arch", "x86_64", "--output", &list][..], &of_two].concat();
    let output = packager.anima(&arguments);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(
        fs::read_to_string(&list).unwrap(),
        fs::read_to_string(packager.path("results/both/x86_64.lock.json")).unwrap()
    );

    // What failed is entered at a terminal, as it was left.
    let broken = packager.package("broken", "", "echo left > %{buildroot}/trace; false");
    let build =
        ["local", "build", &broken, "--platform", &platform, "--arch", "x86_64", "--shell-on-failure"].join(" ");
    let program = format!("{} {build}", env!("CARGO_BIN_EXE_anima"));
    let mut script = packager.here("script");
    script.args(["--quiet", "--return", "--flush", "--command", &program, "/dev/null"]);
    let mut script = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut keyboard, mut screen) = (script.stdin.take().unwrap(), script.stdout.take().unwrap());
    let (mut seen, mut piece, mut is_asked) = (String::new(), [0; 4096], false);
    while let Ok(count @ 1..) = screen.read(&mut piece) {
        seen += &String::from_utf8_lossy(&piece[..count]);
        if !is_asked && seen.contains("it is removed when you leave") {
            keyboard.write_all(b"cat $(find . -name trace); exit\n").unwrap();
            is_asked = true;
        }
    }
    assert_eq!(script.wait().unwrap().code(), Some(5), "{seen}");
    assert!(seen.lines().any(|line| line.trim() == "left"), "{seen}");

    // Ctrl-C: no process, no mount, no folder of the build is left.
    let mark = format!("3{:07}", std::process::id());
    let slow = packager.package("slow", "", &format!("(setsid sleep {mark} &)\nsleep {mark}"));
    let mut command = packager.here(env!("CARGO_BIN_EXE_anima"));
    let mut running = command.args(["local", "build", &slow, "--arch", "x86_64"]).args(of_two).spawn().unwrap();
    until("the build", || sleeping(&mark) == 2);
    let pid = rustix::process::Pid::from_child(&running);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(running.wait().unwrap().code(), Some(5));
    until("the end of its processes", || sleeping(&mark) == 0);
    assert_eq!(leftovers(&packager.path("data/local"), &["runs", "environments/roots/work"]), [""; 0]);
}

#[test]
fn uncommitted_changes_are_built_and_told_and_a_failure_says_why() {
    let packager = Packager::new();
    let folder = packager.package("changed", "Source0: word", "cp %{SOURCE0} %{buildroot}/usr/share/changed/");
    let path = packager.path("changed");
    fs::write(path.join("word"), "committed\n").unwrap();
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).current_dir(&path).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    };
    git(&["init", "--quiet"]);
    git(&["add", "."]);
    git(&["-c", "user.name=A", "-c", "user.email=a@example.org", "commit", "--quiet", "--message", "First"]);
    let log = || fs::read_to_string(packager.path("anima-results/changed/src.log")).unwrap();

    packager.build(&[&folder]);
    assert!(log().contains("sources: commit ") && !log().contains("uncommitted"), "{}", log());

    fs::write(path.join("word"), "changed since\n").unwrap();
    let report = packager.build(&[&folder]);
    assert!(log().contains("with uncommitted changes"), "{}", log());
    let listed =
        Command::new("rpm").args(["-qp", "--qf", "[%{FILESIZES} ]"]).arg(made(&report, "changed")).output().unwrap();
    assert!(String::from_utf8_lossy(&listed.stdout).contains("14 "), "{listed:?}");
    // The packager's repository is as it was.
    let status = Command::new("git").args(["status", "--porcelain"]).current_dir(&path).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&status.stdout), " M word\n");

    fs::remove_file(path.join("word")).unwrap();
    let output = packager.try_build(&[&folder]);
    assert_eq!(output.status.code(), Some(5), "{}", said(&output));
    assert!(said(&output).contains("bad_source"), "{}", said(&output));
}

/// All examples are built twice, the second time each with one core: some three minutes of processor time.
#[test]
fn the_examples_come_out_the_same_bit_for_bit_in_another_root() {
    let packager = Packager::new();
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let sources = crate::examples::fetch_sources(&examples).to_string_lossy().into_owned();
    let names = crate::examples::EXAMPLES;
    let folders: Vec<String> = names.iter().map(|name| examples.join(name).to_string_lossy().into_owned()).collect();
    let mut arguments: Vec<&str> = folders.iter().map(String::as_str).collect();
    arguments.extend(["--sources", &sources, "--verify"]);

    let report = packager.build(&arguments);

    assert_eq!(report["verification"]["differences"].as_array().unwrap().len(), 0, "{report:#}");
    assert!(report["verification"]["equal_count"].as_u64().unwrap() >= names.len() as u64 * 2, "source packages, too");
    for log in names.iter().flat_map(|name| ["src", "x86_64"].map(|step| format!("anima-results/{name}/{step}.log"))) {
        let text = fs::read_to_string(packager.path(&log)).unwrap();
        assert_eq!(read(text.as_bytes()).findings(End::Unknown), [], "{log}");
        assert_eq!(found_where_nothing_failed(&text), [""; 0], "{log}");
    }
}

/// Returns what would be found in each step of a log if the step had failed, though it did not.
fn found_where_nothing_failed(log: &str) -> Vec<String> {
    let (mut reader, mut found) = (Reader::default(), Vec::new());
    for (line, number) in log.lines().zip(1..) {
        if Section::begins(line).is_some() {
            found.append(&mut reader.findings(End::Exited(1)));
        }
        reader.see(number, line);
    }
    found.append(&mut reader.findings(End::Exited(1)));
    // A step that says nothing is told by its last command, which is true.
    found.retain(|finding| finding.class != "command_failed");
    found
        .iter()
        .map(|finding| format!("{} in line {:?}: {}", finding.class, finding.log_line, finding.message))
        .collect()
}

/// Lists everything in a root: kinds, modes, owners, where links lead, and what is in files. The database of rpm and the caches
/// that have times in them are left out.
fn listed(root: &Path) -> String {
    let script = "find . -mindepth 1 \\( -path ./var/lib/rpm -o -path ./var/cache -o -path ./builddir \\) -prune -o -printf '%p %M %U %G %l\\n' | sort; \
                  find . \\( -path ./var/lib/rpm -o -path ./var/cache -o -path ./builddir \\) -prune -o -type f -print0 | sort -z | xargs -0 sha256sum";
    let output = Command::new("bash").args(["-c", script]).current_dir(root).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_root_that_its_own_rpm_installed_is_the_one_that_the_hosts_makes() {
    let packager = Packager::new();
    let roots = ["host", "own"].map(|bootstrap| {
        let platform = packager.path(&format!("{bootstrap}.toml"));
        let text = format!(
            "name = \"{bootstrap}\"\ntitle = \"T\"\ndist = \".t\"\nbranch = \"t\"\narchitectures = [\"x86_64\"]\n[buildroot]\n\
             packages = [\"bash\", \"coreutils\", \"rpm-build\", \"seed-release\", \"seed-rpm-config\"]\ntest_packages = []\nbootstrap = \"{bootstrap}\"\n\
             [[repositories]]\nname = \"seed\"\nurl = \"file://{}/seed-1/{{arch}}/\"\n",
            packager.seed.display()
        );
        fs::write(&platform, text).unwrap();
        let root = packager.path(&format!("root-{bootstrap}"));
        let (platform, root_path) = (platform.to_string_lossy().into_owned(), root.to_string_lossy().into_owned());
        let output = packager.anima(&["buildroot", "create", &root_path, "--platform", &platform]);
        assert!(output.status.success(), "{}", said(&output));
        let ask = ["buildroot", "shell", "--platform", &platform, "--as-root", "--", "sh", "-c", "rpm -qa | sort; rpm -Va --nomtime"];
        let output = packager.anima(&ask);
        (root, said(&output))
    });

    let [(host, hosts_list), (own, own_list)] = &roots;
    assert_eq!(listed(host), listed(own));
    assert!(hosts_list.contains("coreutils-"), "{hosts_list}");
    assert_eq!(hosts_list, own_list, "the root's rpm reads both, and finds the same");
}
