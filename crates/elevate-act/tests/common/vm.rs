//! A virtual machine whose disk has Seed's machine, started by an initramfs of ours that stands for firmware, boot loader and
//! dracut. Nothing of it needs KVM.
//!
//! Debian's kernel, a static busybox, GRUB's `grub-editenv` and LVM are fetched by `apt-get download`, and nothing is installed.
#![allow(dead_code, reason = "each test uses its part")]

use std::{
    collections::BTreeSet,
    fs,
    io::Read,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use super::{World, helper, list, machines, run, tools};

/// What the opt-in test fetches. The kernel has every module that is needed, and no firmware.
const PACKAGES: [&str; 9] = [
    "linux-image-cloud-amd64",
    "busybox-static",
    "grub-common",
    "lvm2",
    "dmsetup",
    "libdevmapper1.02.1",
    "libdevmapper-event1.02.1",
    "libaio1",
    "dosfstools",
];
/// Modules in no order; what each needs is read from it.
const MODULES: [&str; 14] = [
    "virtio_pci",
    "virtio_blk",
    "ext4",
    "crc32c_generic",
    "btrfs",
    "xfs",
    "overlay",
    "loop",
    "vfat",
    "nls_cp437",
    "nls_ascii",
    "dm-mod",
    "dm-thin-pool",
    "dm-snapshot",
];
/// A start takes 5 to 10 seconds without KVM, an upgrade 30; what takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(300);
const DISK_BYTES: u64 = 1536 * 1024 * 1024;
const BOOT_BYTES: u64 = 512 * 1024 * 1024;
const EFI_BYTES: u64 = 64 * 1024 * 1024;

/// How the root of the machine is made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    Ext4,
    Xfs,
    Btrfs,
    Lvm,
}

impl Kind {
    pub fn backend(self) -> &'static str {
        match self {
            Kind::Ext4 | Kind::Xfs => "layer",
            Kind::Btrfs => "btrfs",
            Kind::Lvm => "lvm",
        }
    }

    fn options(self) -> &'static str {
        match self {
            Kind::Ext4 => "root=/dev/vda rootfstype=ext4 ro",
            Kind::Xfs => "root=/dev/vda rootfstype=xfs ro",
            Kind::Btrfs => "root=/dev/vda rootfstype=btrfs rootflags=subvol=machine ro",
            Kind::Lvm => "root=/dev/mapper/seed--vg-root rootfstype=ext4 rd.lvm.lv=seed-vg/root ro",
        }
    }

    fn fstab(self) -> String {
        let root = match self {
            Kind::Ext4 => "/dev/vda / ext4 defaults 0 0",
            Kind::Xfs => "/dev/vda / xfs defaults 0 0",
            Kind::Btrfs => "/dev/vda / btrfs subvol=machine 0 0",
            Kind::Lvm => "/dev/mapper/seed--vg-root / ext4 defaults 0 0",
        };
        format!("{root}\n/dev/vdb /boot ext4 defaults 0 0\n/dev/vdd /boot/efi vfat umask=0077 0 0\n")
    }
}

/// A machine with its disks.
pub struct Vm {
    folder: PathBuf,
    fetched: PathBuf,
    kind: Kind,
    world: World,
}

