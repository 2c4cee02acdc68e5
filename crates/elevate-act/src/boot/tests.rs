//! Trials on folders that look as a machine's `/boot` does.

use tempfile::TempDir;

use super::*;

/// What stands for the program that takes back.
const RETURNS: &str = "/usr/bin/true";

fn grub(saved: &str, extra: &str) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    let boot = root.path().join("boot");
    for folder in ["loader/entries", "grub2"] {
        fs::create_dir_all(boot.join(folder)).unwrap();
    }
    let mut block =
        format!("# GRUB Environment Block\n# WARNING\nsaved_entry={saved}\n{extra}boot_success=0\n").into_bytes();
    block.resize(1024, b'#');
    fs::write(boot.join("grub2/grubenv"), block).unwrap();
    root
}

fn kernel(root: &Path, id: &str, version: &str, options: &str) {
    let boot = root.join("boot");
    fs::write(boot.join(format!("vmlinuz-{version}")), format!("kernel {version}")).unwrap();
    fs::write(boot.join(format!("initramfs-{version}.img")), format!("initramfs {version}")).unwrap();
    let text = format!(
        "title Seed {version}\nversion {version}\nlinux /vmlinuz-{version}\ninitrd /initramfs-{version}.img\noptions {options}\n"
    );
    fs::write(boot.join(ENTRIES).join(format!("{id}.conf")), text).unwrap();
}

fn plan(root: &Path, changes: &[Change], text_of: &dyn Fn(&Change) -> Option<String>) -> Trial {
    let loader = Loader::find(root).unwrap();
    Trial::plan(root, loader, None, changes, text_of, &[RETURNS.to_owned()]).unwrap()
}

fn entry(root: &Path, id: &str) -> BootEntry {
    BootEntry::parse(id, &fs::read_to_string(root.join("boot").join(ENTRIES).join(format!("{id}.conf"))).unwrap())
}

fn block(root: &Path) -> GrubEnv {
    read_block(&root.join("boot/grub2/grubenv")).unwrap()
}

#[test]
fn of_two_kernels_the_one_that_starts_now_is_kept_and_the_newest_that_comes_is_tried() {
    let root = grub("m-5.9", "kernelopts=root=/dev/a ro\n");
    kernel(root.path(), "m-5.9", "5.9", "$kernelopts $tuned_params quiet");
    kernel(root.path(), "m-5.14", "5.14", "root=/dev/a");
    kernel(root.path(), "m-0-rescue", "9.9-rescue", "root=/dev/a");
    let comes = |version: &str| Change {
        path: format!("boot/{ENTRIES}/m-{version}.conf").into(),
        before: None,
        after: crate::Entry::read(root.path()).unwrap(),
        link_of: None,
    };
    let changes = ["6.9", "6.12", "6.2"].map(comes);
    let text_of = |change: &Change| {
        let version = change.path.file_stem()?.to_str()?.strip_prefix("m-")?.to_owned();
        Some(format!(
            "title New\nversion {version}\nlinux /vmlinuz-{version}\ninitrd /i-{version}\noptions root=/dev/a\n"
        ))
    };

    let trial = plan(root.path(), &changes, &text_of);
    trial.prepare(root.path(), &mut ()).unwrap();
    trial.guard(root.path(), &mut ()).unwrap();
    trial.arm(root.path(), &mut ()).unwrap();

    let (old, new) = (entry(root.path(), OLD), entry(root.path(), NEW));
    assert_eq!(old.get("linux"), Some("/anima-elevate/vmlinuz-5.9"));
    assert_eq!(old.get("options"), Some("root=/dev/a ro quiet anima.elevate=return"));
    assert_eq!(fs::read_to_string(root.path().join("boot/anima-elevate/vmlinuz-5.9")).unwrap(), "kernel 5.9");
    assert_eq!(old.all("initrd").count(), 2);
    assert_eq!(new.get("linux"), Some("/vmlinuz-6.12"));
    assert_eq!(new.get("options"), Some("root=/dev/a panic=30 anima.elevate=trying"));
    assert_eq!((block(root.path()).get("saved_entry"), block(root.path()).get("next_entry")), (Some(OLD), Some(NEW)));
    trial.confirm(root.path(), None, &mut ()).unwrap();
    assert_eq!((block(root.path()).get("saved_entry"), block(root.path()).get("next_entry")), (Some("m-6.12"), None));
}

