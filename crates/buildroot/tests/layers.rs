//! Layers made for real, shared, broken and swept.

mod common;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use anima_buildroot::{Call, Error, HostRpm, Layer, Layers, LockInput, Swept};
use common::{World, list};
use sha2::Digest;

const NOTHING: Swept = Swept { layer_count: 0, layer_bytes: 0, leftover_count: 0 };

fn entries(dir: &Path) -> usize {
    fs::read_dir(dir).unwrap().count()
}

fn later() -> SystemTime {
    SystemTime::now() + Duration::from_secs(24 * 60 * 60)
}

#[test]
fn a_root_has_the_packages_of_all_its_layers_and_what_is_written_goes_with_it() {
    let world = World::new();
    let layers = world.open();
    let base = layers.layer(&list(&[&world.package("base", "")]), None).unwrap();
    let top = layers.layer(&list(&[&world.package("tool", "")]), Some(&base)).unwrap();

    let root = top.mount().unwrap();
    assert_eq!(fs::read_to_string(root.path().join("usr/share/base")).unwrap(), "base\n");
    assert_eq!(fs::read_to_string(root.path().join("usr/share/tool")).unwrap(), "tool\n");
    fs::write(root.path().join("usr/share/base"), "changed").unwrap();
    fs::remove_file(root.path().join("usr/share/tool")).unwrap();
    assert_eq!(root.changed().unwrap(), [Path::new("usr/share/base"), Path::new("usr/share/tool")]);
    root.remove().unwrap();

    let root = top.mount().unwrap();
    assert_eq!(fs::read_to_string(root.path().join("usr/share/base")).unwrap(), "base\n");
    assert!(root.path().join("usr/share/tool").exists());
    assert_eq!(root.changed().unwrap(), Vec::<&Path>::new());
    assert_eq!(base.installed(), ["base-0:1-1.noarch"]);
    assert_eq!(top.installed(), ["base-0:1-1.noarch", "tool-0:1-1.noarch"]);
    drop(root);
    assert_eq!(entries(&world.layers_dir().join("work")), 0);
}

#[test]
fn the_same_list_is_installed_once_by_whoever_comes_first() {
    let world = World::new();
    let input = list(&[&world.package("base", "%post -p <lua>\nrpm.execute('/bin/true')")]);

    let dir = world.layers_dir();
    // Each keeps its handle until all are there: users do not wait for one another.
    let made: Vec<Layer> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| world.open().layer(&input, None).unwrap())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });

    assert!(made.windows(2).all(|pair| pair[0].name() == pair[1].name()));
    assert_eq!(entries(&dir.join("layers")), 1);
    // A layer that is there needs its packages no more.
    fs::remove_file(&input.packages[0].path).unwrap();
    assert!(world.open().find(&input, None).unwrap().is_some());
    assert!(world.open().layer(&input, None).is_ok());
}

#[test]
fn nothing_is_found_where_nothing_was_made() {
    let world = World::new();
    let layers = world.open();

    assert!(layers.find(&list(&[&world.package("base", "")]), None).unwrap().is_none());
    assert_eq!(layers.sweep(later(), 0).unwrap(), NOTHING);
    assert_eq!(entries(&world.layers_dir().join("locks")), 0);
}

#[test]
fn another_package_than_the_locked_one_is_refused() {
    let world = World::new();
    let mut package = world.package("base", "");
    package.sha256 = "0".repeat(64);

    let error = world.open().layer(&list(&[&package]), None).unwrap_err();

    assert!(matches!(&error, Error::Checksum { nevra, .. } if nevra == "base-0:1-1.noarch"), "{error}");
    assert_eq!(entries(&world.layers_dir().join("layers")), 0);
}

#[test]
fn a_package_whose_script_refuses_makes_no_layer_and_says_why() {
    let world = World::new();
    let package = world.package("angry", "%pre -p <lua>\nerror('not today')");

    let error = world.open().layer(&list(&[&package]), None).unwrap_err();

    assert!(error.to_string().contains("not today"), "{error}");
    assert_eq!(entries(&world.layers_dir().join("layers")), 0);
    assert_eq!(entries(&world.layers_dir().join("work")), 0);
}

