//! `cargo xtask unified`: the sandbox's tests and `anima doctor` on a machine that has the unified hierarchy of control groups and
//! no other, as Enterprise Linux has since 9. It is a virtual one, of Seed Linux with Debian's kernel, and started without KVM.
//!
//! The tests run in a group that is theirs, as a service manager gives one with `Delegate=yes`.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::tidy;

/// The kernel has every module that is needed, and no firmware.
const KERNEL: &str = "linux-image-cloud-amd64";
const BUSYBOX: &str = "busybox-static";
/// Modules in no order; what each needs is read from it.
const MODULES: [&str; 4] = ["virtio_pci", "virtio_blk", "ext4", "crc32c_generic"];
/// What the tests' scripts call.
const PACKAGES: &str = r#""bash", "coreutils", "findutils", "gawk", "grep", "hostname", "perl", "procps-ng", "python3", "rpm", "sed", "seed-release", "util-linux", "which""#;
/// The sandbox's tests but those of emulation, which want Linux 6.7.
const TESTS: [&str; 2] = ["isolation", "limits"];
/// Without KVM, on a busy machine.
const LIMIT: Duration = Duration::from_secs(30 * 60);
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// The programs and what they run.
const DISK_BYTES: u64 = 2 * 1024 * 1024 * 1024;

pub fn run() -> Result<()> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| tidy::root().join("target"), PathBuf::from);
    let programs = programs()?;
    let parts = fetch(&target.join("unified"))?;
    let folder = tempfile::tempdir()?;
    let root = folder.path().join("root");
    make_root(&root, &programs, &parts.join("bin/busybox"))?;
    let image = folder.path().join("root.img");
    fs::File::create(&image)?.set_len(DISK_BYTES)?;
    must(Command::new("mkfs.ext4").args(["-q", "-F", "-d"]).arg(&root).arg(&image))?;
    let initrd = make_initrd(&folder.path().join("initrd"), &parts)?;
    let console = folder.path().join("console");
    let said = boot(&parts.join("vmlinuz"), &initrd, &image, &console)?;
    println!("{said}");
    for name in TESTS {
        ensure!(said.contains(&format!("ENDED {name} with 0\n")), "the tests {name} failed there");
    }
    for limit in ["memory limit", "process limit", "core limit"] {
        let line = said.lines().find(|line| line.contains(limit)).with_context(|| format!("no {limit} is told"))?;
        ensure!(line.contains("cgroup version 2"), "{line}");
    }
    println!("on a machine with the unified hierarchy alone: {} hold", TESTS.join(" and "));
    Ok(())
}

/// What runs there: each program by its name, where it was built.
struct Programs {
    tests: Vec<(String, PathBuf)>,
    helper: PathBuf,
    anima: PathBuf,
}

fn programs() -> Result<Programs> {
    let mut arguments =
        vec!["test", "--workspace", "--locked", "--no-run", "--message-format", "json", "--bin", "anima"];
    arguments.extend(["--bin", "anima-sandbox-init"]);
    TESTS.iter().for_each(|name| arguments.extend(["--test", name]));
    let output = Command::new("cargo").args(&arguments).current_dir(tidy::root()).stderr(Stdio::inherit()).output()?;
    ensure!(output.status.success(), "the tests could not be built");
    let mut tests = Vec::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let message: Value = serde_json::from_str(line)?;
        let (name, file) = (message["target"]["name"].as_str(), message["executable"].as_str());
        let (Some(name), Some(file)) = (name, file) else { continue };
        if TESTS.contains(&name) && message["target"]["kind"][0] == "test" {
            tests.push((name.to_owned(), PathBuf::from(file)));
        }
    }
    ensure!(tests.len() == TESTS.len(), "cargo named other tests than {}", TESTS.join(", "));
    let mut build = Command::new("cargo");
    build.args(["build", "--workspace", "--locked", "--bin", "anima", "--bin", "anima-sandbox-init"]);
    ensure!(build.current_dir(tidy::root()).status()?.success(), "the program could not be built");
    let debug = tests[0].1.parent().and_then(Path::parent).context("a test lies in a folder of cargo's")?.to_owned();
    Ok(Programs { tests, helper: debug.join("anima-sandbox-init"), anima: debug.join("anima") })
}

