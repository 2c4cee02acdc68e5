//! A packager without a server: folders become packages, a lock becomes the same root again, and bits stay the same.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use anima_diagnosis::{End, Reader, Section, read};
use anima_testkit::seed;
use serde_json::Value;
use tempfile::TempDir;

use crate::said;

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
        let mut command = Command::new(env!("CARGO_BIN_EXE_anima"));
        command.current_dir(self.folder.path()).env("ANIMA_DATA", self.path("data"));
        command.args(arguments).output().unwrap()
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