#[test]
fn a_layer_without_its_marker_is_made_again() {
    let world = World::new();
    let (layers, input) = (world.open(), list(&[&world.package("base", "")]));
    let name = layers.layer(&input, None).unwrap().name().to_owned();
    let dir = world.layers_dir().join("layers").join(name);
    fs::remove_file(dir.join("layer.json")).unwrap();
    fs::remove_dir_all(dir.join("tree/usr")).unwrap();

    assert!(layers.find(&input, None).unwrap().is_none());
    let root = layers.layer(&input, None).unwrap().mount().unwrap();

    assert!(root.path().join("usr/share/base").exists());
}

#[test]
fn a_layer_that_was_changed_is_made_again_by_the_next_process() {
    let world = World::new();
    let input = list(&[&world.package("base", "")]);
    let layers = world.open();
    let name = layers.layer(&input, None).unwrap().name().to_owned();
    let file = world.layers_dir().join("layers").join(name).join("tree/usr/share/base");

    for spoil in [|file: &Path| fs::write(file, "").unwrap(), |file: &Path| fs::remove_file(file).unwrap()] {
        spoil(&file);

        let next = world.open();
        assert!(next.find(&input, None).unwrap().is_none());
        let root = next.layer(&input, None).unwrap().mount().unwrap();
        assert_eq!(fs::read_to_string(root.path().join("usr/share/base")).unwrap(), "base\n");
    }
}

#[test]
fn a_layer_that_was_changed_while_somebody_uses_it_is_an_error_and_no_endless_look() {
    let world = World::new();
    let input = list(&[&world.package("base", "")]);
    let layer = world.open().layer(&input, None).unwrap();
    fs::remove_file(world.layers_dir().join("layers").join(layer.name()).join("tree/usr/share/base")).unwrap();

    let error = world.open().layer(&input, None).unwrap_err();

    assert!(matches!(&error, Error::Damaged { name } if name == layer.name()), "{error}");
    drop(layer);
    let root = world.open().layer(&input, None).unwrap().mount().unwrap();
    assert_eq!(fs::read_to_string(root.path().join("usr/share/base")).unwrap(), "base\n");
}

#[test]
fn a_damaged_layer_that_takes_long_to_look_at_is_made_again_for_all_who_want_it_at_once() {
    let world = World::new();
    let input = list(&[&world.package("base", "")]);
    let name = world.open().layer(&input, None).unwrap().name().to_owned();
    let dir = world.layers_dir().join("layers").join(name);
    let tree = dir.join("tree");
    for number in 0..20_000 {
        fs::File::create(tree.join(number.to_string())).unwrap();
    }

    let layers = world.open();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| layers.layer(&input, None).unwrap())).collect();
        threads.into_iter().for_each(|thread| drop(thread.join().unwrap()));
    });

    assert!(!tree.join("0").exists());
    assert!(tree.join("usr/share/base").exists());
}

#[test]
fn what_one_look_at_a_layer_found_nobody_has_to_look_for_again() {
    let world = World::new();
    let input = list(&[&world.package("base", "")]);
    let user = world.open().layer(&input, None).unwrap();
    let dir = world.layers_dir().join("layers").join(user.name());
    fs::remove_file(dir.join("tree/usr/share/base")).unwrap();

    assert!(world.open().find(&input, None).unwrap().is_none());

    // Without it, it is no layer to any process.
    assert!(!dir.join("layer.json").exists());
    assert!(matches!(world.open().layer(&input, None).unwrap_err(), Error::Damaged { .. }));
}

#[test]
fn a_layer_without_a_capability_or_with_another_link_is_made_again_by_the_next_process() {
    let world = World::new();
    let (base, many) = (world.shell(), world.many_kinds("many"));
    let input = list(&[&base, &many]);
    let name = world.open().layer(&input, None).unwrap().name().to_owned();
    let folder = world.layers_dir().join("layers").join(name).join("tree/usr/share/many");
    let times = |link: &Path| rustix::fs::lstat(link).unwrap();

    rustix::fs::removexattr(folder.join("able"), "security.capability").unwrap();
    assert!(world.open().find(&input, None).unwrap().is_none());
    drop(world.open().layer(&input, None).unwrap());
    assert!(world.open().find(&input, None).unwrap().is_some());

    let link = folder.join("link");
    let before = times(&link);
    fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink("../many/FILE", &link).unwrap();
    let time = |secs, nanos| rustix::fs::Timespec { tv_sec: secs as _, tv_nsec: nanos as _ };
    let kept = rustix::fs::Timestamps {
        last_access: time(before.st_atime, before.st_atime_nsec),
        last_modification: time(before.st_mtime, before.st_mtime_nsec),
    };
    rustix::fs::utimensat(rustix::fs::CWD, &link, &kept, rustix::fs::AtFlags::SYMLINK_NOFOLLOW).unwrap();
    assert!(world.open().find(&input, None).unwrap().is_none());
}

