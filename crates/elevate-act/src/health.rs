//! Whether a system that was started is well: rules as data, judged by what is seen now and what was seen before the upgrade.
//!
//! It refuses to wait: whoever asks, asks again.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use crate::{
    command,
    error::{At, Error},
};

/// The rules of a machine that has none of its own.
const DEFAULT: &str = include_str!("../health.toml");
/// A machine's own rules, below its root.
const OWN: &str = "etc/anima-elevate/health.toml";
/// Ports from here on are given out by the kernel, and are others after each start.
const EPHEMERAL: u16 = 32_768;
/// How often a program of a rule is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// The kernel's number for a socket that listens.
const LISTENS: &str = "0A";
/// What everything that a start brings up hangs below.
const STARTED: &str = "default.target";
/// What a login brings and takes away again, whatever wants it.
const SESSIONS: [&str; 2] = ["user@", "user-runtime-dir@"];
const UNIT_FOLDERS: [&str; 3] = ["etc/systemd/system", "usr/lib/systemd/system", "lib/systemd/system"];

/// All rules.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    #[serde(rename = "rule", default)]
    rules: Vec<Rule>,
}

/// What has to be so.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize)]
#[serde(tag = "check", rename_all = "snake_case", deny_unknown_fields)]
enum Rule {
    /// A default route, if there was one.
    Network,
    /// Every port that a service of the machine's start listened on.
    Ports,
    /// Every service of the machine's start that ran.
    Units,
    /// One port.
    Port { port: u16 },
    /// One service.
    Unit { unit: String },
    /// A file or folder is there.
    File { path: PathBuf },
    /// A program ends with 0.
    Program { command: Vec<String>, within_secs: u64 },
    /// All programs of a folder end with 0.
    Scripts { folder: PathBuf, within_secs: u64 },
}

/// What is seen of a running system.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Sight {
    /// Whether there is a default route.
    pub has_route: bool,
    /// Ports that are listened on.
    pub ports: BTreeSet<u16>,
    /// Services that are active.
    pub units: BTreeSet<String>,
}

/// What one rule says.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Verdict {
    /// What was looked at.
    pub what: String,
    /// Why it is not well; none if it is.
    pub complaint: Option<String>,
}

impl Rules {
    /// Reads a machine's own rules, or those of every machine.
    pub fn of(root: &Path) -> Result<Rules, Error> {
        let path = root.join(OWN);
        match fs::read_to_string(&path) {
            Ok(text) => Rules::parse(&text).map_err(|reason| Error::Document { path, reason }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Ok(Rules::parse(DEFAULT).expect("our own rules are right"))
            }
            Err(error) => Err(error).at("read", &path),
        }
    }

    /// Reads rules.
    pub fn parse(text: &str) -> Result<Rules, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    /// Judges a system by what was seen before and is seen now.
    pub fn judge(&self, root: &Path, before: &Sight, now: &Sight) -> Vec<Verdict> {
        self.rules.iter().flat_map(|rule| rule.judge(root, before, now)).collect()
    }
}

impl Sight {
    /// Looks at the system that runs in a root.
    pub fn of(root: &Path) -> Sight {
        let read = |path: &str| fs::read_to_string(root.join(path)).unwrap_or_default();
        Sight {
            has_route: has_route(&read("proc/net/route"), &read("proc/net/ipv6_route")),
            ports: listeners(&sockets(root)).map(|(port, _)| port).collect(),
            units: units(),
        }
    }

    /// Looks at what of it is there again after a start, with nobody logged in and nobody who asks for anything: not what a
    /// session brought, nor services that end when they are idle.
    pub fn that_comes_back(root: &Path) -> Sight {
        let started = started(&systemctl(&["list-dependencies", "--plain", "--full", STARTED]));
        let mut arguments = vec!["show", "--property=Id,SubState,MainPID,Listen", "--"];
        arguments.extend(started.iter().map(String::as_str));
        let units = if started.is_empty() { Vec::new() } else { shown(&systemctl(&arguments)) };
        let sockets = sockets(root);
        let own = |pid: u32| descriptors(&root.join("proc").join(pid.to_string()).join("fd"));
        Sight { has_route: Sight::of(root).has_route, ..of_units(&units, &sockets, &own) }
    }
}

