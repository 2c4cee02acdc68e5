//! What ends a command, and what is left after it.

mod common;

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anima_sandbox::{Exit, Sandbox};
use common::{Root, helper, run};

/// Far longer than anything here takes; a test that gets there has failed.
const LONG: &str = "1000";

#[test]
fn exit_codes_and_signals_are_told() {
    let root = Root::new();
    let exit = |script: &str| run(&root.spec(script)).1.exit;

    assert_eq!(exit("true"), Exit::Exited(0));
    assert_eq!(exit("exit 77"), Exit::Exited(77));
    assert_eq!(exit("kill -SEGV $$"), Exit::Signaled(11));
    assert_eq!(exit("kill -KILL $$"), Exit::Signaled(9));
}

#[test]
fn what_a_run_took_is_told() {
    let root = Root::new();

    let (_, outcome) = run(&root.spec("python3 -c 'x = bytearray(50_000_000); sum(range(2_000_000))'"));

    assert!(outcome.user_cpu > Duration::from_millis(10), "{outcome:?}");
    assert!(outcome.wall >= outcome.user_cpu, "{outcome:?}");
    assert!(outcome.max_rss_bytes > 50_000_000, "{outcome:?}");
}

#[test]
fn leftover_processes_are_killed_when_the_command_ends() {
    let root = Root::new();
    let marker = format!("10{}", std::process::id());

    let (log, outcome) =
        run(&root.spec(&format!("setsid sleep {marker} & (sleep {marker} &); disown -a; echo started")));

    assert_eq!((log.as_str(), outcome.exit), ("started\n", Exit::Exited(0)));
    assert_eq!(processes_with(&marker), 0);
}

#[test]
fn a_run_that_takes_too_long_is_ended() {
    let root = Root::new();
    let mut spec = root.spec(&format!("trap '' TERM INT; echo on; sleep {LONG} & sleep {LONG}"));
    spec.limits.wall = Duration::from_millis(300);
    let began = Instant::now();

    let (log, outcome) = run(&spec);

    assert_eq!((log.as_str(), outcome.exit), ("on\n", Exit::TimedOut));
    assert!(began.elapsed() < Duration::from_secs(60));
}

#[test]
fn a_run_without_any_time_is_told_as_that() {
    let root = Root::new();
    let mut spec = root.spec("echo on");
    spec.limits.wall = Duration::ZERO;

    assert_eq!(run(&spec).1.exit, Exit::TimedOut);
}

#[test]
fn a_run_is_ended_by_its_handle() {
    let root = Root::new();
    let mut running = Sandbox::spawn(&root.spec(&format!("echo on; sleep {LONG}")), &helper()).expect("spawn");
    let (canceller, log) = (running.canceller(), running.take_log().expect("log"));
    let watcher = std::thread::spawn(move || {
        let mut lines = BufReader::new(log).lines();
        let first = lines.next().expect("a line").expect("read");
        canceller.cancel();
        (first, lines.count())
    });

    let outcome = running.wait().expect("wait");

    assert_eq!(outcome.exit, Exit::Canceled);
    assert_eq!(watcher.join().expect("join"), ("on".to_owned(), 0));
}

#[test]
fn a_handle_of_a_run_that_is_over_does_nothing() {
    let root = Root::new();
    let running = Sandbox::spawn(&root.spec("true"), &helper()).expect("spawn");
    let canceller = running.canceller();

    assert_eq!(running.wait().expect("wait").exit, Exit::Exited(0));
    canceller.cancel();
}

#[test]
fn dropping_a_run_leaves_nothing() {
    let root = Root::new();
    let marker = format!("11{}", std::process::id());
    let mut running = Sandbox::spawn(&root.spec(&format!("echo on; sleep {marker}")), &helper()).expect("spawn");
    let mut byte = [0];
    running.take_log().expect("log").read_exact(&mut byte).expect("read");

    drop(running);

    assert_eq!(processes_with(&marker), 0);
}

