//! Whole machines: an upgrade is tried once by the boot loader's entries, kept or taken back, and its power is cut, with each
//! backend. It takes minutes, and fetches Debian's kernel; so it is done only where `ANIMA_TEST_MACHINES` is set:
//!
//! ```text
//! apt-get install qemu-system-x86 && ANIMA_TEST_MACHINES=1 cargo test -p anima-elevate-act --test machines -- --nocapture --test-threads 1
//! ```
//!
//! Each machine has a /boot of its own and an EFI partition (vfat), and a kernel's package with files on both. The boot loader is an initramfs of ours (`tests/vm/initrd-init`) that reads and writes GRUB's environment
//! block with GRUB's own `grub-editenv`, and starts the entry that GRUB would; the kernel is always the same one.

#![cfg(target_arch = "x86_64")]

mod common;

use common::vm::{Kind, Vm};

/// Before which step the power is cut, in hundredths of all. Each phase of acting in place has one.
const CUTS: [u64; 6] = [5, 30, 55, 75, 90, 100];

fn is_wanted() -> bool {
    let is_wanted = std::env::var_os("ANIMA_TEST_MACHINES").is_some();
    if !is_wanted {
        eprintln!("not done: ANIMA_TEST_MACHINES is not set");
    }
    is_wanted
}

/// The lines of a console that tell what happened.
fn story(console: &str) -> String {
    let told = ["LOADER", "MACHINE", "TODO", "DIGEST", "STATUS", "could not", "taken back", "panic"];
    console
        .lines()
        .filter(|line| told.iter().any(|word| line.contains(word)))
        .map(|line| line.to_owned() + "\n")
        .collect()
}

fn value<'a>(console: &'a str, key: &str) -> &'a str {
    let line = console.lines().rev().find_map(|line| line.strip_prefix(key));
    line.unwrap_or_else(|| panic!("the console has no {key}:\n{console}")).trim()
}

/// One number for the root, and one for what is in /boot and on the EFI partition but for what boot loaders read.
const DIGEST: &str =
    "boot() { cd /boot; find . -type f ! -path '*/.anima-elevate/*' ! -path './loader/*' ! -path './grub2/*' \
    ! -path './anima-elevate/*' ! -path './lost+found/*' | sort | xargs sha256sum | sha256sum | cut -d ' ' -f 1; }
echo DIGEST $(anima digest / state) $(boot)
";
const STATUS: &str = "echo STATUS $(anima status)\n";

/// Starts it, prints what happened, and returns the console.
fn start(vm: &Vm, todo: &str) -> String {
    let console = vm.start(todo);
    println!("{}", story(&console));
    console
}

fn act(kind: Kind) -> String {
    format!("anima act {} try", kind.backend())
}

/// Rehearses, and returns the digest of the old system.
fn rehearse(vm: &Vm) -> String {
    let console = start(vm, &format!("{DIGEST}anima rehearse /state/list"));
    assert!(console.contains("MACHINE is seed 1") && console.contains("TODO ended with 0"), "{console}");
    value(&console, "DIGEST").to_owned()
}

fn is_kept_when_it_is_well(kind: Kind) {
    let vm = Vm::new(kind);
    let old = rehearse(&vm);

    let console = start(&vm, &format!("{} && {STATUS}", act(kind)));
    assert!(console.contains("Some(Trying)"), "{console}");
    let console = start(&vm, &format!("{DIGEST}anima confirm && {STATUS}"));
    assert!(console.contains("LOADER starts anima-elevate-new") && console.contains("MACHINE is seed 2"), "{console}");
    assert!(console.contains("Some(Done)"), "{console}");
    let new = value(&console, "DIGEST").to_owned();
    assert_ne!(new, old);

    // It stays when nobody says anything.
    let console = start(&vm, DIGEST);
    assert!(console.contains("MACHINE is seed 2"), "{console}");
    assert_eq!(value(&console, "DIGEST"), new);
    // And goes back for ever, when it is told so.
    start(&vm, &format!("anima rollback && {STATUS}"));
    for _ in 0..2 {
        let console = start(&vm, DIGEST);
        assert!(console.contains("MACHINE is seed 1") && console.contains("LOADER starts seed-1"), "{console}");
        assert_eq!(value(&console, "DIGEST"), old);
    }
}