#[test]
fn a_root_of_layers_is_what_one_installation_makes() {
    let world = World::new();
    let (base, top) = (world.many_kinds("base"), world.many_kinds("top"));
    let shell = world.shell();
    let layers = world.open();
    let below = layers.layer(&list(&[&shell, &base]), None).unwrap();
    let above = layers.layer(&list(&[&top]), Some(&below)).unwrap();
    let at_once = tempfile::tempdir().unwrap();
    let install = Call {
        arguments: ["-U", "--nosignature", "--nodigest", "--nodeps", "--ignorearch", "--ignoreos"]
            .map(str::to_owned)
            .into(),
        packages: [&shell, &base, &top].map(|it| (it.nevra.clone(), it.path.as_path())).into(),
        ..Call::default()
    };
    let mut log = Vec::new();
    layers.rpm().run(at_once.path(), &install, &mut log).unwrap();

    let root = above.mount().unwrap();

    let (layered, installed) = (inventory(root.path()), inventory(at_once.path()));
    assert!(installed.iter().any(|line| line.contains("security.capability")), "{installed:#?}");
    assert!(installed.iter().any(|line| line.contains(" 104755 1234:77 ")), "{installed:#?}");
    assert_eq!(layered, installed, "{}", String::from_utf8_lossy(&log));
    assert_eq!(database(&layers, root.path()), database(&layers, at_once.path()));
}

/// All there is to know of each file but when folders and the database changed.
fn inventory(top: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    let mut folders = vec![top.to_owned()];
    let mut first_names = std::collections::BTreeMap::new();
    while let Some(folder) = folders.pop() {
        let mut paths: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        for path in paths {
            let it = fs::symlink_metadata(&path).unwrap();
            let name = path.strip_prefix(top).unwrap().to_owned();
            let mut line = format!("{} {:o} {}:{}", name.display(), it.mode(), it.uid(), it.gid());
            if it.is_dir() {
                folders.push(path.clone());
            } else if name.starts_with("var/lib/rpm") {
                continue;
            } else {
                let first = first_names.entry(it.ino()).or_insert(name).clone();
                // What scripts write has the time of the installation, and there are two.
                let mtime = if first == Path::new("etc/scripts") { 0 } else { it.mtime() };
                line += &format!(" {} {mtime} {} {}", it.size(), it.nlink(), first.display());
            }
            if it.is_file() {
                line += &format!(" {}", hex::encode(sha2::Sha256::digest(fs::read(&path).unwrap())));
            } else if it.is_symlink() {
                line += &format!(" -> {}", fs::read_link(&path).unwrap().display());
            }
            lines.push(line + &attributes(&path));
        }
    }
    lines.sort();
    lines
}

fn attributes(path: &Path) -> String {
    let mut names = [0; 4096];
    let size = rustix::fs::llistxattr(path, &mut names[..]).unwrap();
    let mut found = String::new();
    for name in String::from_utf8_lossy(&names[..size]).split('\0').filter(|name| !name.is_empty()) {
        let mut value = [0; 4096];
        let size = rustix::fs::lgetxattr(path, name, &mut value[..]).unwrap();
        found += &format!(" {name}={}", hex::encode(&value[..size]));
    }
    found
}

/// What rpm itself tells of each package, but when it was installed and in which transaction.
fn database(layers: &Layers, root: &Path) -> String {
    let tags =
        "NAME EPOCH VERSION RELEASE ARCH SHA256HEADER SIZE GROUP SOURCERPM BUILDTIME INSTALLCOLOR INSTPREFIXES POSTIN";
    let lists = "FILENAMES FILEMODES FILESTATES FILEUSERNAME FILEDIGESTS REQUIRENEVRS PROVIDENEVRS FILECAPS";
    let mut format: String = tags.split(' ').map(|tag| format!("{tag}=%{{{tag}}}\\n")).collect();
    format += &lists.split(' ').map(|tag| format!("[{tag}=%{{{tag}}}\\n]")).collect::<String>();
    let arguments = ["-qa", "--nosignature", "--nodigest", "--qf", &format].map(str::to_owned).into();
    let mut output = Vec::new();
    let outcome = layers.rpm().run(root, &Call { arguments, ..Call::default() }, &mut output).unwrap();
    let text = String::from_utf8(output).unwrap();
    assert!(outcome.exit.is_success() && text.contains("NAME=top\n"), "{text}");
    let mut packages: Vec<&str> = text.split("NAME=").collect();
    packages.sort();
    packages.join("NAME=")
}

