//! What is in `deploy/`: the units and manifests are read by those who read them, their commands are commands of this program, and
//! what the package says agrees with them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use yaml_rust2::{Yaml, YamlLoader};

/// What `systemd-analyze security` may find of a service that only talks over the network, in tenths of 10.
const CONFINED_EXPOSURE: &str = "15";
/// Of one that makes roots and sandboxes: what that needs is said in the unit.
const NODE_EXPOSURE: &str = "84";
/// The services that make roots.
const NODES: [&str; 4] =
    ["anima.service", "anima-build-node.service", "anima-test-node.service", "anima-build-once@.service"];

fn deploy(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy").join(name)
}

fn units() -> Vec<(String, String)> {
    let files = fs::read_dir(deploy("systemd")).unwrap().map(|file| file.unwrap().path());
    let is_unit = |path: &PathBuf| path.extension().is_some_and(|end| end == "service" || end == "timer");
    let mut units: Vec<_> = files
        .filter(is_unit)
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read_to_string(&path).unwrap()))
        .collect();
    units.sort();
    assert!(units.len() > 8, "{units:?}");
    units
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Runs a command with `--help` at its end: an argument that the program does not have is an error before that.
fn assert_command(words: &[String], from: &str) {
    let output = Command::new(env!("CARGO_BIN_EXE_anima")).args(words).arg("--help").output().unwrap();
    assert!(output.status.success(), "{from}: anima {words:?}: {}", said(&output));
}

#[test]
fn units_are_verified_by_systemd_and_expose_no_more_than_they_have_to() {
    let folder = tempfile::tempdir().unwrap();
    let mut paths = Vec::new();
    for (name, text) in units() {
        // Where a test builds it, it is not in /usr/bin.
        let path = folder.path().join(name.replace("@.", "@1."));
        fs::write(&path, text.replace("/usr/bin/anima ", &format!("{} ", env!("CARGO_BIN_EXE_anima")))).unwrap();
        paths.push((name, path));
    }
    let analyze = |arguments: &[&str]| {
        let output = Command::new("systemd-analyze").args(arguments).env("SYSTEMD_LOG_LEVEL", "warning").output();
        output.expect("systemd-analyze is installed: scripts/install-system-packages")
    };

    for (name, path) in paths {
        let path = path.to_str().unwrap();
        let verified = analyze(&["verify", "--man=no", path]);
        assert!(verified.status.success() && said(&verified).is_empty(), "{name}: {}", said(&verified));
        if name.ends_with(".service") {
            let threshold = if NODES.contains(&name.as_str()) { NODE_EXPOSURE } else { CONFINED_EXPOSURE };
            let exposed = analyze(&["security", "--offline=true", &format!("--threshold={threshold}"), path]);
            assert!(exposed.status.success(), "{name}: {}", said(&exposed));
        }
    }
}

#[test]
fn a_service_that_is_no_node_runs_as_a_user_of_its_own_that_the_package_makes() {
    let sysusers = fs::read_to_string(deploy("systemd/anima.sysusers")).unwrap();
    let spec = fs::read_to_string(deploy("rpm/anima.spec")).unwrap();
    let made = spec.lines().find_map(|line| line.strip_prefix("for user in ")?.strip_suffix("; do")).unwrap();
    let mut users = Vec::new();
    for (name, text) in units() {
        let user = text.lines().find_map(|line| line.strip_prefix("User="));
        assert_eq!(user.is_none(), NODES.contains(&name.as_str()) || name.ends_with(".timer"), "{name}");
        let Some(user) = user else { continue };
        assert!(sysusers.lines().any(|line| line.split_whitespace().nth(1) == Some(user)), "{user}");
        assert!(made.split(' ').any(|word| word == user), "{user}");
        assert!(!users.contains(&user.to_string()), "{user} has two services");
        users.push(user.to_string());
    }
    assert_eq!(users.len(), 4);
}