impl Rule {
    fn judge(&self, root: &Path, before: &Sight, now: &Sight) -> Vec<Verdict> {
        match self {
            Rule::Network => {
                let lacks = before.has_route && !now.has_route;
                vec![verdict("network", lacks.then(|| "the default route is gone".to_owned()))]
            }
            Rule::Ports => before.ports.iter().map(|port| port_verdict(*port, now)).collect(),
            Rule::Port { port } => vec![port_verdict(*port, now)],
            Rule::Units => {
                let still = before.units.iter().filter(|unit| has_unit(root, unit));
                still.map(|unit| unit_verdict(unit, now)).collect()
            }
            Rule::Unit { unit } => vec![unit_verdict(unit, now)],
            Rule::File { path } => {
                let lacks = !root.join(path.strip_prefix("/").unwrap_or(path)).exists();
                vec![verdict(&path.display().to_string(), lacks.then(|| "it is not there".to_owned()))]
            }
            Rule::Program { command, within_secs } => vec![program(command, *within_secs)],
            Rule::Scripts { folder, within_secs } => {
                scripts(root, folder).iter().map(|script| program(std::slice::from_ref(script), *within_secs)).collect()
            }
        }
    }
}

fn verdict(what: &str, complaint: Option<String>) -> Verdict {
    Verdict { what: what.to_owned(), complaint }
}

fn port_verdict(port: u16, now: &Sight) -> Verdict {
    let lacks = !now.ports.contains(&port);
    verdict(&format!("port {port}"), lacks.then(|| "nobody listens on it".to_owned()))
}

fn unit_verdict(unit: &str, now: &Sight) -> Verdict {
    let lacks = !now.units.contains(unit);
    verdict(unit, lacks.then(|| format!("it is not active; see `systemctl status {unit}`")))
}

fn has_unit(root: &Path, unit: &str) -> bool {
    // A unit of a template has the template's file.
    let template = unit.split_once('@').and_then(|(name, rest)| Some(format!("{name}@.{}", rest.rsplit_once('.')?.1)));
    let names = [Some(unit.to_owned()), template];
    let is_there = |name: &String| UNIT_FOLDERS.iter().any(|folder| root.join(folder).join(name).exists());
    names.iter().flatten().any(is_there)
}

fn scripts(root: &Path, folder: &Path) -> Vec<String> {
    let folder = root.join(folder.strip_prefix("/").unwrap_or(folder));
    let is_program =
        |path: &PathBuf| fs::metadata(path).is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0);
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut scripts: Vec<String> = entries.filter(is_program).map(|path| path.display().to_string()).collect();
    scripts.sort();
    scripts
}

/// Runs a program with a bound.
fn program(command: &[String], within_secs: u64) -> Verdict {
    let what = command.join(" ");
    let [name, arguments @ ..] = command else { return verdict(&what, Some("no program is named".to_owned())) };
    let spawned =
        Command::new(name).args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) => return verdict(&what, Some(error.to_string())),
    };
    let until = Instant::now() + Duration::from_secs(within_secs);
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return verdict(&what, (!status.success()).then(|| status.to_string())),
            Ok(None) if Instant::now() < until => std::thread::sleep(LOOK),
            _ => break,
        }
    }
    let _ = child.kill();
    let _ = child.wait();
    verdict(&what, Some(format!("it did not end within {within_secs} s")))
}

/// The kernel's tables: destination and mask are zero, and the way is not a rejection by the loopback device.
fn has_route(v4: &str, v6: &str) -> bool {
    let is_default_4 = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        words.len() > 7 && words[1] == "00000000" && words[7] == "00000000"
    };
    let is_default_6 = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        words.len() > 9 && words[1] == "00" && words[0].bytes().all(|byte| byte == b'0') && words[9] != "lo"
    };
    v4.lines().any(is_default_4) || v6.lines().any(is_default_6)
}

fn sockets(root: &Path) -> String {
    let read = |path: &str| fs::read_to_string(root.join(path)).unwrap_or_default();
    read("proc/net/tcp") + &read("proc/net/tcp6")
}

/// The ports that are listened on, with the numbers of their sockets.
fn listeners(sockets: &str) -> impl Iterator<Item = (u16, &str)> {
    let listener = |line| {
        let words: Vec<&str> = str::split_whitespace(line).collect();
        let (_, port) = words.get(1)?.rsplit_once(':')?;
        let port = (words.get(3) == Some(&LISTENS)).then(|| u16::from_str_radix(port, 16).ok())??;
        Some((port, words.get(9).copied().unwrap_or_default()))
    };
    sockets.lines().filter_map(listener).filter(|(port, _)| *port < EPHEMERAL)
}