#[test]
fn a_layer_of_an_earlier_boot_counts_only_if_it_was_written_out() {
    let world = World::new();
    let (layers, input) = (world.open(), list(&[&world.package("base", "")]));
    let name = layers.layer(&input, None).unwrap().name().to_owned();
    let marker = world.layers_dir().join("layers").join(name).join("layer.json");
    let text = fs::read_to_string(&marker).unwrap();
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    assert!(text.contains(boot.trim()), "{text}");

    fs::write(&marker, text.replace(boot.trim(), "earlier")).unwrap();
    assert!(layers.find(&input, None).unwrap().is_none());

    fs::write(&marker, text).unwrap();
    layers.sweep(later(), u64::MAX).unwrap();
    assert!(!fs::read_to_string(&marker).unwrap().contains(boot.trim()));
    assert!(layers.find(&input, None).unwrap().is_some());
}

#[test]
fn a_sweep_removes_what_is_too_much_but_nothing_in_use() {
    let world = World::new();
    let layers = world.open();
    let (one, two) = (list(&[&world.package("one", "")]), list(&[&world.package("two", "")]));
    drop(layers.layer(&one, None).unwrap());
    let root = layers.layer(&two, None).unwrap().mount().unwrap();

    assert_eq!(layers.sweep(SystemTime::now(), 0).unwrap(), NOTHING);
    let swept = layers.sweep(later(), 0).unwrap();

    assert_eq!((swept.layer_count, swept.leftover_count), (1, 0));
    assert!(swept.layer_bytes > 0);
    assert!(layers.find(&one, None).unwrap().is_none());
    assert!(root.path().join("usr/share/two").exists());
    drop(root);
    assert_eq!(layers.sweep(later(), 0).unwrap().layer_count, 1);
    assert_eq!(entries(&world.layers_dir().join("layers")), 0);
    assert_eq!(entries(&world.layers_dir().join("locks")), 0);
}

#[test]
fn a_sweep_keeps_what_was_used_last() {
    let world = World::new();
    let layers = world.open();
    let (one, two) = (list(&[&world.package("one", "")]), list(&[&world.package("two", "")]));
    let size = |layers: &Layers, input| {
        let name = layers.layer(input, None).unwrap().name().to_owned();
        let marker = fs::read(world.layers_dir().join("layers").join(name).join("layer.json")).unwrap();
        serde_json::from_slice::<serde_json::Value>(&marker).unwrap()["size_bytes"].as_u64().unwrap()
    };
    let kept_bytes = size(&layers, &two).max(size(&layers, &one));
    let used = world.layers_dir().join("layers").join(layers.find(&one, None).unwrap().unwrap().name()).join("used");
    let an_hour_ago = SystemTime::now() - Duration::from_secs(3600);
    fs::File::options().write(true).open(used).unwrap().set_modified(an_hour_ago).unwrap();

    assert_eq!(layers.sweep(later(), kept_bytes).unwrap().layer_count, 1);

    assert!(layers.find(&one, None).unwrap().is_none());
    assert!(layers.find(&two, None).unwrap().is_some());
}

#[test]
fn what_a_killed_process_left_is_removed_by_the_next_sweep() {
    let world = World::new();
    let layers = world.open();
    let input = list(&[&world.package("base", "")]);
    let alive = layers.layer(&input, None).unwrap().mount().unwrap();
    let work = world.layers_dir().join("work");
    // A folder, its lock and its mount, which nobody holds.
    fs::create_dir_all(work.join("1-0/root/half")).unwrap();
    fs::write(work.join("1-0.lock"), "").unwrap();
    rustix::mount::mount("tmpfs", work.join("1-0/root"), "tmpfs", rustix::mount::MountFlags::empty(), None).unwrap();

    assert_eq!(layers.sweep(SystemTime::now(), u64::MAX).unwrap().leftover_count, 1);

    assert!(!work.join("1-0").exists() && !work.join("1-0.lock").exists());
    assert!(alive.path().join("usr/share/base").exists());
}