#[test]
fn a_log_that_is_too_long_is_cut_and_ends_the_run() {
    let root = Root::new();
    let mut spec = root.spec("yes");
    spec.limits.log_bytes = 100_000;

    let (log, outcome) = run(&spec);

    assert_eq!((log.len(), outcome.exit), (100_000, Exit::LogTooLong));
}

#[test]
fn a_log_of_exactly_the_limit_is_whole() {
    let root = Root::new();
    let mut spec = root.spec("printf 12345");
    spec.limits.log_bytes = 5;

    let (log, outcome) = run(&spec);

    assert_eq!((log.as_str(), outcome.exit), ("12345", Exit::Exited(0)));
}

#[test]
fn a_fork_bomb_is_bounded_and_ends_with_the_run() {
    let root = Root::new();
    let marker = format!("12{}", std::process::id());
    let bomb = "import os, time
count = 0
try:
    while count < 300:
        if os.fork() == 0: time.sleep(1000)
        count += 1
except BlockingIOError: pass
print(count)";
    let mut spec = root.spec("");
    spec.command = ["python3", "-c", bomb, &marker].map(str::to_owned).into();
    spec.limits.pids = 60;

    let running = Sandbox::spawn(&spec, &helper()).expect("spawn");
    let pids = running.enforced().pids;
    let mut log = Vec::new();
    let outcome = running.wait_with_log(&mut log).expect("wait");

    let forked: u64 = String::from_utf8_lossy(&log).trim().parse().expect("a number");
    assert!(pids.is_some() && (50..60).contains(&forked), "{forked} {pids:?}");
    assert_eq!(outcome.exit, Exit::Exited(0));
    assert_eq!(processes_with(&marker), 0);
}

#[test]
fn a_sandbox_cannot_take_all_of_the_hosts_watches() {
    let most = |name: &str| -> u64 {
        let text = std::fs::read_to_string(format!("/proc/sys/user/{name}")).expect("read a bound");
        text.trim().parse().expect("a number")
    };
    let hosts = (most("max_inotify_instances"), most("max_inotify_watches"));
    let root = Root::new();
    let mut spec = root.spec("");
    let greedy = "import ctypes
c = ctypes.CDLL(None)
count = 0
while count < 100000 and c.inotify_init() >= 0: count += 1
print(count, *(open('/proc/sys/user/max_inotify_' + name).read().strip() for name in ('instances', 'watches')))
try: open('/proc/sys/user/max_inotify_instances', 'w')
except OSError: print('stays')";
    spec.command = ["python3", "-c", greedy].map(str::to_owned).into();

    let (log, outcome) = run(&spec);

    let expected = format!("{0} {0} {1}\nstays\n", hosts.0 / 8, hosts.1 / 8);
    assert_eq!((log, outcome.exit), (expected, Exit::Exited(0)));
}

#[test]
fn a_file_that_is_too_large_is_refused() {
    let root = Root::new();
    let mut spec = root.spec("head -c 100000 /dev/zero > /home/file; echo $?; stat -c %s /home/file");
    spec.limits.file_bytes = 65536;

    let (log, _) = run(&spec);

    assert!(log.ends_with("153\n65536\n"), "{log}");
}

fn with_disk(root: &Root, script: &str, bytes: u64, files: u64) -> anima_sandbox::Spec {
    let mut spec = root.spec(script);
    spec.disk = Some(anima_sandbox::Disk { path: root.path().join("home"), bytes, files });
    spec
}

#[test]
fn a_run_that_writes_too_much_is_ended() {
    let root = Root::new();

    let many = "while :; do i=$((i + 1)); head -c 4M /dev/zero > $i; done";
    let (log, outcome) = run(&with_disk(&root, many, 20_000_000, 1_000_000));
    assert_eq!((log.as_str(), outcome.exit), ("", Exit::DiskFull));
    let empty = "rm *; while :; do i=$((i + 1)); : > $i; done";
    let (log, outcome) = run(&with_disk(&root, empty, 20_000_000, 200));
    assert_eq!((log.as_str(), outcome.exit), ("", Exit::DiskFull));
}