#[test]
fn a_trial_that_is_disarmed_leaves_every_byte_as_it_was_however_often_each_step_was_done() {
    let root = grub("m-5.9", "");
    kernel(root.path(), "m-5.9", "5.9", "root=/dev/a");
    let read = || {
        let mut files = std::collections::BTreeMap::new();
        for folder in ["boot", "boot/grub2", "boot/loader/entries"] {
            for file in fs::read_dir(root.path().join(folder)).unwrap() {
                let path = file.unwrap().path();
                files.insert(path.clone(), fs::read(&path).ok());
            }
        }
        files
    };
    let before = read();

    let trial = plan(root.path(), &[], &|_| None);
    for _ in 0..2 {
        trial.prepare(root.path(), &mut ()).unwrap();
        trial.guard(root.path(), &mut ()).unwrap();
        trial.arm(root.path(), &mut ()).unwrap();
    }
    assert_ne!(read(), before);
    for _ in 0..2 {
        trial.disarm(root.path(), &mut ()).unwrap();
    }

    assert_eq!(read(), before);
    // Nothing was prepared: there is nothing to guard with.
    trial.guard(root.path(), &mut ()).unwrap();
    assert_eq!(read(), before);
}

#[test]
fn an_upgrade_that_takes_the_kernel_away_and_brings_no_entry_is_not_tried() {
    let root = grub("m-5.9", "");
    kernel(root.path(), "m-5.9", "5.9", "root=/dev/a");
    for gone in ["boot/vmlinuz-5.9", "boot/loader/entries/m-5.9.conf"] {
        let before = crate::Entry::read(&root.path().join(gone)).unwrap();
        let goes = Change { path: gone.into(), before, after: None, link_of: None };
        let loader = Loader::find(root.path()).unwrap();

        let error = Trial::plan(root.path(), loader, None, &[goes], &|_| None, &[RETURNS.to_owned()]).unwrap_err();

        assert!(error.to_string().contains(gone) && error.to_string().contains("--no-trial"), "{error}");
    }
}

#[test]
fn a_machine_that_has_its_boot_folder_in_the_root_names_kernels_from_there() {
    let root = grub("m-1", "");
    kernel(root.path(), "m-1", "1", "root=/dev/a");
    let path = root.path().join("boot").join(ENTRIES).join("m-1.conf");
    let text =
        fs::read_to_string(&path).unwrap().replace(" /vmlinuz", " /boot/vmlinuz").replace(" /init", " /boot/init");
    fs::write(&path, text).unwrap();

    plan(root.path(), &[], &|_| None).prepare(root.path(), &mut ()).unwrap();

    let old = entry(root.path(), OLD);
    assert_eq!(old.get("linux"), Some("/boot/anima-elevate/vmlinuz-1"));
    assert!(root.path().join("boot/anima-elevate/vmlinuz-1").exists());
}

#[test]
fn systemd_boot_counts_the_tries_itself() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir_all(root.path().join("boot").join(ENTRIES)).unwrap();
    let conf = root.path().join("boot/loader/loader.conf");
    fs::write(&conf, "timeout 3\ndefault m-1.conf\n").unwrap();
    kernel(root.path(), "m-1", "1", "root=/dev/a");
    let trial = plan(root.path(), &[], &|_| None);
    let names = || {
        let folder = fs::read_dir(root.path().join("boot").join(ENTRIES)).unwrap();
        let mut names: Vec<String> = folder.map(|it| it.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    };

    trial.prepare(root.path(), &mut ()).unwrap();
    trial.guard(root.path(), &mut ()).unwrap();
    assert_eq!(fs::read_to_string(&conf).unwrap(), "timeout 3\ndefault anima-elevate-old.conf\n");
    trial.arm(root.path(), &mut ()).unwrap();

    // Nothing is the default, so the first that has tries left starts: the new one, and then the old one.
    assert_eq!(fs::read_to_string(&conf).unwrap(), "timeout 3\n");
    assert_eq!(names(), ["anima-elevate-new+1.conf", "anima-elevate-old.conf", "m-1.conf"]);
    let sorted = (entry(root.path(), NEW_COUNTED), entry(root.path(), OLD));
    assert!(sorted.0.get("sort-key") < sorted.1.get("sort-key"));
    // The try is used up.
    let entries = root.path().join("boot").join(ENTRIES);
    fs::rename(entries.join("anima-elevate-new+1.conf"), entries.join("anima-elevate-new+0-1.conf")).unwrap();
    trial.disarm(root.path(), &mut ()).unwrap();
    assert_eq!(names(), ["m-1.conf"]);
    assert_eq!(fs::read_to_string(&conf).unwrap(), "timeout 3\ndefault m-1.conf\n");
}

#[test]
fn a_root_without_entries_has_no_boot_loader_that_is_known() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir_all(root.path().join("boot/grub2")).unwrap();
    fs::write(root.path().join("boot/grub2/grubenv"), "").unwrap();

    assert_eq!(Loader::find(root.path()), None);
}