#[test]
fn a_root_takes_the_place_of_an_earlier_one_but_never_waits_for_who_is_in_it() {
    let world = World::new();
    let layers = world.open();
    let base = layers.layer(&list(&[&world.package("base", "")]), None).unwrap();
    let attempt = |text: &str| {
        let root = base.mount().unwrap();
        fs::write(root.path().join("usr/share/base"), text).unwrap();
        root
    };
    let seen = || {
        let kept = layers.enter_kept("task-7").unwrap().unwrap();
        fs::read_to_string(kept.path().join("usr/share/base")).unwrap()
    };
    attempt("first").keep("task-7", "").unwrap();

    let entered = layers.enter_kept("task-7").unwrap().unwrap();
    let refused = attempt("second").keep("task-7", "").unwrap_err();

    assert_eq!(refused.to_string(), "take the place of the earlier task-7: somebody is in it");
    assert_eq!(fs::read_dir(world.layers_dir().join("work")).unwrap().count(), 0);
    drop(entered);
    assert_eq!(seen(), "first");
    attempt("third").keep("task-7", "").unwrap();
    assert_eq!(seen(), "third");
}

#[test]
fn a_kept_root_is_entered_with_all_that_was_written_and_keeps_its_layers_from_the_sweep() {
    let world = World::new();
    let layers = world.open();
    let base = layers.layer(&list(&[&world.package("base", "")]), None).unwrap();
    let root = base.mount().unwrap();
    fs::write(root.path().join("usr/share/base"), "changed").unwrap();
    root.keep("task-7", "about it").unwrap();
    drop((base, layers));

    // Another process, when there is too much of everything.
    let layers = world.open();
    assert_eq!(layers.sweep(later(), 0).unwrap(), NOTHING);
    let kept = layers.enter_kept("task-7").unwrap().unwrap();
    assert_eq!(fs::read_to_string(kept.path().join("usr/share/base")).unwrap(), "changed");
    assert_eq!(kept.about(), "about it");
    fs::write(kept.path().join("new"), "").unwrap();

    let busy = layers.enter_kept("task-7").unwrap_err();
    assert_eq!(busy.to_string(), "enter task-7: somebody is in it");
    assert_eq!(layers.sweep_kept(later(), Duration::ZERO, 0).unwrap(), 0);
    drop(kept);
    // What is written in it stays for the next one.
    assert!(layers.enter_kept("task-7").unwrap().unwrap().path().join("new").exists());
    assert!(layers.enter_kept("task-8").unwrap().is_none());
}

#[test]
fn a_kept_root_that_somebody_was_killed_in_is_entered_and_kept_again() {
    let world = World::new();
    let layers = world.open();
    let base = layers.layer(&list(&[&world.package("base", "")]), None).unwrap();
    base.mount().unwrap().keep("task-7", "first").unwrap();
    let left = |kept: anima_buildroot::Kept| {
        // Its mount stays, and its locks go with the process.
        let path = kept.path();
        let tree = rustix::mount::OpenTreeFlags::OPEN_TREE_CLONE;
        let mounted = rustix::mount::open_tree(rustix::fs::CWD, &path, tree).unwrap();
        drop(kept);
        let moving = rustix::mount::MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
        rustix::mount::move_mount(&mounted, "", rustix::fs::CWD, &path, moving).unwrap();
        path
    };
    let mounts = |path: &Path| {
        let all = fs::read_to_string("/proc/self/mountinfo").unwrap();
        all.lines().filter(|line| line.split(' ').nth(4) == path.to_str()).count()
    };
    let path = left(layers.enter_kept("task-7").unwrap().unwrap());
    assert_eq!(mounts(&path), 1);

    let kept = layers.enter_kept("task-7").unwrap().unwrap();
    assert_eq!(mounts(&path), 1);
    left(kept);
    base.mount().unwrap().keep("task-7", "second").unwrap();

    assert_eq!((mounts(&path), layers.enter_kept("task-7").unwrap().unwrap().about()), (0, "second"));
}

