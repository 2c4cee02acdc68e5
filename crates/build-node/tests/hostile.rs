//! Specs that attack: the machine, its neighbours, the node and the next build. All of it runs in the real node with real limits.

mod common;

use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use anima_types::platform::Limits;
use anima_types::work::{BuildOutcome, Failure, Work};
use common::{World, spec};

const MIB: u64 = 1024 * 1024;
/// Small enough to be reached in a moment, large enough for rpmbuild.
const LIMITS: Limits = Limits {
    memory_mib: Some(192),
    disk_mib: Some(48),
    cores: Some(1),
    wall_secs: Some(100),
    processes: Some(80),
    log_mib: Some(1),
};

/// What a cancelled build may take until nothing of it is left: the promise is a second, and this machine may be busy.
const LET_GO: Duration = Duration::from_secs(3);

struct Attack(World);

impl Attack {
    async fn new() -> Attack {
        Attack(World::with_limits(LIMITS).await)
    }

    /// Builds a package with these sections; afterwards nothing is left, and the next package is built.
    async fn run(&self, name: &str, sections: &str) -> Result<BuildOutcome, Failure> {
        let result = self.0.src_and_build(name, &spec(name, "", sections)).await;
        let log = self.0.master.log();
        self.0.until("the end of all that it made", || self.0.leftovers().is_empty()).await;
        let next = format!("after-{name}");
        self.0
            .src_and_build(&next, &spec(&next, "", ""))
            .await
            .unwrap_or_else(|failure| panic!("{failure:?} after\n{log}"));
        result
    }

    /// The attack fails, with this code; returns the message.
    async fn fails(&self, name: &str, sections: &str, code: &str) -> Failure {
        let failure = self.run(name, sections).await.unwrap_err();
        assert_eq!(failure.code, code, "{failure:?}");
        failure
    }

