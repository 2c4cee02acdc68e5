//! Nodes on another host, which reaches the master and the Git Service and nothing else: a network namespace with a wire to this one.

use std::{
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anima_testkit::{SourcePackage, System};
use anima_types::build;

use crate::BUILD_LIMIT;

const PROGRAM: &str = env!("CARGO_BIN_EXE_anima");
/// Lines that the package says, one each tenth of a second.
const LINES: usize = 60;

/// Another host, gone when dropped with all that runs on it.
struct Host {
    name: String,
    wire: String,
    nodes: Vec<Child>,
    folder: tempfile::TempDir,
}

impl Host {
    /// Makes it, and returns the address of this machine's end of the wire. Addresses are of a network for documentation (RFC 5737).
    fn new() -> (Host, IpAddr) {
        let id = std::process::id();
        let host = Host {
            name: format!("anima-test-{id}"),
            wire: format!("anima{}", id % 1_000_000),
            nodes: Vec::new(),
            folder: tempfile::tempdir().unwrap(),
        };
        let (here, there) = (Ipv4Addr::new(203, 0, 113, 1), Ipv4Addr::new(203, 0, 113, 2));
        let (name, wire) = (host.name.as_str(), host.wire.as_str());
        ip(&["netns", "add", name]);
        ip(&["link", "add", wire, "type", "veth", "peer", "name", "wire", "netns", name]);
        ip(&["address", "add", &format!("{here}/30"), "dev", wire]);
        ip(&["link", "set", wire, "up"]);
        ip(&["-n", name, "address", "add", &format!("{there}/30"), "dev", "wire"]);
        ip(&["-n", name, "link", "set", "wire", "up"]);
        ip(&["-n", name, "link", "set", "lo", "up"]);
        (host, here.into())
    }

    /// Returns a command that runs on it: it has this machine's files, and its own network.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{}", self.name)).arg(program);
        command
    }

    /// Starts a role there, which has its own folder and token, and nothing of the system's.
    fn start(&mut self, system: &System, role: &str) {
        let folder = self.folder.path().join(role);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("token"), system.token(role).unwrap()).unwrap();
        let log = std::fs::File::create(self.log(role)).unwrap();
        let mut command = self.command(PROGRAM);
        command.args([role, "--name", &format!("far-{role}"), "--master", system.master_url()]);
        command.arg("--data").arg(folder.join("data")).arg("--folder").arg(folder.join("node"));
        command.env("CREDENTIALS_DIRECTORY", &folder).env_remove("ANIMA_TOKEN");
        self.nodes.push(command.stdout(Stdio::null()).stderr(log).spawn().unwrap());
    }

    fn log(&self, role: &str) -> PathBuf {
        self.folder.path().join(format!("{role}.log"))
    }

    fn said(&self) -> String {
        ["build-node", "test-node"].map(|role| std::fs::read_to_string(self.log(role)).unwrap_or_default()).concat()
    }

    fn cut(&self) {
        ip(&["link", "set", &self.wire, "down"]);
    }

    fn mend(&self) {
        ip(&["link", "set", &self.wire, "up"]);
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        for node in &mut self.nodes {
            let pid = rustix::process::Pid::from_raw(node.id() as i32).unwrap();
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
            let _ = node.wait();
        }
        let _ = Command::new("ip").args(["link", "delete", &self.wire]).status();
        let _ = Command::new("ip").args(["netns", "delete", &self.name]).status();
    }
}

fn ip(arguments: &[&str]) {
    let output = Command::new("ip").args(arguments).output().expect("ip is installed");
    assert!(output.status.success(), "ip {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn nodes_of_another_host_build_and_test_and_live_through_a_cut_wire() {
    let (mut host, here) = Host::new();
    let roles = ["master", "git-service", "sign-server", "release-system"];
    let system = System::start_at(Path::new(PROGRAM), here, &roles).await.unwrap();
    for role in ["build-node", "test-node"] {
        host.start(&system, role);
    }
    let only_here = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", only_here.local_addr().unwrap());
    let elsewhere = host.command("curl").args(["-s", "--max-time", "2", &url]).status().unwrap();
    assert_eq!(elsewhere.code(), Some(7), "it connects to nothing: the other host has a network of its own");

    let spec = format!(
        "Name: far\nVersion: 1\nRelease: 1\nSummary: Far\nLicense: MIT\nBuildArch: noarch\n%description\nFar.\n\
         %build\nfor i in $(seq {LINES}); do echo line $i; sleep 0.1; done\n%install\n%files\n"
    );
    let commit = system.push(&SourcePackage::with_spec("far", &spec).unwrap(), "s1").unwrap();
    let id = system.build_of("far", &commit).await.unwrap();
    let log = || {
        let log = system.anima(&["build", "log", &id.to_string()]).ok()?;
        Some(String::from_utf8_lossy(&log.stdout).into_owned())
    };
    let begun = system.wait(BUILD_LIMIT, async || log().filter(|log| log.contains("\nline 3\n")).map(drop)).await;
    begun.unwrap_or_else(|| panic!("it was not begun:\n{}\n{}", host.said(), system.up_log()));
    host.cut();
    let detail = system.client().build(id).await.unwrap();
    assert_eq!(detail.build.status, build::Status::Building, "the wire is cut while it is built");
    // Its lines go on where nobody hears them: ten times as long as one takes, the log stays as it is.
    let (mut last, mut same_count) = (String::new(), 0);
    let is_silent = system.wait(BUILD_LIMIT, async || {
        let now = log()?;
        same_count = if now == last { same_count + 1 } else { 0 };
        last = now;
        (same_count >= 10).then_some(())
    });
    is_silent.await.expect("no line comes through a cut wire");
    host.mend();

    let detail = system.released(id, BUILD_LIMIT).await.unwrap_or_else(|error| panic!("{error}\n{}", host.said()));
    let built = detail.tasks.iter().find(|task| task.kind == anima_types::task::Kind::Build).unwrap();
    assert_eq!((built.attempts, built.node.as_deref()), (1, Some("far-build-node")));
    let log = log().unwrap();
    let lines: Vec<&str> = log.lines().filter(|line| line.starts_with("line ")).collect();
    let expected: Vec<String> = (1..=LINES).map(|number| format!("line {number}")).collect();
    assert_eq!(lines, expected);
}