/// Seed Linux with the programs where they were built, and an init that runs them.
fn make_root(root: &Path, programs: &Programs, busybox: &Path) -> Result<()> {
    let seed = anima_testkit::seed()?;
    let folder = tempfile::tempdir()?;
    let platform = folder.path().join("unified.toml");
    let text = format!(
        "name = \"unified\"\ntitle = \"U\"\ndist = \".u\"\nbranch = \"u\"\narchitectures = [\"x86_64\"]\n[buildroot]\n\
         packages = [{PACKAGES}]\ntest_packages = []\n[[repositories]]\nname = \"seed\"\nurl = \"file://{}/seed-1/{{arch}}/\"\n",
        seed.canonicalize()?.display()
    );
    fs::write(&platform, text)?;
    let mut create = Command::new(&programs.anima);
    create.arg("--data").arg(folder.path().join("data")).args(["buildroot", "create"]).arg(root);
    must(create.arg("--platform").arg(&platform))?;
    let tests = programs.tests.iter().map(|(_, path)| path);
    for path in tests.chain([&programs.helper, &programs.anima]) {
        let to = root.join(path.strip_prefix("/")?);
        fs::create_dir_all(to.parent().context("it is in a folder")?)?;
        // Debug information is most of them.
        must(Command::new("strip").arg("-o").arg(&to).arg(path))?;
        bring_libraries(root, path)?;
    }
    // Of this machine: what Seed Linux does not have, or has in packages that need a distribution around them.
    for name in ["setcap", "getcap"] {
        let path = output(Command::new("sh").args(["-ec", "command -v \"$0\"", name]))?;
        fs::copy(path.trim(), root.join("usr/bin").join(name))?;
        bring_libraries(root, Path::new(path.trim()))?;
    }
    // Seed Linux has no program that mounts.
    fs::copy(busybox, root.join("usr/bin/busybox"))?;
    for name in ["mount", "umount"] {
        std::os::unix::fs::symlink("busybox", root.join("usr/bin").join(name))?;
    }
    fs::create_dir_all(root.join("sys"))?;
    fs::write(root.join("init"), init(programs))?;
    must(Command::new("chmod").arg("755").arg(root.join("init")))
}

/// The program was linked with this machine's libraries; those that Seed Linux does not have in its root come along.
fn bring_libraries(root: &Path, program: &Path) -> Result<()> {
    let listed = output(Command::new("ldd").arg(program))?;
    let paths = listed.lines().filter_map(|line| line.split_once(" => ")?.1.split(' ').next());
    for path in paths.filter(|path| path.starts_with('/')) {
        let name = Path::new(path).file_name().context("a library is a file")?;
        let is_there = ["usr/lib64", "usr/lib", "lib64", "lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu"]
            .iter()
            .any(|folder| root.join(folder).join(name).exists());
        if !is_there {
            fs::copy(path, root.join("usr/lib64").join(name))?;
        }
    }
    Ok(())
}

fn init(programs: &Programs) -> String {
    let mut script = String::from(
        "#!/usr/bin/bash\nexport PATH=/usr/bin:/usr/sbin HOME=/root\n\
         mount -t proc proc /proc\nmount -t sysfs sys /sys\nmount -t tmpfs tmp /tmp\nmount -t tmpfs run /run\n\
         mount -t cgroup2 cgroup /sys/fs/cgroup\nmkdir -p /dev/pts\nmount -t devpts pts /dev/pts\n\
         echo '+cpu +memory +pids' > /sys/fs/cgroup/cgroup.subtree_control\n\
         group=/sys/fs/cgroup/anima.service\nmkdir $group\n\
         python3 -c \"import os; os.setxattr('$group', 'trusted.delegate', b'1')\"\n\
         echo $$ > $group/cgroup.procs\nuname -r\ncat /proc/self/cgroup\n",
    );
    for (name, path) in &programs.tests {
        script += &format!("{} --test-threads 1\necho ENDED {name} with $?\n", path.display());
    }
    script += &format!("{} --data /root/data doctor\necho ENDED doctor with $?\n", programs.anima.display());
    script + "sync\nbusybox poweroff -f\n"
}