/// The numbers of the sockets that a process has open.
fn descriptors(folder: &Path) -> BTreeSet<String> {
    let links =
        fs::read_dir(folder).into_iter().flatten().flatten().filter_map(|entry| fs::read_link(entry.path()).ok());
    let number = |link: PathBuf| Some(link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned());
    links.filter_map(number).collect()
}

fn units() -> BTreeSet<String> {
    let said = systemctl(&["list-units", "--type=service", "--state=active", "--plain", "--no-legend", "--full"]);
    said.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

/// Returns what it printed; nothing where there is no systemd.
fn systemctl(arguments: &[&str]) -> String {
    command::run("systemctl", &arguments.iter().map(OsStr::new).collect::<Vec<_>>()).unwrap_or_default()
}

/// Returns the services and sockets of a list of what a start brings up.
fn started(said: &str) -> BTreeSet<String> {
    let is_unit = |name: &&str| name.ends_with(".service") || name.ends_with(".socket");
    let is_session = |name: &&str| SESSIONS.iter().any(|session| name.starts_with(session));
    let names = said.lines().filter_map(|line| line.split_whitespace().last());
    names.filter(is_unit).filter(|name| !is_session(name)).map(str::to_owned).collect()
}

/// A unit as systemd shows it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct Unit {
    name: String,
    /// What it does: `running`, `exited`, `listening`.
    state: String,
    /// Its main process; 0 if it has none.
    pid: u32,
    /// Ports that systemd listens on for it.
    ports: BTreeSet<u16>,
}

/// Reads what `systemctl show` prints: lines of `name=value`, with an empty line between units.
fn shown(said: &str) -> Vec<Unit> {
    said.split("\n\n").map(unit).filter(|unit| !unit.name.is_empty()).collect()
}

fn unit(lines: &str) -> Unit {
    let mut unit = Unit::default();
    for (key, value) in lines.lines().filter_map(|line| line.split_once('=')) {
        match key {
            "Id" => unit.name = value.to_owned(),
            "SubState" => unit.state = value.to_owned(),
            "MainPID" => unit.pid = value.parse().unwrap_or(0),
            // `Listen=[::]:9090 (Stream)`; older ones have the kind in the name.
            _ if key.starts_with("Listen") => {
                let address = value.split_whitespace().next().unwrap_or_default();
                unit.ports.extend(address.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok()));
            }
            _ => {}
        }
    }
    unit
}