    /// The attack gets nothing, and its package is built; returns the log.
    async fn gets_nothing(&self, name: &str, script: &str) {
        let source = self
            .0
            .src(
                name,
                &self.0.commit(
                    name,
                    &[(&format!("{name}.spec"), &spec(name, "", &format!("%build\nset +ex\n{script}\necho done")))],
                ),
            )
            .await
            .unwrap();
        let built = self.0.build(&source).await;
        let log = self.0.master.log();
        let built = built.unwrap_or_else(|failure| panic!("{failure:?}\n{log}"));
        assert_eq!(built.packages.len(), 1, "{log}");
        let got: Vec<&str> = log.lines().filter(|line| line.starts_with("GOT ")).collect();
        assert!(got.is_empty() && log.contains("\ndone\n"), "{got:?}\n{log}");
        self.0.until("the end of all that it made", || self.0.leftovers().is_empty()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fork_bomb_is_ended_and_told() {
    let failure = Attack::new().await.fails("bomb", "%build\nperl -e 'while (1) { fork }'", "too_many_processes").await;

    assert_eq!(failure.message, "%build failed: it started more processes than it may have");
    assert!(failure.hint.unwrap().starts_with("It may use 80 processes here."));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_fills_the_disk_is_ended_and_told() {
    let attack = Attack::new().await;
    let many = "%build\nwhile :; do i=$((i + 1)); head -c 4M /dev/zero > $i; done";
    let one = "%build\ncat /dev/zero > big";
    // No name leads to it any more, and none is below the root that could be counted by name.
    let deep = "%build\nperl -e 'while ($i++ < 700) { mkdir \"d\"; chdir \"d\" } while (1) { open F, \">\", $i++; print F \"x\" x (1 << 22); close F }'";

    // No name leads to them, and they are there as long as somebody has them open.
    let unnamed = "%build\nperl -e 'while ($i++ < 100) { open $f[$i], \">\", \"h\"; unlink \"h\"; syswrite $f[$i], \"x\" x (1 << 22) } sleep 1000'";

    for (name, sections) in [("many", many), ("one", one), ("deep", deep), ("unnamed", unnamed)] {
        let failure = attack.fails(name, sections, "out_of_disk").await;
        assert_eq!(failure.message, "%build failed: it took more room on the disk than it may have");
        assert!(failure.hint.unwrap().starts_with("It may use 48 MiB on the disk here."));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn room_on_the_disk_cannot_be_taken_without_writing() {
    // fallocate(2), then the same as posix_fallocate does it where a file system cannot.
    let script = "perl -e 'open F, \">\", \"big\"; print \"GOT room\\n\" if 0 == syscall(285, fileno(F), 0, 0, 1 << 40); print \"$!\\n\"'";
    Attack::new().await.gets_nothing("reserve", script).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_without_end_is_cut_and_its_reason_still_told() {
    let attack = Attack::new().await;
    let source = attack
        .0
        .src("yes", &attack.0.commit("yes", &[("yes.spec", &spec("yes", "", "%build\ncat /dev/zero | tr '\\0' y"))]))
        .await
        .unwrap();

    let failure = attack.0.build(&source).await.unwrap_err();

    assert_eq!(
        (failure.code.as_str(), failure.message.as_str()),
        ("log_too_long", "%build failed: it wrote more than a log may have")
    );
    let log = attack.0.master.log();
    assert!((MIB..MIB + 4096).contains(&(log.len() as u64)), "{}", log.len());
    assert!(log.contains("\nFAILED (log_too_long): "));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_wants_more_memory_than_there_is_for_him_is_ended_and_told() {
    let sections = "%build\nperl -e '$x = \"x\" x (400 << 20); print length $x'";
    let failure = Attack::new().await.fails("memory", sections, "out_of_memory").await;

    assert_eq!(failure.message, "%build failed: it needed more memory than it may have");
    assert!(failure.hint.unwrap().starts_with("It may use 192 MiB of memory here."));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_never_ends_is_ended_and_told() {
    let mut attack = Attack::new().await;
    // Its own limit: the others have the node's.
    attack.0.platform_lines = "[packages.sleeper.limits]\nwall_secs = 8\n".to_owned();

    let failure =
        attack.fails("sleeper", "%build\ntrap '' TERM INT HUP\nwhile :; do sleep 1000; done", "timed_out").await;

    assert_eq!(failure.message, "%build failed: it was not done when the time was over");
    assert!(failure.hint.unwrap().contains("wall_secs in [packages.sleeper.limits]"));
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_the_host_are_out_of_reach() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "of the host").unwrap();
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let path = secret.display();
    let script = format!(
        "for top in '' /proc/1/root /proc/self/root /proc/1/cwd /proc/self/cwd/../../../../../.. /proc/$$/fd/255/../../../.. $(echo /proc/[0-9]*/root); do\n\
           cat $top{path} 2>/dev/null && echo GOT $top\n\
           ln -s $top{path} link-${{i:=0}} 2>/dev/null; cat link-$i 2>/dev/null && echo GOT symlink $top\n\
           ln $top{path} hard-$i 2>/dev/null && echo GOT hard link $top\n\
           i=$((i+1))\n\
         done\n\
         rm -f link-*\n\
         perl -e 'while (chdir \"..\") {{ last if $n++ > 64 }} print \"GOT up\\n\" if -e \".{path}\"'\n\
         # open_by_handle_at(AT_FDCWD of any mount) and name_to_handle_at\n\
         perl -e '$h = pack(\"LLQ\", 8, 1, 2); print \"GOT handle\\n\" if syscall(304, 0, $h, 0) >= 0'\n\
         for folder in /root /home /var/lib/anima; do ls -A $folder 2>/dev/null | grep . && echo GOT folder $folder; done\n\
         grep -v '^mock' /etc/passwd | grep -v ^root && echo GOT accounts\n\
         cat /proc/kcore /proc/keys /proc/1/environ 2>/dev/null | head -c 1 | grep -q . && echo GOT proc\n\
         cut -d ' ' -f 4 /proc/self/mountinfo | grep -F {folder} && echo GOT mounts\n",
        folder = folder.path().display(),
    );

    Attack::new().await.gets_nothing("reader", &script).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_network_and_no_master_can_be_reached() {
    let attack = Attack::new().await;
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let master = attack.0.master.url.strip_prefix("http://127.0.0.1:").unwrap().to_owned();
    let hosts = Command::new("hostname").arg("-I").output().map(|it| String::from_utf8_lossy(&it.stdout).into_owned());
    let hosts = hosts.unwrap_or_default();
    let script = format!(
        "for at in 127.0.0.1/{port} 127.0.0.1/{master} 169.254.169.254/80 8.8.8.8/53 {addresses}; do\n\
           (timeout=1; exec 3<>/dev/tcp/$at) 2>/dev/null && echo GOT tcp $at\n\
           (echo x > /dev/udp/$at) 2>/dev/null && test ${{at%%/*}} != 127.0.0.1 && echo GOT udp $at\n\
         done\n\
         # a packet socket, a raw socket, netlink's routes\n\
         perl -e 'for ([17, 3], [2, 3], [10, 3]) {{ print \"GOT socket @$_\\n\" if socket(S, $$_[0], $$_[1], 255) }}'\n\
         grep -v '^Iface' /proc/net/route && echo GOT route\n\
         env | grep -i -E 'token|secret|anima' && echo GOT environment\n",
        addresses = hosts
            .split_whitespace()
            .filter(|it| it.contains('.'))
            .map(|it| format!("{it}/{port}"))
            .collect::<Vec<_>>()
            .join(" "),
    );

    attack.gets_nothing("caller", &script).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_can_be_mounted_loaded_or_made_a_device() {
    // Numbers of x86_64. Each prints its name when it was possible, or when the kernel even looked at its arguments.
    let script = r#"cat > calls.pl <<'END'
use constant { EPERM => 1, ENOSYS => 38 };
mkdir "m";
my %calls = (
  mount => [165, "tmpfs", "m", "tmpfs", 0, 0], umount2 => [166, "/proc", 2], pivot_root => [155, "m", "m"],
  init_module => [175, "", 0, ""], finit_module => [313, 0, "", 0], delete_module => [176, "ext4", 0],
  kexec_load => [246, 0, 0, 0, 0], reboot => [169, 0, 0, 0, 0], bpf => [321, 0, 0, 0], perf_event_open => [298, 0, 0, -1, -1, 0],
  userfaultfd => [323, 0], keyctl => [250, 0, -3, 0], add_key => [248, "user", "a", "b", 1, -3], swapon => [167, "m", 0],
  unshare_user => [272, 0x10000000], unshare_mount => [272, 0x20000], setns => [308, 0, 0], open_tree => [428, -100, "/", 1],
  fsopen => [430, "tmpfs", 0], io_uring_setup => [425, 1, 0], settimeofday => [164, 0, 0], sethostname => [170, "x", 1],
  iopl => [172, 3], syslog => [103, 3, "", 0], quotactl => [179, 0, 0, 0, 0],
);
for my $name (sort keys %calls) {
  my @call = @{$calls{$name}};
  $! = 0;
  my $result = syscall($call[0], @call[1 .. $#call]);
  print "GOT $name: $result $!\n" if $result != -1 || ($! != EPERM && $! != ENOSYS);
}
print "GOT block device\n" if syscall(133, "disk", 060666, 0x800) == 0;
print "GOT character device\n" if syscall(133, "mem", 020666, 0x101) == 0;
END
perl calls.pl; rm -rf calls.pl m
ls /dev | grep -E '^(sd|vd|nvme|loop|dm|mem|kmsg|fuse|kvm|mapper)' && echo GOT devices
(echo 1 > /proc/sys/kernel/sysrq) 2>/dev/null && echo GOT sysctl
(echo b > /proc/sysrq-trigger) 2>/dev/null && echo GOT sysrq
(echo '|/bin/sh' > /proc/sys/kernel/core_pattern) 2>/dev/null && echo GOT core_pattern
(echo 1000 > /proc/self/oom_score_adj; echo -1000 > /proc/self/oom_score_adj) 2>/dev/null && echo GOT oom_score_adj
ls /sys | grep . && echo GOT sys
find / -xdev -path '*cgroup*' -name 'cgroup.procs' -writable 2>/dev/null | grep . && echo GOT cgroup"#;

    Attack::new().await.gets_nothing("mounter", script).await;
}

/// A process of the host with the ids of the build user.
struct Neighbour(Child);

impl Neighbour {
    fn new() -> Neighbour {
        Neighbour(Command::new("sleep").arg("1000").uid(1000).gid(135).spawn().unwrap())
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_neighbour_of_the_same_user_can_be_neither_traced_nor_killed() {
    let mut neighbour = Neighbour::new();
    let pid = neighbour.0.id();
    let script = format!(
        "perl -e 'for my $pid ({pid}, 1) {{ print \"GOT trace $pid\\n\" if syscall(101, 16, $pid, 0, 0) == 0; \
           print \"GOT seize $pid\\n\" if syscall(101, 0x4206, $pid, 0, 0) == 0; \
           print \"GOT pidfd $pid\\n\" if $pid != 1 && syscall(434, $pid, 0) >= 0; \
           print \"GOT memory $pid\\n\" if open F, \"<\", \"/proc/$pid/mem\" }} \
           print \"GOT kill\\n\" if kill 9, {pid}; kill 9, -1 if 0'\n\
         ls /proc/{pid} 2>/dev/null && echo GOT proc\n\
         perl -e 'use constant M => 1 << 12; my $id = shmget(0x616e696d, M, 01666); print \"GOT shared memory of others\\n\" if !defined $id'\n\
         ls /dev/shm | grep . && echo GOT shm\n"
    );

    Attack::new().await.gets_nothing("tracer", &script).await;

    assert!(neighbour.0.try_wait().unwrap().is_none(), "the neighbour was killed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_switches_users_switches_nothing() {
    let script = "cp /usr/bin/id own; chmod 6755 own; ./own -u | grep -qx 0 && echo GOT root by an own program\n\
                  find / -xdev -perm /6000 -type f 2>/dev/null | while read it; do test -x $it && $it --version >/dev/null 2>&1; done\n\
                  chown 0:0 own 2>/dev/null && echo GOT owner\n\
                  perl -e '$> = 0; $< = 0; print \"GOT ids\\n\" if $> == 0 || $< == 0; print \"GOT group\\n\" if syscall(106, 0) == 0 || syscall(116, 1, pack(\"L\", 0)) == 0'\n\
                  grep -E '^Cap(Eff|Prm|Bnd|Amb)' /proc/self/status | grep -v 0000000000000000 && echo GOT capabilities\n\
                  perl -e 'print \"GOT new privileges\\n\" if syscall(157, 39, 0, 0, 0, 0) != 1'\n\
                  rm own";

    Attack::new().await.gets_nothing("switcher", script).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_are_left_behind_end_with_the_build() {
    let attack = Attack::new().await;
    let mark = format!("{}", 50_000 + std::process::id() % 10_000);
    let sections = format!(
        "%build\nsetsid sleep {mark} < /dev/null &\n(trap '' TERM HUP; setsid setsid sleep {mark} &)\nnohup sleep {mark} 2>/dev/null &\ndisown -a"
    );

    attack.run("left", &sections).await.unwrap();

    assert_eq!(processes_with(&mark), 0);
}

fn processes_with(argument: &str) -> usize {
    let all =
        std::fs::read_dir("/proc").unwrap().filter_map(|entry| std::fs::read(entry.ok()?.path().join("cmdline")).ok());
    all.filter(|line| String::from_utf8_lossy(line).contains(argument)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_climbs_stays_inside() {
    let attack = Attack::new().await;
    let (work, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let target = outside.path().join("climbed");
    let tar = work.path().join("evil.tar");
    std::fs::write(work.path().join("payload"), "climbed").unwrap();
    for (index, name) in
        [format!("{}{}", "../".repeat(20), target.display()), target.display().to_string()].iter().enumerate()
    {
        let transform = format!("--transform=s,payload,{name},");
        let mode = if index == 0 { "-cPf" } else { "-rPf" };
        common::run(Command::new("tar").arg(mode).arg(&tar).arg(transform).arg("payload").current_dir(work.path()));
    }
    // Text is all that the lookaside of these tests takes; tar's format is text as long as its files are.
    let sources = attack.0.lookaside("climber", "evil.tar", &std::fs::read_to_string(&tar).unwrap(), None);
    let text = spec(
        "climber",
        "Source0: evil.tar",
        "%prep\n%setup -q -c -T\n%build\ntar -xvPf %{SOURCE0} || :\ntar -xf %{SOURCE0} || :",
    );
    let commit = attack.0.commit("climber", &[("climber.spec", &text), ("sources", &sources)]);

    let source = attack.0.src("climber", &commit).await.unwrap();
    let built = attack.0.build(&source).await;

    assert!(attack.0.master.log().contains("climbed"), "{}", attack.0.master.log());
    assert!(built.is_ok(), "{built:?}");
    assert!(!target.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn artifacts_that_are_no_packages_are_refused_and_never_opened() {
    let attack = Attack::new().await;
    let secret = tempfile::NamedTempFile::new().unwrap();
    let path = secret.path().display();

    for (name, script, message) in [
        ("link", format!("ln -s {path} %{{_rpmdir}}/evil-1-1.noarch.rpm"), "is no regular file"),
        ("pipe", "mkfifo %{_rpmdir}/evil-1-1.noarch.rpm".to_owned(), "is no regular file"),
        ("text", "echo x > %{_rpmdir}/evil-1-1.noarch.rpm".to_owned(), "could not read"),
        (
            "holes",
            "perl -e 'open F, \">\", \"%{_rpmdir}/evil-1-1.noarch.rpm\"; truncate F, 90 << 20'".to_owned(),
            "have more than 50331648 bytes",
        ),
        (
            "twice",
            "mkdir %{_rpmdir}/other; echo x > %{_rpmdir}/other/twice-1-1.t1.noarch.rpm".to_owned(),
            "has the name of a package in another folder",
        ),
        (
            "folder",
            format!("rm -r %{{_rpmdir}} && ln -s {} %{{_rpmdir}}", secret.path().parent().unwrap().display()),
            "could not",
        ),
    ] {
        let failure = attack.fails(name, &format!("%check\n{script}"), "bad_package").await;
        assert!(failure.message.contains(message), "{name}: {failure:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_that_is_hard_to_remove_is_removed() {
    let attack = Attack::new().await;
    let sections = "%build\nperl -e 'while ($i++ < 1500) { mkdir \"d\"; chdir \"d\" }'\nmkdir -p locked/in; chmod 000 locked/in locked\n\
                    mkdir \"$(printf 'line\\nend')\"; touch ./-rf\n%install\nmkdir -p %{buildroot}/usr/share/%{name}";

    attack
        .run("deep", sections)
        .await
        .map(drop)
        .unwrap_or_else(|failure| assert_ne!(failure.code, "internal", "{failure:?}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_is_cancelled_leaves_no_process_mount_or_file() {
    let attack = Attack::new().await;
    let world = &attack.0;
    let mark = format!("{}", 60_000 + std::process::id() % 10_000);
    let text = spec(
        "slow",
        "",
        &format!(
            "%build\nfor i in 1 2 3 4 5 6 7 8 9; do (trap '' TERM; setsid sleep {mark} &); done\nwhile :; do echo > $((n++)); sleep 0.01; done"
        ),
    );
    let source = world.src("slow", &world.commit("slow", &[("slow.spec", &text)])).await.unwrap();
    world.master.give(Work::Build(world.build_work(&source)));
    world.until("the build", || processes_with(&mark) >= 9).await;

    let asked_at = Instant::now();
    world.master.take_back();

    world.until("the end of its processes", || processes_with(&mark) == 0).await;
    let killed_after = asked_at.elapsed();
    world.until("the end of all that it made", || world.leftovers().is_empty()).await;
    let gone_after = asked_at.elapsed();
    assert!(killed_after < LET_GO && gone_after < LET_GO, "{killed_after:?}, {gone_after:?}");
    world.src_and_build("next", &spec("next", "", "")).await.unwrap();
}
