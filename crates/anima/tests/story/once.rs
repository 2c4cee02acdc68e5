//! Nodes that live for one task, as a scheduler of machines runs them: each tells by its exit code what happened, and the queue's
//! metric says how many are wanted.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use anima_testkit::{SourcePackage, System};
use anima_types::build;

use crate::BUILD_LIMIT;

const PROGRAM: &str = env!("CARGO_BIN_EXE_anima");
const DONE: i32 = 0;
const FAILED: i32 = 5;
const NOTHING: i32 = 11;
const GIVEN_BACK: i32 = 12;

/// A machine that is there for one task.
struct Machine<'a> {
    system: &'a System,
    folder: PathBuf,
}

impl Machine<'_> {
    fn command(&self, role: &str, name: &str, more: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.arg(role).args(["--once", "--name", name, "--master", self.system.master_url()]);
        command.arg("--data").arg(self.folder.join("data")).arg("--folder").arg(self.folder.join("node"));
        // As a service manager gives it.
        command.env("CREDENTIALS_DIRECTORY", self.folder.join(role)).env_remove("ANIMA_TOKEN").args(more);
        command
    }

    async fn once(&self, role: &str, name: &str) -> (i32, Output) {
        let mut command = self.command(role, name, &["--wait-secs", "20"]);
        let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
        (output.status.code().unwrap_or(-1), output)
    }
}

async fn metric(system: &System, wanted: &str) -> Option<u64> {
    let text = fetched(&format!("{}/metrics", system.master_url())).await;
    let line = text.lines().find(|line| line.starts_with(wanted))?.to_string();
    line.rsplit_once(' ')?.1.parse().ok()
}

/// Returns what the query of a manifest sums up, of the series that the master tells.
fn asked_for(manifest: &str, metrics: &str) -> u64 {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy").join(manifest);
    let text = std::fs::read_to_string(path).unwrap().replace("\\\"", "\"");
    let (_, rest) = text.split_once("(anima_tasks{").expect("the query selects the metric of tasks");
    let wanted: Vec<(&str, Vec<&str>)> = rest
        .split_once('}')
        .unwrap()
        .0
        .split(',')
        .map(|label| {
            let (name, value) = label.split_once('=').unwrap();
            (name, value.trim_matches(['~', '"']).split('|').collect())
        })
        .collect();
    let series = metrics.lines().filter_map(|line| line.strip_prefix("anima_tasks{")?.split_once("} "));
    let is_wanted = |labels: &str| {
        let has = |name: &str, value: &&str| labels.split(',').any(|label| label == format!("{name}=\"{value}\""));
        wanted.iter().all(|(name, values)| values.iter().any(|value| has(name, value)))
    };
    series.filter(|(labels, _)| is_wanted(labels)).map(|(_, count)| count.parse::<u64>().unwrap()).sum()
}

async fn fetched(url: &str) -> String {
    let mut curl = Command::new("curl");
    curl.args(["-sSf", url]);
    let output = tokio::task::spawn_blocking(move || curl.output()).await.unwrap().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn nodes_that_take_one_task_build_and_test_a_package_and_say_what_happened() {
    let roles = ["master", "git-service", "sign-server", "release-system"];
    let system = System::start_some(Path::new(PROGRAM), &roles).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let machine = Machine { system: &system, folder: folder.path().to_path_buf() };
    for role in ["build-node", "test-node"] {
        std::fs::create_dir_all(folder.path().join(role)).unwrap();
        std::fs::write(folder.path().join(role).join("token"), system.token(role).unwrap()).unwrap();
    }

    let mut idle = machine.command("build-node", "idle", &["--wait-secs", "0"]);
    let idle = tokio::task::spawn_blocking(move || idle.output()).await.unwrap().unwrap();
    assert_eq!(idle.status.code(), Some(NOTHING), "{}", String::from_utf8_lossy(&idle.stderr));

    let commit = system.push(&SourcePackage::tiny("lonely", "1").unwrap(), "s1").unwrap();
    let build = system.build_of("lonely", &commit).await.unwrap();
    let waits = r#"anima_tasks{kind="src",arch="x86_64",status="ready"}"#;
    let seen = system.wait(BUILD_LIMIT, async || metric(&system, waits).await.filter(|count| *count == 1)).await;
    assert_eq!(seen, Some(1), "{}", fetched(&format!("{}/metrics", system.master_url())).await);

    let metrics = fetched(&format!("{}/metrics", system.master_url())).await;
    for manifest in ["kubernetes/build-node.yaml", "nomad/build-node.nomad.hcl"] {
        assert_eq!(asked_for(manifest, &metrics), 1, "{manifest}\n{metrics}");
    }

    for (role, name) in [("build-node", "src"), ("build-node", "build"), ("test-node", "test")] {
        let (code, output) = machine.once(role, name).await;
        assert_eq!(code, DONE, "{name}: {}\n{}", String::from_utf8_lossy(&output.stderr), system.up_log());
    }
    system.released(build, BUILD_LIMIT).await.unwrap();

    let broken = "Name: broken\nVersion: 1\nRelease: 1\nSummary: Broken\nLicense: MIT\nBuildArch: noarch\n%description\nBroken.\n\
                  %build\nexit 7\n%files\n";
    let commit = system.push(&SourcePackage::with_spec("broken", broken).unwrap(), "s1").unwrap();
    let build = system.build_of("broken", &commit).await.unwrap();
    assert_eq!(machine.once("build-node", "src-2").await.0, DONE);
    assert_eq!(machine.once("build-node", "build-2").await.0, FAILED);
    let detail = system.ended(build, BUILD_LIMIT).await.unwrap();
    assert_eq!(detail.build.status, build::Status::Failed);
}

#[tokio::test]
async fn a_node_that_is_stopped_in_the_middle_of_its_only_task_says_that_another_does_it() {
    let system = System::start_some(Path::new(PROGRAM), &["master", "git-service"]).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let machine = Machine { system: &system, folder: folder.path().to_path_buf() };
    std::fs::create_dir_all(folder.path().join("build-node")).unwrap();
    std::fs::write(folder.path().join("build-node/token"), system.token("build-node").unwrap()).unwrap();
    let slow = "Name: slow\nVersion: 1\nRelease: 1\nSummary: Slow\nLicense: MIT\nBuildArch: noarch\n%description\nSlow.\n\
                %prep\nfor i in $(seq 600); do echo waiting; sleep 1; done\n%files\n";
    let commit = system.push(&SourcePackage::with_spec("slow", slow).unwrap(), "s1").unwrap();
    let build = system.build_of("slow", &commit).await.unwrap();
    assert_eq!(machine.once("build-node", "src").await.0, DONE);
    let mut command = machine.command("build-node", "slow", &[]);
    let child = command.stderr(Stdio::piped()).spawn().unwrap();
    let begun = system.wait(BUILD_LIMIT, async || {
        let log = system.anima(&["build", "log", &build.to_string()]).ok()?;
        String::from_utf8_lossy(&log.stdout).contains("\nwaiting\n").then_some(())
    });
    begun.await.unwrap_or_else(|| panic!("it was not begun:\n{}", system.up_log()));

    let pid = rustix::process::Pid::from_raw(child.id() as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();

    let output = tokio::task::spawn_blocking(move || child.wait_with_output()).await.unwrap().unwrap();
    assert_eq!(output.status.code(), Some(GIVEN_BACK), "{}", String::from_utf8_lossy(&output.stderr));
}