#[test]
fn files_without_a_name_count_as_long_as_somebody_has_them() {
    let root = Root::new();
    let open = "for i in $(seq 50); do exec {fd}>h; rm h; head -c 4M /dev/zero >&$fd; done; sleep 1000";
    let mapped = "import ctypes, os, time\nf = os.open('m', os.O_CREAT | os.O_RDWR); os.unlink('m'); os.ftruncate(f, 100 << 20)\n\
                  c = ctypes.CDLL(None); c.mmap.restype = ctypes.c_void_p; c.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]\n\
                  at = c.mmap(None, 100 << 20, 3, 1, f, 0); os.close(f); ctypes.memset(at, 1, 100 << 20); time.sleep(1000)";
    let mut mapping = with_disk(&root, "", 20_000_000, 1_000_000);
    mapping.command = ["python3", "-c", mapped].map(str::to_owned).into();

    for mut spec in [with_disk(&root, open, 20_000_000, 1_000_000), mapping] {
        spec.limits.wall = Duration::from_secs(60);
        let (log, outcome) = run(&spec);
        assert_eq!((log.as_str(), outcome.exit), ("", Exit::DiskFull));
    }
}

#[test]
fn a_run_that_fails_because_it_wrote_too_much_at_once_is_told_as_that() {
    let root = Root::new();
    let mut spec = with_disk(&root, "head -c 30000000 /dev/zero > big", 5_000_000, 100);
    spec.limits.file_bytes = 20_000_000;

    assert_eq!(run(&spec).1.exit, Exit::DiskFull);
}

#[test]
fn a_run_within_its_room_is_left_alone() {
    let root = Root::new();

    let (_, outcome) = run(&with_disk(&root, "head -c 1M /dev/zero > a; exit 3", 5_000_000, 100));

    assert_eq!(outcome.exit, Exit::Exited(3));
}

#[test]
fn who_asks_for_one_core_gets_no_more_where_the_host_can() {
    let root = Root::new();
    let script = "for i in 1 2 3 4; do (for ((n = 0; n < 60000; n++)); do :; done) & done; wait";
    let mut spec = root.spec(script);
    spec.limits.cores = Some(1);

    let running = Sandbox::spawn(&spec, &helper()).expect("spawn");
    let cores = running.enforced().cores;
    let outcome = running.wait().expect("wait");

    assert_eq!(outcome.exit, Exit::Exited(0));
    // The share of one period may be used at its beginning and at its end.
    let most = outcome.wall + Duration::from_millis(200);
    assert!(cores.is_none() || outcome.user_cpu + outcome.sys_cpu <= most, "{outcome:?}");
}

#[test]
fn runs_without_a_limit_of_cores_share_processors_as_runs_and_not_by_their_processes() {
    let root = Root::new();
    let mut running = Sandbox::spawn(&root.spec("cat /proc/self/cgroup"), &helper()).expect("spawn");
    let enforced = running.enforced();
    let mut groups = String::new();
    running.take_log().expect("log").read_to_string(&mut groups).expect("read");
    running.wait().expect("wait");

    let of_cpu = groups.lines().find(|line| line.split([':', ',']).any(|name| name == "cpu"));

    assert_eq!(enforced.cores, None);
    // Where one hierarchy has all, or this process may make no groups, there is nothing to see.
    if let (Some(line), Some(anima_sandbox::Via::CgroupV1)) = (of_cpu, enforced.pids) {
        assert!(line.contains("/anima-sandbox-"), "{groups}");
    }
}