#[test]
fn commands_of_units_are_commands_of_this_program() {
    let help = Command::new(env!("CARGO_BIN_EXE_anima")).arg("--help").output().unwrap();
    for (name, text) in units().into_iter().filter(|(name, _)| name.ends_with(".service")) {
        let command = text.lines().find_map(|line| line.strip_prefix("ExecStart=/usr/bin/anima ")).unwrap();
        assert_command(&command.split(' ').map(str::to_string).collect::<Vec<_>>(), &name);
        let codes = text.lines().filter_map(|line| {
            line.strip_prefix("SuccessExitStatus=").or_else(|| line.strip_prefix("RestartPreventExitStatus="))
        });
        for code in codes.flat_map(str::split_whitespace) {
            assert!(said(&help).contains(&format!("\n  {code}  ")), "{name}: exit code {code}");
        }
    }
}

#[test]
fn what_kubernetes_runs_is_a_command_of_this_program() {
    let text = fs::read_to_string(deploy("kubernetes/build-node.yaml")).unwrap();
    let documents = YamlLoader::load_from_str(&text).unwrap();
    let of_kind = |kind: &str| documents.iter().find(|document| document["kind"].as_str() == Some(kind)).unwrap();
    let job = &of_kind("ScaledJob")["spec"]["jobTargetRef"];
    let pod = &job["template"]["spec"];
    let container = &pod["containers"][0];
    let words = |list: &Yaml| -> Vec<String> {
        list.as_vec().unwrap().iter().map(|word| word.as_str().expect("a word is text").to_string()).collect()
    };

    let arguments = words(&container["args"]);

    assert_command(&arguments, "kubernetes");
    assert!(arguments.contains(&"--once".to_string()));
    assert_eq!((job["backoffLimit"].as_i64(), pod["restartPolicy"].as_str()), (Some(0), Some("Never")));
    assert_eq!(container["securityContext"]["privileged"].as_bool(), Some(true));
    // What is mounted is there, and the secret that is named.
    let volumes: Vec<_> =
        pod["volumes"].as_vec().unwrap().iter().map(|volume| volume["name"].as_str().unwrap()).collect();
    for mount in container["volumeMounts"].as_vec().unwrap() {
        assert!(volumes.contains(&mount["name"].as_str().unwrap()));
        let path = mount["mountPath"].as_str().unwrap();
        assert!(arguments.iter().any(|argument| argument.starts_with(path)), "{path} is not used");
    }
    let secret = of_kind("Secret")["metadata"]["name"].as_str();
    assert_eq!(pod["volumes"][0]["secret"]["secretName"].as_str(), secret);
}

#[test]
fn what_nomad_runs_is_a_command_of_this_program() {
    let text = fs::read_to_string(deploy("nomad/build-node.nomad.hcl")).unwrap();
    // Its language has no reader here: what is between the brackets of `args` is a list of texts.
    let list = text.split_once("args = [").unwrap().1.split_once(']').unwrap().0;
    let arguments: Vec<String> = list.split('"').skip(1).step_by(2).map(str::to_string).collect();

    assert_command(&arguments, "nomad");

    assert!(arguments.contains(&"--once".to_string()));
    for (open, close) in [('{', '}'), ('[', ']'), ('(', ')')] {
        assert_eq!(text.matches(open).count(), text.matches(close).count(), "{open}");
    }
}

#[test]
fn the_package_has_this_version_and_all_units() {
    let spec = deploy("rpm/anima.spec");
    let query = |format: &str| {
        let output =
            Command::new("rpmspec").args(["--query", "--srpm", "--queryformat", format]).arg(&spec).output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        String::from_utf8(output.stdout).unwrap()
    };

    assert_eq!(query("%{name} %{version}"), format!("anima {}", env!("CARGO_PKG_VERSION")));

    let text = fs::read_to_string(&spec).unwrap();
    let services = units().into_iter().map(|(name, _)| name);
    for name in services.filter(|name| name.ends_with(".service") && !name.contains('@')) {
        for part in ["%systemd_post ", "%systemd_preun ", "%systemd_postun "] {
            let line = text.lines().find(|line| line.starts_with(part)).unwrap();
            assert!(line.split(' ').any(|word| word == name), "{part}{name}");
        }
    }
}