#[test]
fn kept_roots_go_when_they_are_old_and_the_oldest_when_they_are_too_much() {
    let world = World::new();
    let layers = world.open();
    let base = layers.layer(&list(&[&world.package("base", "")]), None).unwrap();
    for name in ["one", "two"] {
        let root = base.mount().unwrap();
        fs::write(root.path().join("large"), vec![1; 1 << 20]).unwrap();
        root.keep(name, "").unwrap();
        let json = fs::File::open(world.layers_dir().join("kept").join(name).join("kept.json")).unwrap();
        let age = Duration::from_secs(if name == "one" { 3600 } else { 60 });
        json.set_modified(SystemTime::now() - age).unwrap();
    }
    drop(base);
    let (day, hour) = (Duration::from_secs(86_400), Duration::from_secs(3000));

    assert_eq!(layers.sweep_kept(SystemTime::now(), day, 10 << 20).unwrap(), 0);
    assert_eq!(layers.sweep_kept(SystemTime::now(), day, 3 << 19).unwrap(), 1);
    assert_eq!(layers.kept().unwrap(), ["two"]);
    assert_eq!(layers.sweep_kept(SystemTime::now(), Duration::from_secs(30), 10 << 20).unwrap(), 1);
    assert_eq!(layers.sweep_kept(SystemTime::now(), hour, 0).unwrap(), 0);
    // Nothing stands on the layer any more.
    assert_eq!(layers.sweep(later(), 0).unwrap().layer_count, 1);
}

#[test]
fn a_kept_root_that_is_too_deep_to_be_counted_is_too_much_and_the_others_stay() {
    let world = World::new();
    let layers = world.open();
    let base = layers.layer(&list(&[&world.package("base", "")]), None).unwrap();
    for name in ["one", "deep"] {
        let root = base.mount().unwrap();
        let folders = if name == "deep" { "d/".repeat(400) } else { "d".to_owned() };
        fs::create_dir_all(root.path().join(folders)).unwrap();
        root.keep(name, "").unwrap();
    }

    assert_eq!(layers.sweep_kept(SystemTime::now(), Duration::from_secs(3600), 10 << 20).unwrap(), 1);
    assert_eq!(layers.kept().unwrap(), ["one"]);
}

/// A package with the host's own rpm and the macros that it reads, which say that the list of packages is elsewhere.
fn own_rpm(world: &World) -> anima_buildroot::LayerPackage {
    world.with_programs("own-rpm", &["rpm"], &["/usr/lib/rpm"], "%_dbpath /usr/lib/sysimage/rpm\n")
}

#[test]
fn a_roots_own_rpm_installs_it_with_its_own_macros_where_that_is_wanted() {
    let world = World::new();
    let layers = world.open();
    let base = list(&[&own_rpm(&world), &world.package("base", "")]);
    let maker = layers.layer(&base, None).unwrap();
    let own = LockInput { made_by: Some(maker.name().to_owned()), ..base.clone() };

    let layer = layers.layer(&own, None).unwrap();
    let top = LockInput {
        made_by: own.made_by.clone(),
        ..list(&[&world.package("tool", "%post -p <lua>\nposix.mkdir('/made')")])
    };
    let top = layers.layer(&top, Some(&layer)).unwrap();

    let hosts = maker.mount().unwrap();
    assert!(hosts.path().join("var/lib/rpm/rpmdb.sqlite").exists() && !hosts.path().join("usr/lib/sysimage").exists());
    let root = top.mount().unwrap();
    assert!(root.path().join("usr/lib/sysimage/rpm/rpmdb.sqlite").exists(), "where its own macros say");
    assert!(!root.path().join("var/lib/rpm").exists() && root.path().join("made").is_dir());
    assert_eq!(top.installed().len(), 3);
    let lists = |rpm: &HostRpm| {
        let (call, mut said) = (Call { arguments: vec!["-qa".to_owned()], ..Call::default() }, Vec::new());
        assert!(rpm.run(root.path(), &call, &mut said).unwrap().exit.is_success());
        String::from_utf8(said).unwrap().lines().filter(|line| line.ends_with("-1-1.noarch")).count()
    };
    assert_eq!(lists(&layers.rpm_of(&maker).unwrap()), 3);
    assert_eq!(lists(layers.rpm()), 0, "the host's looks elsewhere");
}

#[test]
fn a_root_without_an_rpm_cannot_install_another() {
    let world = World::new();
    let layers = world.open();
    let base = list(&[&world.package("base", "")]);
    let maker = layers.layer(&base, None).unwrap();

    let error = layers.layer(&LockInput { made_by: Some(maker.name().to_owned()), ..base.clone() }, None).unwrap_err();
    assert!(error.to_string().contains("its packages have no /usr/bin/rpm"), "{error}");

    let error = layers.layer(&LockInput { made_by: Some("ab".repeat(32)), ..base }, None).unwrap_err();
    assert!(error.to_string().contains("is gone"), "{error}");
}