/// An initramfs that knows the disk and starts what is on it.
fn make_initrd(tree: &Path, parts: &Path) -> Result<PathBuf> {
    for folder in ["bin", "modules", "dev", "proc", "root"] {
        fs::create_dir_all(tree.join(folder))?;
    }
    fs::copy(parts.join("bin/busybox"), tree.join("bin/busybox"))?;
    let mut order = Vec::new();
    let mut done = BTreeSet::new();
    let all = output(Command::new("find").arg(parts.join("lib/modules")).args(["-name", "*.ko"]))?;
    for name in MODULES {
        add_module(name, &all, &mut done, &mut order)?;
    }
    let mut script = String::from("#!/bin/busybox sh\nb=/bin/busybox\n$b mount -t devtmpfs dev /dev\n");
    for path in &order {
        let name = path.file_name().context("a module is a file")?.to_string_lossy().into_owned();
        fs::copy(path, tree.join("modules").join(&name))?;
        script += &format!("$b insmod /modules/{name}\n");
    }
    script += "while ! $b mount -t ext4 /dev/vda /root; do $b sleep 1; done\n\
               $b mount --move /dev /root/dev\nexec $b switch_root /root /init\n";
    fs::write(tree.join("init"), script)?;
    must(Command::new("chmod").arg("755").arg(tree.join("init")))?;
    let script = "find . | cpio -o -H newc --quiet | gzip -1 > ../initrd.img";
    must(Command::new("sh").args(["-ec", script]).current_dir(tree))?;
    Ok(tree.with_file_name("initrd.img"))
}

/// A module has the names of those that it needs in its text; what is no file is built in.
fn add_module(name: &str, all: &str, done: &mut BTreeSet<String>, order: &mut Vec<PathBuf>) -> Result<()> {
    let plain = |text: &str| text.replace('-', "_");
    let is_it = |path: &&str| Path::new(path).file_stem().is_some_and(|it| plain(&it.to_string_lossy()) == plain(name));
    let Some(path) = all.lines().find(is_it).map(PathBuf::from).filter(|_| done.insert(plain(name))) else {
        return Ok(());
    };
    let bytes = fs::read(&path)?;
    for list in bytes.split(|byte| *byte == 0).filter_map(|field| field.strip_prefix(b"depends=")) {
        for needed in String::from_utf8_lossy(list).split(',').filter(|needed| !needed.is_empty()) {
            add_module(needed, all, done, order)?;
        }
    }
    order.push(path);
    Ok(())
}

/// Fetches and unpacks kernel and busybox, once; nothing is installed.
fn fetch(folder: &Path) -> Result<PathBuf> {
    let folder = folder.to_owned();
    if folder.join("vmlinuz").exists() {
        return Ok(folder);
    }
    let staged = folder.with_extension("new");
    let _ = fs::remove_dir_all(&staged);
    fs::create_dir_all(&staged)?;
    let depends = output(Command::new("apt-cache").args(["depends", "--important", KERNEL]))?;
    let kernel = depends.lines().find_map(|line| line.trim().strip_prefix("Depends: "));
    let kernel = kernel.context("apt-cache names no kernel")?;
    must(Command::new("apt-get").args(["download", "-q", kernel, BUSYBOX]).current_dir(&staged))?;
    let script = "for deb in *.deb; do dpkg -x $deb .; done; rm *.deb; cp boot/vmlinuz-* vmlinuz";
    must(Command::new("sh").args(["-ec", script]).current_dir(&staged))?;
    fs::rename(&staged, &folder)?;
    Ok(folder)
}

/// Starts the machine, and returns its console when it is off.
fn boot(kernel: &Path, initrd: &Path, image: &Path, console: &Path) -> Result<String> {
    let mut qemu = Command::new("qemu-system-x86_64");
    qemu.args([
        "-accel",
        "tcg",
        "-cpu",
        "max",
        "-smp",
        "2",
        "-m",
        "2048",
        "-nodefaults",
        "-no-reboot",
        "-display",
        "none",
    ]);
    qemu.arg("-kernel").arg(kernel).arg("-initrd").arg(initrd);
    qemu.args(["-append", "console=ttyS0 quiet panic=1 cgroup_no_v1=all"]);
    qemu.arg("-serial").arg(format!("file:{}", console.display()));
    qemu.arg("-drive").arg(format!("file={},format=raw,if=virtio,cache=unsafe", image.display()));
    let qemu = qemu.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
    let mut machine = Machine(qemu.context("could not start qemu-system-x86_64 (apt-get install qemu-system-x86)")?);
    let until = Instant::now() + LIMIT;
    while machine.0.try_wait()?.is_none() {
        if Instant::now() > until {
            bail!("the machine hangs:\n{}", read(console));
        }
        std::thread::sleep(LOOK_EVERY);
    }
    Ok(read(console))
}

/// Off when it is dropped.
struct Machine(Child);

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn read(console: &Path) -> String {
    String::from_utf8_lossy(&fs::read(console).unwrap_or_default()).replace('\r', "")
}

fn must(command: &mut Command) -> Result<()> {
    output(command).map(drop)
}

fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("could not run {command:?}"))?;
    ensure!(output.status.success(), "{command:?} failed:\n{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
