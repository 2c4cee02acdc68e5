//! What the scripts of a package can reach while it is installed.

mod common;

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;

use std::time::Duration;

use anima_buildroot::{Most, Terms};
use common::{World, list};

#[test]
fn a_script_runs_in_the_root_with_its_devices() {
    let world = World::new();
    let script = "%post -p /bin/sh\necho said\ncat /usr/share/told >/told\necho gone >/dev/null\n";

    let layer = world.open().layer(&list(&[&world.shell(), &world.package("told", script)]), None).unwrap();

    let root = layer.mount().unwrap();
    assert_eq!(fs::read_to_string(root.path().join("told")).unwrap(), "told\n");
    assert!(layer.install_log().unwrap().contains("said"));
    assert!(!root.path().join("dev/null").exists());
    assert_eq!(fs::metadata(root.path().join("usr/share/told")).unwrap().uid(), 0);
}

#[test]
fn a_script_that_leaves_the_root_finds_neither_the_hosts_files_nor_a_network() {
    let world = World::new();
    let secret = tempfile::NamedTempFile::new().unwrap();
    fs::write(secret.path(), "secret").unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    // Lua runs in rpm itself, which can enter a folder of its own choice again: the classic way out of a chroot.
    let script = format!(
        "%post -p <lua>\n\
         posix.mkdir('/cage')\n\
         rpm.execute('/bin/sh', '-c', 'echo in')\n\
         function tell(name, ok) local f = io.open('/report', 'a'); f:write(name, ' ', tostring(ok), '\\n'); f:close() end\n\
         tell('inside', io.open('/usr/share/evil', 'r') ~= nil)\n\
         tell('secret', io.open('{secret}', 'r') ~= nil)\n\
         tell('shadow', io.open('/etc/shadow', 'r') ~= nil)\n\
         tell('climb', io.open('/../../../../../../etc/shadow', 'r') ~= nil)\n\
         tell('proc', io.open('/proc/1/root/etc/shadow', 'r') ~= nil)\n\
         tell('sysrq', io.open('/proc/sysrq-trigger', 'w') ~= nil)\n\
         tell('disk', io.open('/dev/mem', 'r') ~= nil or io.open('/dev/sda', 'r') ~= nil or io.open('/dev/vda', 'r') ~= nil)\n\
         local routes = 0\n\
         for line in io.lines('/proc/net/tcp') do routes = routes + 1 end\n\
         tell('sockets', routes > 1)\n",
        secret = secret.path().display(),
    );

    let layer = world.open().layer(&list(&[&world.shell(), &world.package("evil", &script)]), None).unwrap();

    let root = layer.mount().unwrap();
    let report = fs::read_to_string(root.path().join("report")).unwrap();
    let expected =
        "inside true\nsecret false\nshadow false\nclimb false\nproc false\nsysrq false\ndisk false\nsockets false\n";
    assert_eq!(report, expected, "{}", layer.install_log().unwrap());
    // The listener of the host's network is seen outside, by the way that saw none inside.
    let sockets = fs::read_to_string("/proc/net/tcp").unwrap();
    assert!(sockets.contains(&format!(":{port:04X} ")), "{sockets}");
}

#[test]
fn a_script_that_fills_the_disk_is_ended_and_nothing_of_it_stays() {
    let world = World::new();
    let layers = world.open().with_most_bytes(48 << 20);
    let script = "%post -p /bin/sh\nwhile :; do cat /bin/sh /bin/cat; done >/filler\n";

    let error = layers.layer(&list(&[&world.shell(), &world.package("filler", script)]), None).unwrap_err();

    assert!(error.to_string().contains("rpm and its scripts wrote too much"), "{error}");
    let left = fs::read_dir(world.layers_dir().join("work")).unwrap().count();
    assert_eq!((left, fs::read_dir(world.layers_dir().join("layers")).unwrap().count()), (0, 0));
}

/// A script that attacks while it is installed is ended by its limit, and nothing of it stays.
fn is_ended(name: &str, script: &str, most: Most, told: &str) {
    let world = World::new();
    let attacked = list(&[&world.shell(), &world.package(name, &format!("%post -p /bin/sh\n{script}\n"))]);
    let terms = Terms { most, ..Terms::default() };

    let error = world.open().layer_on(&attacked, None, &terms).unwrap_err();

    assert!(error.to_string().contains(told) && error.limit().is_some(), "{error}");
    let left = fs::read_dir(world.layers_dir().join("work")).unwrap().count();
    assert_eq!((left, fs::read_dir(world.layers_dir().join("layers")).unwrap().count()), (0, 0));
}

#[test]
fn a_fork_bomb_in_a_script_is_ended() {
    let most = Most { processes: Some(60), ..Most::default() };

    is_ended("bomb", "bomb() { bomb | bomb & }; while :; do bomb; done", most, "started too many processes");
}

#[test]
fn a_script_that_wants_more_memory_than_there_is_for_it_is_ended() {
    let most = Most { memory_bytes: Some(96 << 20), ..Most::default() };

    is_ended("hog", "x=0123456789abcdef; while :; do x=$x$x; done", most, "took too much memory");
}

#[test]
fn a_script_that_never_ends_is_ended() {
    let most = Most { wall: Some(Duration::from_secs(2)), ..Most::default() };

    is_ended("endless", "trap '' TERM INT HUP; while :; do :; done", most, "took too long");
}

#[test]
fn even_outside_of_its_root_rpm_sees_no_more_than_programs() {
    let world = World::new();
    let layers = world.open();
    let layer = layers.layer(&list(&[&world.package("base", "")]), None).unwrap();
    let root = layer.mount().unwrap();
    // A macro is expanded by rpm before it enters the root: this is the place that an escape leads to.
    let look = "%(ls -A / | tr '\\n' ' '; for d in etc home root var tmp; do ls -A /$d | tr '\\n' ' '; done; touch /usr/x /x 2>&1 | grep -c Read-only)";
    let call = anima_buildroot::Call { arguments: vec!["--eval".into(), look.into()], ..Default::default() };

    let mut seen = Vec::new();
    layers.rpm().run(root.path(), &call, &mut seen).unwrap();

    let seen = String::from_utf8(seen).unwrap();
    let mut words: Vec<&str> = seen.split_whitespace().filter(|word| !word.starts_with("ls:")).collect();
    words.sort();
    assert!(seen.trim_end().ends_with('2'), "{seen}");
    for forbidden in ["shadow", "home", "root", "var", ".ssh"] {
        assert!(!words.contains(&forbidden), "{forbidden}: {seen}");
    }
}
