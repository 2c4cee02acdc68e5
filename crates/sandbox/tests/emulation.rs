//! Programs of another architecture: the kernel starts an emulator in their place, in one sandbox alone.
//!
//! Any file can stand for such a program, and any program for its emulator; real ones are in `cargo xtask foreign`. It
//! takes Linux 6.7, where each user namespace has its own list of emulators.

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anima_sandbox::{Emulator, Error, Exit, Sandbox, Spec};
use common::{Root, helper, run};

const NAME: &str = "anima-test-emulator";

/// A root with a program that no processor runs, and a spec whose emulator is `echo`.
fn foreign(root: &Root, script: &str) -> Spec {
    let program = root.path().join("home/program");
    fs::write(&program, "FOREIGN and more").expect("write");
    fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).expect("make it a program");
    let emulator = Emulator {
        name: NAME.to_owned(),
        interpreter: "/usr/bin/echo".into(),
        magic: b"FOREIGN".to_vec(),
        mask: vec![0xff; 7],
    };
    let mut spec = root.spec(script);
    spec.emulators.push(emulator);
    spec
}

#[test]
fn a_program_that_the_processor_does_not_know_is_given_to_the_emulator() {
    let root = Root::new();

    let (log, outcome) = run(&foreign(&root, "exec -a name ./program 1 2"));

    assert_eq!((log.as_str(), outcome.exit), ("/home/program name 1 2\n", Exit::Exited(0)));
}

#[test]
fn the_host_and_other_sandboxes_know_nothing_of_it() {
    let root = Root::new();
    let mut other = foreign(&root, "./program 2>/dev/null || echo not run");
    other.emulators.clear();
    let on_the_host = format!("/proc/sys/fs/binfmt_misc/{NAME}");

    // The one is asked while the other lives.
    let (mut reader, writer) = std::io::pipe().expect("pipe");
    let mut running = Sandbox::spawn(&foreign(&root, "./program; sleep 600"), &helper()).expect("spawn");
    let mut log = running.take_log().expect("log");
    std::thread::spawn(move || std::io::copy(&mut log, &mut { writer }));
    let mut line = [0; 20];
    std::io::Read::read_exact(&mut reader, &mut line).expect("the first has run the program");
    let (log, _) = run(&other);
    let is_on_the_host = Path::new(&on_the_host).exists();
    running.kill();

    assert_eq!(std::str::from_utf8(&line), Ok("./program ./program\n"));
    assert_eq!((log.as_str(), is_on_the_host), ("not run\n", false));
}

#[test]
fn nobody_inside_can_change_what_is_emulated() {
    let root = Root::new();
    let list = "/proc/sys/fs/binfmt_misc";
    let script = format!(
        "head -1 {list}/{NAME}; for file in register status {NAME}; do echo -1 >{list}/$file; done 2>&1 | grep -c 'Read-only'; \
         umount {list} 2>/dev/null || echo stays"
    );
    let mut as_root = foreign(&root, &script);
    as_root.identity = anima_sandbox::Identity::Root;

    let (log, _) = run(&as_root);

    assert_eq!(log, "enabled\n3\nstays\n");
}

#[test]
fn an_emulator_that_is_not_there_is_named() {
    let root = Root::new();
    let mut spec = foreign(&root, "true");
    spec.emulators[0].interpreter = "/usr/bin/qemu-vax".into();

    let error = Sandbox::spawn(&spec, &helper()).expect_err("refused");

    assert!(
        matches!(error, Error::Setup { .. }) && error.to_string().contains("open emulator /usr/bin/qemu-vax"),
        "{error}"
    );
}