fn comes_back_when_it_is_not_well(kind: Kind) {
    let vm = Vm::new(kind);
    let old = rehearse(&vm);
    let console = start(&vm, &act(kind));
    assert!(console.contains("TODO ended with 0"), "{console}");

    // It starts, and never says that it is well: the power is cut.
    let mut running = vm.boot("sleep 600");
    running.wait_for("TODO begins");
    let console = running.cut();
    println!("{}", story(&console));
    assert!(console.contains("LOADER starts anima-elevate-new") && console.contains("MACHINE is seed 2"), "{console}");

    let console = start(&vm, &format!("{DIGEST}{STATUS}"));
    assert!(
        console.contains("LOADER starts anima-elevate-old") && console.contains("the upgrade is taken back"),
        "{console}"
    );
    assert!(console.contains("MACHINE is seed 1") && console.contains("Some(Restored)"), "{console}");
    assert_eq!(value(&console, "DIGEST"), old);
    let console = start(&vm, DIGEST);
    assert!(console.contains("LOADER starts seed-1"), "{console}");
    assert_eq!(value(&console, "DIGEST"), old);
}

/// Cuts the power while it acts: what starts then is the old or the new system, whole.
fn survives_cuts_of_the_power(kind: Kind) {
    let vm = Vm::new(kind);
    let old = rehearse(&vm);
    let console = start(&vm, &format!("echo STEPS $({})", act(kind)));
    let step_count: u64 = value(&console, "STEPS").parse().unwrap();
    let new = value(&start(&vm, DIGEST), "DIGEST").to_owned();
    // Nobody said that it is well.
    assert_eq!(value(&start(&vm, DIGEST), "DIGEST"), old);

    for part in CUTS {
        let step = step_count * part / 100;
        let mut running = vm.boot(&format!("export ANIMA_TEST_HALT=1; HALT_AT={step}; {}", act(kind)));
        running.wait_for("HALT before step");
        println!("CUT before step {step} of {step_count}\n{}", story(&running.cut()));

        let console = start(&vm, &format!("{DIGEST}{STATUS}"));
        let expected = if console.contains("MACHINE is seed 1") { &old } else { &new };
        assert_eq!(value(&console, "DIGEST"), expected, "cut before step {step}: {console}");
        // Whatever it is, it can be ended; a new system of a clone is left by starting the old one.
        start(&vm, "anima rollback");
        assert_eq!(value(&start(&vm, DIGEST), "DIGEST"), old, "taken back after a cut before step {step}");
    }
}

#[test]
fn in_place_a_new_system_that_is_well_is_kept_and_can_be_taken_back() {
    if is_wanted() {
        is_kept_when_it_is_well(Kind::Ext4);
    }
}

#[test]
fn on_xfs_a_new_system_that_is_well_is_kept_and_can_be_taken_back() {
    if is_wanted() {
        is_kept_when_it_is_well(Kind::Xfs);
    }
}

#[test]
fn by_btrfs_a_new_system_that_is_well_is_kept_and_can_be_taken_back() {
    if is_wanted() {
        is_kept_when_it_is_well(Kind::Btrfs);
    }
}

#[test]
fn by_lvm_a_new_system_that_is_well_is_kept_and_can_be_taken_back() {
    if is_wanted() {
        is_kept_when_it_is_well(Kind::Lvm);
    }
}

#[test]
fn in_place_a_new_system_that_is_not_well_goes_back_in_the_initramfs() {
    if is_wanted() {
        comes_back_when_it_is_not_well(Kind::Ext4);
    }
}

#[test]
fn on_xfs_a_new_system_that_is_not_well_goes_back_in_the_initramfs() {
    if is_wanted() {
        comes_back_when_it_is_not_well(Kind::Xfs);
    }
}

#[test]
fn by_btrfs_a_new_system_that_is_not_well_is_not_started_again() {
    if is_wanted() {
        comes_back_when_it_is_not_well(Kind::Btrfs);
    }
}

#[test]
fn by_lvm_a_new_system_that_is_not_well_is_not_started_again() {
    if is_wanted() {
        comes_back_when_it_is_not_well(Kind::Lvm);
    }
}

#[test]
fn in_place_a_cut_of_the_power_leaves_one_whole_system() {
    if is_wanted() {
        survives_cuts_of_the_power(Kind::Ext4);
    }
}

#[test]
fn on_xfs_a_cut_of_the_power_leaves_one_whole_system() {
    if is_wanted() {
        survives_cuts_of_the_power(Kind::Xfs);
    }
}

#[test]
fn by_btrfs_a_cut_of_the_power_leaves_one_whole_system() {
    if is_wanted() {
        survives_cuts_of_the_power(Kind::Btrfs);
    }
}

#[test]
fn by_lvm_a_cut_of_the_power_leaves_one_whole_system() {
    if is_wanted() {
        survives_cuts_of_the_power(Kind::Lvm);
    }
}