impl Vm {
    /// Makes the disks of a machine of the first release, with the way to the second on its state disk.
    pub fn new(kind: Kind) -> Vm {
        let fetched = fetch();
        let world = World::new();
        let vm = Vm { folder: world.path("vm"), fetched, kind, world };
        fs::create_dir(&vm.folder).unwrap();
        vm.furnish();
        vm.make_initrd();
        vm.make_disks();
        vm
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn furnish(&self) {
        let root = self.world.path("root");
        let mut programs = tools::PROGRAMS.to_vec();
        programs.push(helper().to_str().unwrap());
        tools::install(&root, &programs);
        for folder in ["boot", "state", "run", "var/log"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        let mut rpm = Command::new("rpm");
        rpm.arg("--root").arg(&root).args(["--define", "_dbpath /var/lib/rpm", "--noplugins", "-U"]);
        run(rpm.arg(kernel("1")));
        // /boot and the EFI partition are on disks of their own.
        fs::rename(root.join("boot"), self.path("boot")).unwrap();
        fs::rename(self.path("boot/efi"), self.path("efi")).unwrap();
        for folder in [root.join("boot"), self.path("boot/efi")] {
            fs::create_dir(folder).unwrap();
        }
        run(Command::new("cp").arg(self.fetched.join("bin/busybox")).arg(root.join("usr/bin/busybox")));
        run(Command::new("install")
            .args(["-m", "755"])
            .arg(source("machine-init"))
            .arg(root.join("usr/bin/machine-init")));
        fs::write(root.join("etc/fstab"), self.kind.fstab()).unwrap();
        if self.kind == Kind::Lvm {
            install_lvm(&root, &self.fetched);
        }
    }

    fn make_initrd(&self) {
        let tree = self.path("initrd");
        for folder in ["bin", "modules"] {
            fs::create_dir_all(tree.join(folder)).unwrap();
        }
        run(Command::new("cp").arg(self.fetched.join("bin/busybox")).arg(tree.join("bin/busybox")));
        run(Command::new("install").args(["-m", "755"]).arg(source("initrd-init")).arg(tree.join("init")));
        for name in ["setup", "setup-lvm"] {
            run(Command::new("cp").arg(source(name)).arg(tree.join(name)));
        }
        fs::write(tree.join("modules/order"), modules(&self.fetched, &tree.join("modules"))).unwrap();
        tools::install(&tree, &["btrfs", "mkfs.ext4"]);
        install_lvm(&tree, &self.fetched);
        tools::install_from(&tree, &self.fetched, &["usr/bin/grub-editenv"]);
        let script = "find . | cpio -o -H newc --quiet | gzip -1 > ../initrd.img";
        run(Command::new("sh").args(["-ec", script]).current_dir(&tree));
    }

    fn make_disks(&self) {
        let root = self.world.path("root");
        match self.kind {
            Kind::Ext4 => self.disk("root.img", DISK_BYTES, Some(&root)),
            Kind::Lvm => {
                self.disk("tree.img", DISK_BYTES, Some(&root));
                self.disk("root.img", DISK_BYTES, None);
            }
            Kind::Xfs => self.filled_disk("mkfs.xfs", "cp -aT $ROOT $TREE"),
            Kind::Btrfs => {
                self.filled_disk("mkfs.btrfs", "btrfs -q subvolume create $TREE/machine; cp -aT $ROOT $TREE/machine");
            }
        }
        let boot = self.path("boot");
        for folder in ["loader/entries", "grub2"] {
            fs::create_dir_all(boot.join(folder)).unwrap();
        }
        run(Command::new("sh")
            .args(["-ec", "echo . | cpio -o -H newc --quiet > $OUT"])
            .env("OUT", boot.join("initramfs-1.img")));
        let options = self.kind.options();
        let entry = format!("title Seed 1\nversion 1\nlinux /vmlinuz-1\ninitrd /initramfs-1.img\noptions {options}\n");
        fs::write(boot.join("loader/entries/seed-1.conf"), entry).unwrap();
        let mut block = b"# GRUB Environment Block\nsaved_entry=seed-1\n".to_vec();
        block.resize(1024, b'#');
        fs::write(boot.join("grub2/grubenv"), block).unwrap();
        self.disk("boot.img", BOOT_BYTES, Some(&boot));
        let state = self.path("state");
        fs::create_dir(&state).unwrap();
        run(Command::new("cp").arg("-r").arg(machines()).arg(state.join("machines")));
        run(Command::new("cp").arg("-r").arg(self.path("efi")).arg(state.join("efi")));
        let to_kernel = kernel("2").strip_prefix(machines()).unwrap().display().to_string();
        let install = format!("install /state/machines/{to_kernel}\n");
        fs::write(state.join("list"), list("2", Path::new("/state/machines")) + &install).unwrap();
        self.disk("state.img", DISK_BYTES, Some(&state));
        self.disk("efi.img", EFI_BYTES, None);
        run(Command::new(self.fetched.join("sbin/mkfs.fat")).args(["-F", "32"]).arg(self.path("efi.img")));
        let is_lvm = if self.kind == Kind::Lvm { " anima.lvm" } else { "" };
        let said = self.boot_with(&format!("anima.setup{is_lvm}")).wait();
        assert!(said.contains("SETUP is done"), "{said}");
    }

    /// A disk that this machine's kernel can mount.
    fn filled_disk(&self, mkfs: &str, fill: &str) {
        let (image, tree) = (self.path("root.img"), self.path("tree"));
        fs::create_dir(&tree).unwrap();
        fs::File::create(&image).unwrap().set_len(DISK_BYTES).unwrap();
        run(Command::new(mkfs).arg("-q").arg(&image));
        let script = format!("mount -o loop $IMAGE $TREE; trap 'umount $TREE' EXIT; {fill}");
        let mut sh = Command::new("sh");
        let root = self.world.path("root");
        run(sh.args(["-ec", &script]).env("IMAGE", &image).env("TREE", &tree).env("ROOT", &root));
    }

    fn disk(&self, name: &str, bytes: u64, content: Option<&Path>) {
        let image = self.path(name);
        fs::File::create(&image).unwrap().set_len(bytes).unwrap();
        if let Some(folder) = content {
            run(Command::new("mkfs.ext4").args(["-q", "-F", "-d"]).arg(folder).arg(&image));
        }
    }

    /// Starts the machine, which does what the text says when it is up, and waits until it is off. Returns its console.
    pub fn start(&self, todo: &str) -> String {
        self.boot(todo).wait()
    }

    /// Starts it, and does not wait.
    pub fn boot(&self, todo: &str) -> Running {
        let script = self.path("todo");
        let helper = helper().file_name().unwrap().to_string_lossy().into_owned();
        let verbs =
            format!("anima() {{ verb=$1; shift; /usr/bin/{helper} $verb / /state/work ${{HALT_AT:-0}} \"$@\"; }}\n");
        fs::write(&script, format!("{verbs}{todo}\n")).unwrap();
        // Mounting it repairs what a cut of the power left.
        let mount = "mkdir -p $AT; mount -o loop $IMAGE $AT; trap 'umount $AT' EXIT; cp $TODO $AT/todo";
        let (image, at) = (self.path("state.img"), self.path("at"));
        run(Command::new("sh").args(["-ec", mount]).env("IMAGE", image).env("AT", at).env("TODO", script));
        self.boot_with("")
    }

    fn boot_with(&self, options: &str) -> Running {
        let mut qemu = Command::new("qemu-system-x86_64");
        qemu.args(["-accel", "tcg", "-m", "1024", "-nodefaults", "-no-reboot", "-display", "none"]);
        qemu.arg("-kernel").arg(self.fetched.join("vmlinuz")).arg("-initrd").arg(self.path("initrd.img"));
        // On a busy host a timer that is emulated is too slow for the kernel's test of it.
        qemu.arg("-append").arg(format!("console=ttyS0 quiet panic=1 no_timer_check {options}"));
        qemu.args(["-serial", "stdio"]);
        for name in
            ["root.img", "boot.img", "state.img", "efi.img", "tree.img"].iter().filter(|name| self.path(name).exists())
        {
            qemu.arg("-drive").arg(format!("file={},format=raw,if=virtio,cache=writeback", self.path(name).display()));
        }
        let mut child = qemu.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut console = child.stdout.take().unwrap();
        let (tell, news) = mpsc::channel();
        // It ends with the machine, and with who listens.
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(count) = console.read(&mut piece)
                && count > 0
                && tell.send(piece[..count].to_vec()).is_ok()
            {}
        });
        Running { child, news, said: Vec::new() }
    }
}

