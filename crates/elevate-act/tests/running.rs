//! A machine upgrades itself: its own `/` is the root, its state folder is in it, and other programs go on writing.

mod common;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use common::{World, helper, list, machines, manifest, tools};

/// Runs a shell's text in namespaces of its own, where the machine's root is `/`.
fn inside(world: &World, text: &str) -> Output {
    let root = world.path("root");
    let script = format!(
        "mount -t proc proc $ROOT/proc; mount -t sysfs sysfs $ROOT/sys; mount --rbind /dev $ROOT/dev
         mount -t tmpfs run $ROOT/run; mkdir $ROOT/run/machines; mount --bind $MACHINES $ROOT/run/machines
         cp $LIST $ROOT/run/list
         anima() {{ verb=$1; shift; chroot $ROOT /usr/bin/{} $verb / /var/lib/anima-elevate 0 \"$@\"; }}
         {text}",
        helper().file_name().unwrap().to_string_lossy()
    );
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "--fork", "--pid", "--propagation", "private", "sh", "-ec", &script]);
    unshare.env("ROOT", &root).env("MACHINES", machines()).env("LIST", world.path("list"));
    unshare.output().unwrap()
}

fn said(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    text
}

fn world() -> World {
    let world = World::in_memory_on(|root, mounts| mounts.add(&["-t", "tmpfs", "-o", "size=1g", "tmpfs"], root));
    let mut programs = tools::PROGRAMS.to_vec();
    programs.push(helper().to_str().unwrap());
    tools::install(&world.path("root"), &programs);
    fs::create_dir_all(world.path("root/var/log")).unwrap();
    fs::write(world.path("list"), list("2", Path::new("/run/machines"))).unwrap();
    world
}

#[test]
fn a_machine_rehearses_and_upgrades_itself_and_goes_back_while_other_programs_write() {
    let world = world();
    let root = world.path("root");
    let is_lively = |path: &Path| path.starts_with("var/log") || path.starts_with("var/lib/anima-elevate");
    let read = || {
        let mut manifest = manifest(&root);
        manifest.entries.retain(|path, _| !is_lively(path) && path != Path::new("var/lib"));
        manifest
    };
    let old = read();

    let rehearsed =
        said(&inside(&world, "(while :; do date >> $ROOT/var/log/busy; sleep 0.01; done) & anima rehearse /run/list"));

    assert!(rehearsed.contains("\"var/log/busy\""), "{rehearsed}");
    assert_eq!(old.differences(&read()), Vec::<PathBuf>::new(), "{rehearsed}");
    said(&inside(&world, "anima act layer"));
    assert!(fs::read_to_string(root.join("etc/os-release")).unwrap().contains("VERSION_ID=2"));
    let status = said(&inside(&world, "anima status"));
    assert!(status.contains("Some(Done)"), "{status}");
    said(&inside(&world, "anima rollback"));
    assert_eq!(old.differences(&read()), Vec::<PathBuf>::new());
    said(&inside(&world, "anima finish"));
    assert!(!root.join("var/lib/anima-elevate/layer.img").exists());
}

#[test]
fn a_program_that_writes_what_nobody_but_an_upgrade_writes_stops_the_rehearsal() {
    let world = world();

    let output =
        inside(&world, "(while :; do date > $ROOT/usr/share/busy; sleep 0.01; done) & anima rehearse /run/list");

    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && text.contains("usr/share"), "{text}");
}

#[test]
fn an_ordinary_user_is_told_to_be_root_and_changes_nothing() {
    let world = world();
    let root = world.path("root");
    let old = manifest(&root);

    let name = helper().file_name().unwrap().to_string_lossy();
    let user = format!("chroot --userspec 1000:1000 $ROOT /usr/bin/{name} rehearse / /run/state 0 /run/list");
    let output = inside(&world, &format!("mkdir -m 777 $ROOT/run/state; {user}"));

    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        !output.status.success() && text.contains("run it as root") && text.contains("nothing was changed"),
        "{text}"
    );
    assert_eq!(old.differences(&manifest(&root)), Vec::<PathBuf>::new());
}