/// A service that ran has to run again. One that did its work and ended is another matter: whether it has work to do depends
/// on conditions (`ConditionNeedsUpdate=`), which an upgrade changes. Of a service counts what its main process listens on:
/// what others of it opened (for a container, for somebody's session) is there when it is wanted.
fn of_units(units: &[Unit], sockets: &str, own: &dyn Fn(u32) -> BTreeSet<String>) -> Sight {
    let running: Vec<&Unit> =
        units.iter().filter(|unit| unit.name.ends_with(".service") && unit.state == "running").collect();
    let owned: BTreeSet<String> = running.iter().filter(|unit| unit.pid != 0).flat_map(|unit| own(unit.pid)).collect();
    let is_for_socket =
        |unit: &&Unit| unit.name.ends_with(".socket") && ["listening", "running"].contains(&&*unit.state);
    let waiting: BTreeSet<u16> = units.iter().filter(is_for_socket).flat_map(|unit| unit.ports.clone()).collect();
    let comes_back = |(port, number): &(u16, &str)| owned.contains(*number) || waiting.contains(port);
    Sight {
        has_route: false,
        ports: listeners(sockets).filter(comes_back).map(|(port, _)| port).collect(),
        units: running.iter().map(|unit| unit.name.clone()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(rules: &str, root: &Path, before: &Sight, now: &Sight) -> Vec<String> {
        let verdicts = Rules::parse(rules).unwrap().judge(root, before, now);
        verdicts.into_iter().filter(|it| it.complaint.is_some()).map(|it| it.what).collect()
    }

    #[test]
    fn a_system_is_well_when_it_does_what_it_did_before() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join(UNIT_FOLDERS[1]);
        fs::create_dir_all(&folder).unwrap();
        for unit in ["sshd.service", "getty@.service"] {
            fs::write(folder.join(unit), "").unwrap();
        }
        let units = ["sshd.service", "getty@tty1.service", "gone.service"].map(str::to_owned).into();
        let before = Sight { has_route: true, ports: [22, 80].into(), units };
        let now = Sight { ports: [80].into(), units: ["gone.service".to_owned()].into(), ..Sight::default() };

        let good = complaints(DEFAULT, root.path(), &before, &before);
        let bad = complaints(DEFAULT, root.path(), &before, &now);

        assert_eq!(good, Vec::<String>::new());
        assert_eq!(bad, ["network", "port 22", "getty@tty1.service", "sshd.service"]);
    }

    #[test]
    fn a_machines_own_scripts_are_asked_and_may_not_take_for_ever() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("checks");
        fs::create_dir(&folder).unwrap();
        for (name, text, mode) in [("good", "exit 0", 0o755), ("bad", "exit 3", 0o755), ("data", "exit 4", 0o644)] {
            fs::write(folder.join(name), format!("#!/bin/sh\n{text}\n")).unwrap();
            fs::set_permissions(folder.join(name), fs::Permissions::from_mode(mode)).unwrap();
        }
        let rules = "[[rule]]\ncheck = \"scripts\"\nfolder = \"/checks\"\nwithin_secs = 60\n\
                     [[rule]]\ncheck = \"program\"\ncommand = [\"sleep\", \"600\"]\nwithin_secs = 0\n\
                     [[rule]]\ncheck = \"file\"\npath = \"/checks/data\"\n";

        let bad = complaints(rules, root.path(), &Sight::default(), &Sight::default());

        assert_eq!(bad, [folder.join("bad").display().to_string(), "sleep 600".to_owned()]);
    }

    #[test]
    fn the_kernels_tables_are_read() {
        let route = "Iface\tDestination\tGateway\nens3\t00000000\t0102A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n";
        let lo = "00000000000000000000000000000000 00 00000000000000000000000000000000 00 0 ffffffff 1 0 00200200 lo\n";
        let sockets = "  sl  local_address rem_address   st\n   0: 00000000:0016 00000000:0000 0A 0\n   1: 0100007F:C350 00000000:0000 0A 0\n   2: 0100007F:0050 00000000:0000 01 0\n";

        assert!(has_route(route, "") && !has_route("Iface\tDestination\n", lo));
        assert_eq!(listeners(sockets).map(|(port, _)| port).collect::<Vec<_>>(), [22]);
    }

    #[test]
    fn what_a_session_or_a_question_started_is_not_waited_for() {
        let wanted = "default.target\n  gdm.service\n  multi-user.target\n    cockpit.socket\n    docker.service\n    \
                      ldconfig.service\n    sshd.service\n    user@0.service\n    user-runtime-dir@0.service\n";
        // Also active: systemd-hostnamed.service, NetworkManager-dispatcher.service, user@0.service, session-1.scope.
        let said = "Id=cockpit.socket\nSubState=listening\nListen=[::]:9090 (Stream)\n\n\
                    Id=docker.service\nSubState=running\nMainPID=70\n\n\
                    Id=gdm.service\nSubState=dead\nMainPID=0\n\n\
                    Id=ldconfig.service\nSubState=exited\nMainPID=0\n\n\
                    Id=sshd.service\nSubState=running\nMainPID=60\n";
        let socket = |port: u16, number: u32| {
            format!(
                "   0: 00000000:{port:04X} 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 {number} 1 0\n"
            )
        };
        // 6010 is sshd's for the windows of a session, 8080 a container's.
        let sockets = [(22, 1), (6010, 2), (8080, 3), (9090, 4)].map(|(port, number)| socket(port, number)).concat();
        let own = |pid: u32| match pid {
            60 => BTreeSet::from(["1".to_owned()]),
            _ => BTreeSet::new(),
        };

        let units = started(wanted);
        let sight = of_units(&shown(said), &sockets, &own);

        assert!(units.contains("sshd.service") && !units.iter().any(|unit| unit.starts_with("user")), "{units:?}");
        assert_eq!(sight.units, ["docker.service", "sshd.service"].map(str::to_owned).into());
        assert_eq!(sight.ports, [22, 9090].into());
    }

    #[test]
    fn a_rule_that_nobody_knows_is_refused_with_its_place() {
        let error = Rules::parse("[[rule]]\ncheck = \"moon\"\n").unwrap_err();

        assert!(error.contains("moon") && error.contains("line 2"), "{error}");
    }
}