/// Programs of LVM, in the packages.
const LVM_PROGRAMS: [&str; 6] =
    ["sbin/lvm", "sbin/lvs", "sbin/lvcreate", "sbin/lvchange", "sbin/lvremove", "sbin/dmsetup"];
/// There is no udev in these machines, and nothing that checks the metadata of a pool.
const LVM_CONFIG: &str = "global { thin_check_executable = \"\" }\nbackup { backup = 0 archive = 0 }\nactivation { monitoring = 0 udev_sync = 0 udev_rules = 0 verify_udev_operations = 1 }\n\
                          devices { use_devicesfile = 0 obtain_device_list_from_udev = 0 external_device_info_source = \"none\" }\n";

fn install_lvm(root: &Path, fetched: &Path) {
    tools::install_from(root, fetched, &LVM_PROGRAMS);
    fs::create_dir_all(root.join("etc/lvm")).unwrap();
    fs::write(root.join("etc/lvm/lvm.conf"), LVM_CONFIG).unwrap();
}

/// Returns the kernel's package of a release.
fn kernel(release: &str) -> PathBuf {
    let folder = machines().join(release).join("kernel");
    fs::read_dir(folder).unwrap().next().unwrap().unwrap().path()
}

fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vm").join(name)
}

/// A machine that runs.
pub struct Running {
    child: Child,
    /// What comes from its console; nothing more when it is off.
    news: mpsc::Receiver<Vec<u8>>,
    said: Vec<u8>,
}

