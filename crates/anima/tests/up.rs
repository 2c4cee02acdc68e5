//! `anima up` as an operator meets it: the real program, with master and Git Service as the roles that listen.

use std::{
    fs,
    net::TcpStream,
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal};

/// What is waited for comes within this, also on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(20);

struct Up {
    folder: tempfile::TempDir,
    child: Child,
}

impl Up {
    fn start() -> Up {
        Up::start_in(tempfile::tempdir().unwrap())
    }

    fn start_in(folder: tempfile::TempDir) -> Up {
        let log = fs::File::create(folder.path().join("up.log")).unwrap();
        let data = folder.path().join("data");
        let _ = fs::remove_file(data.join("run/anima.json"));
        let mut command = anima(&data, &["up", "--role", "master", "--role", "git-service"]);
        command.args(["--listen", "127.0.0.1:0", "--git-listen", "127.0.0.1:0"]);
        let child = command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        let up = Up { folder, child };
        wait("anima up is ready", || up.log().contains("stop it"));
        up
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("up.log")).unwrap()
    }

    fn running(&self) -> serde_json::Value {
        serde_json::from_str(&fs::read_to_string(self.data().join("run/anima.json")).unwrap()).unwrap()
    }

    fn pid(&self, role: &str) -> Option<i32> {
        fs::read_to_string(self.data().join(format!("run/{role}.pid"))).ok()?.trim().parse().ok()
    }

    fn run(&self, arguments: &[&str]) -> Output {
        anima(&self.data(), arguments).output().unwrap()
    }

    fn stop(&mut self) -> Option<i32> {
        kill(self.child.id() as i32, Signal::TERM);
        self.child.wait().unwrap().code()
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn anima(data: &std::path::Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_anima"));
    command.arg("--data").arg(data).args(arguments).stdin(Stdio::null());
    for name in ["ANIMA_DATA", "ANIMA_CONFIG", "ANIMA_MASTER", "ANIMA_TOKEN", "ANIMA_GIT"] {
        command.env_remove(name);
    }
    command
}

fn wait(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + LIMIT;
    while !is_so() {
        assert!(Instant::now() < until, "not in time: {what}");
        std::thread::sleep(LOOK_EVERY);
    }
}

fn kill(pid: i32, signal: Signal) {
    rustix::process::kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
}

/// One that has ended and was not asked for its end yet does not live.
fn is_alive(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout)
}

#[test]
fn the_command_line_on_the_same_folder_is_the_administrators_at_once() {
    let up = Up::start();

    let output = up.run(&["--json", "token", "whoami"]);

    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()["role"], "admin");
}

#[test]
fn what_cannot_be_found_ends_with_the_users_code_and_what_cannot_be_reached_with_the_remotes() {
    let up = Up::start();

    let absent = up.run(&["build", "show", "7"]);
    let unreachable = up.run(&["--master", "http://127.0.0.1:1", "build", "list"]);
    let denied =
        up.run(&["--master", up.running()["master_url"].as_str().unwrap(), "--token", "wrong", "token", "list"]);

    assert_eq!(absent.status.code(), Some(2), "{}", said(&absent));
    assert_eq!(unreachable.status.code(), Some(4), "{}", said(&unreachable));
    assert!(said(&unreachable).contains("\nhint: "), "{}", said(&unreachable));
    assert_eq!(denied.status.code(), Some(6), "{}", said(&denied));
}

#[test]
fn a_second_anima_on_the_folder_is_refused_with_the_process_that_has_it() {
    let up = Up::start();

    let second = up.run(&["up", "--listen", "127.0.0.1:0", "--git-listen", "127.0.0.1:0"]);

    assert_eq!(second.status.code(), Some(3));
    assert!(
        said(&second).contains(&format!("in use by another Anima (process {})", up.child.id())),
        "{}",
        said(&second)
    );
}

#[test]
fn a_master_that_is_killed_comes_back_on_its_port_and_who_asks_meanwhile_waits() {
    let up = Up::start();
    let old = up.pid("master").unwrap();

    kill(old, Signal::KILL);
    wait("the master has ended", || !is_alive(old));
    let url = up.running()["master_url"].as_str().unwrap().to_string();
    // The socket is the supervisor's: it takes connections while nobody is behind it.
    assert!(TcpStream::connect(url.trim_start_matches("http://").trim_end_matches('/')).is_ok());
    let asked = up.run(&["package", "list"]);

    assert!(asked.status.success(), "{}", said(&asked));
    assert_ne!(up.pid("master"), Some(old));
    assert!(up.log().contains("master was killed by signal 9; it starts again in 0.5 s"), "{}", up.log());
}

#[test]
fn a_signal_stops_all_roles_and_leaves_nothing_running() {
    let mut up = Up::start();
    let pids = [up.pid("master").unwrap(), up.pid("git-service").unwrap()];

    let code = up.stop();

    assert_eq!(code, Some(0), "{}", up.log());
    assert!(!pids.into_iter().any(is_alive));
    assert!(!up.data().join("run/anima.json").exists() && up.pid("master").is_none());
}

#[test]
fn roles_end_with_a_supervisor_that_is_killed_and_the_next_one_takes_over() {
    let mut up = Up::start();
    let pids = [up.pid("master").unwrap(), up.pid("git-service").unwrap()];

    up.child.kill().unwrap();
    up.child.wait().unwrap();
    let next = anima(&up.data(), &["up", "--role", "master", "--listen", "127.0.0.1:0"]).stdout(Stdio::null()).spawn();
    let mut next = next.unwrap();
    wait("the next supervisor is ready", || {
        fs::read_to_string(up.data().join("run/anima.json")).is_ok_and(|text| text.contains(&next.id().to_string()))
    });
    let are_alive = pids.map(is_alive);
    kill(next.id() as i32, Signal::TERM);

    assert_eq!(next.wait().unwrap().code(), Some(0));
    assert_eq!(are_alive, [false, false]);
}