#[test]
fn a_fork_bomb_that_goes_on_is_ended() {
    let root = Root::new();
    let mut spec = root.spec("");
    let bomb = "import os\nwhile True:\n  try: os.fork()\n  except OSError: pass";
    spec.command = ["python3", "-c", bomb].map(str::to_owned).into();
    spec.limits.pids = 50;

    let running = Sandbox::spawn(&spec, &helper()).expect("spawn");
    if running.enforced().pids == Some(anima_sandbox::Via::Rlimit) {
        return; // nobody counts what the kernel refused
    }

    assert_eq!(running.wait().expect("wait").exit, Exit::TooManyProcesses);
}

#[test]
fn memory_is_bounded_where_the_host_can() {
    let root = Root::new();
    let mut spec = root.spec("python3 -c 'x = b\"x\" * 200_000_000'; echo after");
    spec.limits.memory_bytes = Some(64 * 1024 * 1024);
    spec.command[2] = "python3 -c 'x = b\"x\" * 200_000_000' || exit 1".to_owned();

    let running = Sandbox::spawn(&spec, &helper()).expect("spawn");
    let memory = running.enforced().memory;
    let outcome = running.wait().expect("wait");

    match memory {
        Some(_) => assert_eq!(outcome.exit, Exit::OutOfMemory, "{outcome:?}"),
        None => assert_eq!(outcome.exit, Exit::Exited(0), "{outcome:?}"),
    }
}

#[test]
fn control_groups_are_gone_after_a_run() {
    let root = Root::new();
    let mut spec = root.spec("sleep 1000 & cat /proc/self/cgroup");
    spec.limits.memory_bytes = Some(256 * 1024 * 1024);
    let running = Sandbox::spawn(&spec, &helper()).expect("spawn");
    let name = format!("anima-sandbox-{}", running.helper_pid());

    running.wait().expect("wait");

    assert_eq!(directories_named(&name, "/sys/fs/cgroup".as_ref()), 0);
}

/// The caller is a process of its own here: this test's binary, started again for the test below only.
#[test]
fn nothing_is_left_when_the_caller_is_killed() {
    let marker = format!("13{}", std::process::id());
    let mut caller = Command::new(std::env::current_exe().expect("own path"))
        .args(["--exact", "a_caller_to_be_killed", "--nocapture"])
        .env("ANIMA_TEST_MARKER", &marker)
        .stdout(Stdio::piped())
        .spawn()
        .expect("spawn");
    let mut lines = BufReader::new(caller.stdout.take().expect("stdout")).lines();
    let inside = lines.by_ref().map(|line| line.expect("read")).find(|line| line.contains("inside is on"));
    assert!(inside.is_some());
    assert_ne!(processes_with(&marker), 0);

    caller.kill().expect("kill");
    caller.wait().expect("reap");

    // The supervisor and all inside hold the log's pipe, and the caller's stdout is inherited by none of them.
    wait_until_none(&marker);
}

#[test]
fn a_caller_to_be_killed() {
    let Ok(marker) = std::env::var("ANIMA_TEST_MARKER") else { return };
    let root = Root::new();
    let script = format!("sleep {marker} & echo inside is on; sleep {marker}");
    let mut running = Sandbox::spawn(&root.spec(&script), &helper()).expect("spawn");
    let mut log = running.take_log().expect("log");
    std::io::copy(&mut log, &mut std::io::stdout()).expect("copy");
}

/// Counts processes of the host that have this in their arguments.
fn processes_with(marker: &str) -> usize {
    let all = std::fs::read_dir("/proc").expect("read /proc").flatten();
    let lines = all.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    lines.filter(|line| String::from_utf8_lossy(line).contains(marker)).count()
}

/// The kernel kills asynchronously; this asks until it has, and a minute at most.
fn wait_until_none(argument: &str) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while processes_with(argument) > 0 {
        assert!(Instant::now() < deadline, "processes are left");
        std::thread::yield_now();
    }
}

fn directories_named(name: &str, top: &std::path::Path) -> usize {
    let entries = std::fs::read_dir(top).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| usize::from(entry.file_name() == name) + directories_named(name, &entry.path()))
        .sum()
}