impl Running {
    /// What it has said.
    pub fn said(&self) -> String {
        String::from_utf8_lossy(&self.said).replace('\r', "")
    }

    /// Hears more of it, and returns whether it is still on.
    fn listen(&mut self, until: Instant) -> bool {
        match self.news.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(piece) => self.said.extend(piece),
            Err(mpsc::RecvTimeoutError::Disconnected) => return false,
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("it hangs:\n{}", self.said()),
        }
        true
    }

    /// Waits until it has said something.
    pub fn wait_for(&mut self, text: &str) {
        let until = Instant::now() + PATIENCE;
        while !self.said().contains(text) {
            assert!(self.listen(until), "it is off, and did not say {text:?}:\n{}", self.said());
        }
    }

    /// Waits until it is off.
    pub fn wait(mut self) -> String {
        let until = Instant::now() + PATIENCE;
        while self.listen(until) {}
        self.child.wait().unwrap();
        self.said()
    }

    /// Cuts its power: what it had not written out is lost.
    pub fn cut(mut self) -> String {
        self.child.kill().unwrap();
        self.wait()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Fetches and unpacks what is needed, once.
fn fetch() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("machine-parts");
    if folder.join("vmlinuz").exists() {
        return folder;
    }
    let staged = folder.with_extension("new");
    let _ = fs::remove_dir_all(&staged);
    fs::create_dir_all(&staged).unwrap();
    let kernel = run(Command::new("apt-cache").args(["depends", "--important", PACKAGES[0]]));
    let kernel = kernel.lines().find_map(|line| line.trim().strip_prefix("Depends: ")).unwrap().to_owned();
    let mut apt = Command::new("apt-get");
    run(apt.args(["download", "-q"]).args([kernel.as_str()].iter().chain(&PACKAGES[1..])).current_dir(&staged));
    let script = "for deb in *.deb; do dpkg -x $deb .; done; rm *.deb; cp boot/vmlinuz-* vmlinuz";
    run(Command::new("sh").args(["-ec", script]).current_dir(&staged));
    fs::rename(&staged, &folder).unwrap();
    folder
}

/// Copies modules and what they need; returns their names in the order in which they can be loaded.
fn modules(fetched: &Path, to: &Path) -> String {
    let all = run(Command::new("find").arg(fetched.join("lib/modules")).args(["-name", "*.ko"]));
    let find = |name: &str| {
        let plain = |text: &str| text.replace('-', "_");
        let is_it =
            |path: &&str| Path::new(path).file_stem().is_some_and(|stem| plain(&stem.to_string_lossy()) == plain(name));
        all.lines().find(is_it).map(PathBuf::from)
    };
    let mut order = Vec::new();
    let mut done = BTreeSet::new();
    for name in MODULES {
        add_module(name, &find, &mut done, &mut order);
    }
    for path in &order {
        run(Command::new("cp").arg(path).arg(to));
    }
    order.iter().map(|path| format!("{}\n", path.file_name().unwrap().to_string_lossy())).collect()
}

/// A module has the names of those that it needs in its text.
fn add_module(
    name: &str,
    find: &dyn Fn(&str) -> Option<PathBuf>,
    done: &mut BTreeSet<String>,
    order: &mut Vec<PathBuf>,
) {
    // What is no file is built in.
    let Some(path) = find(name).filter(|_| done.insert(name.replace('-', "_"))) else { return };
    let bytes = fs::read(&path).unwrap();
    let fields = bytes.split(|byte| *byte == 0);
    for list in fields.filter_map(|field| field.strip_prefix(b"depends=")) {
        for needed in String::from_utf8_lossy(list).split(',').filter(|needed| !needed.is_empty()) {
            add_module(needed, find, done, order);
        }
    }
    order.push(path);
}
