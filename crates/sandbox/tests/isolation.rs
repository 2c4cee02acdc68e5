//! What a command inside can see and do.

mod common;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use anima_sandbox::{Access, Error, Exit, Identity, Mount, Sandbox, UserNamespace};
use common::{Root, helper, run};
use tempfile::TempDir;

/// Runs a script in both kinds of sandbox; it must succeed in both, and say the same.
fn says(script: &str, expected: &str) {
    for user_namespace in [UserNamespace::WhenPossible, UserNamespace::Off] {
        let root = Root::new();
        let mut spec = root.spec(script);
        spec.user_namespace = user_namespace;

        let (log, outcome) = run(&spec);

        assert_eq!((log.as_str(), outcome.exit), (expected, Exit::Exited(0)), "{user_namespace:?}");
    }
}

#[test]
fn a_command_runs_as_an_ordinary_user_without_groups() {
    says("id -u; id -g; id -G", "1000\n1000\n1000\n");
}

#[test]
fn an_ordinary_user_has_no_capability_and_cannot_gain_one() {
    says(
        "grep -E '^(CapInh|CapPrm|CapEff|CapBnd|CapAmb|NoNewPrivs|Seccomp):' /proc/self/status",
        "CapInh:\t0000000000000000\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nCapBnd:\t0000000000000000\n\
         CapAmb:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n",
    );
}

#[test]
fn stdout_and_stderr_are_one_log_in_order() {
    says("echo 1; echo 2 >&2; echo 3", "1\n2\n3\n");
}

#[test]
fn standard_input_is_empty_and_no_other_descriptor_is_open() {
    says("cat; ls /proc/self/fd | head -c 6 | tr '\\n' ' '", "0 1 2 ");
}

#[test]
fn the_environment_is_the_spec_and_nothing_else() {
    says(
        "env | grep -v -E '^(PWD|SHLVL|_|OLDPWD)=' | sort",
        "HOME=/\nLANG=C.UTF-8\nPATH=/usr/bin:/usr/sbin:/bin:/sbin\nTERM=dumb\n",
    );
}

#[test]
fn a_broken_pipe_ends_a_writer_as_usual() {
    says("yes | head -1; echo ${PIPESTATUS[0]}", "y\n141\n");
}

#[test]
fn the_host_name_is_not_the_hosts() {
    says("cat /proc/sys/kernel/hostname", "buildhost\n");
}

#[test]
fn there_is_no_network_but_loopback() {
    says("ls /proc/sys/net/ipv4/conf | sort | tr '\\n' ' '; cut -s -d: -f1 /proc/net/dev", "all default lo     lo\n");
}

#[test]
fn loopback_works() {
    let python = "import socket
s = socket.create_server(('127.0.0.1', 0)); c = socket.create_connection(s.getsockname()); s.accept()[0].send(b'hello'); print(c.recv(5).decode())";
    says(&format!("python3 -c \"{python}\""), "hello\n");
}

#[test]
fn other_processes_of_the_host_are_invisible() {
    // Its own are five at most: the first, the shell, the one that it counts in, and the two that count.
    let script = "test $(ls /proc | grep -c -E '^[0-9]+$') -le 5 && echo only its own; cat /proc/1/comm";
    says(script, "only its own\nanima-sandbox\n");
}

#[test]
fn files_of_the_host_are_invisible() {
    says(
        "ls -A /; test ! -e /etc/passwd; test ! -e /proc/1/root/etc",
        "bin\ndev\nhome\nlib\nlib64\nproc\nrun\nsbin\nsys\nusr\n",
    );
}

#[test]
fn what_is_bound_read_only_cannot_be_changed_even_by_root() {
    let root = Root::new();
    let mut spec = root.spec("touch /usr/x; rm /usr/bin/env; mount -o remount,rw /usr; chmod 777 /usr");
    spec.identity = Identity::Root;

    let (log, outcome) = run(&spec);

    assert_ne!(outcome.exit, Exit::Exited(0));
    assert_eq!(log.matches("Read-only file system").count(), 3, "{log}");
}

#[test]
fn devices_and_their_links_are_there() {
    says(
        "ls /dev | tr '\\n' ' '; echo; head -c 3 /dev/zero | wc -c; echo x > /dev/null; cat <(echo fd); echo e >/dev/stderr; \
         echo s > /dev/shm/s && cat /dev/shm/s; (: > /dev/full) && ! echo x 2>/dev/null > /dev/full; head -c 8 /dev/urandom | wc -c; \
         python3 -c 'import pty; pty.openpty(); print(\"pty\")'",
        "core fd full null ptmx pts random shm stderr stdin stdout tty urandom zero \n3\nfd\ne\ns\n8\npty\n",
    );
}

#[test]
fn the_kernels_settings_are_read_only_even_for_root() {
    let root = Root::new();
    for user_namespace in [UserNamespace::WhenPossible, UserNamespace::Off] {
        let mut spec = root.spec(
            "for it in sys/kernel/core_pattern sys/kernel/hostname sys/vm/drop_caches sysrq-trigger; do \
             (echo 1 > /proc/$it) 2>/dev/null && echo $it; done; cat /proc/kcore /proc/keys 2>/dev/null; ls /sys",
        );
        spec.identity = Identity::Root;
        spec.user_namespace = user_namespace;

        let (log, outcome) = run(&spec);

        assert_eq!((log.as_str(), outcome.exit), ("", Exit::Exited(0)), "{user_namespace:?}");
    }
}

#[test]
fn mounts_and_namespaces_are_refused_even_to_root() {
    let root = Root::new();
    for identity in [Identity::Root, Identity::User { uid: 1000, gid: 1000 }] {
        let mut spec = root.spec(
            "for it in 'mount -t tmpfs x /home' 'umount /proc' 'umount -l /usr' 'unshare -U true' 'unshare -Ur true' 'unshare -m true' \
             'nsenter -t 1 -m true' 'mknod /home/sda b 8 0' 'hostname other' 'date -s 2001-01-01' 'dmesg' 'swapoff -a x' 'chroot /proc/1/cwd/../../.. ls /root'; do \
             $it >/dev/null 2>&1 && echo \"$it was possible\"; done; true",
        );
        spec.identity = identity;

        let (log, outcome) = run(&spec);

        assert_eq!((log.as_str(), outcome.exit), ("", Exit::Exited(0)), "{identity:?}");
    }
}

#[test]
fn devices_and_the_kernels_files_keep_their_modes_and_owners_even_from_root() {
    let root = Root::new();
    for user_namespace in [UserNamespace::WhenPossible, UserNamespace::Off] {
        // Each is changed to what it is already, which harms no host that would let it happen.
        let mut spec = root.spec(
            "for it in /dev/null /dev/full /dev/tty /proc/consoles /proc/version /proc/driver /proc/sys; do \
             chmod $(stat -c %a $it) $it 2>/dev/null && echo $it; chown 0:0 $it 2>/dev/null && echo owner of $it; done; \
             chmod $(stat -L -c %a /dev/stdin) /dev/stdin 2>/dev/null </dev/null && echo stdin; \
             echo x >/dev/null && echo x >>/dev/null && head -c 1 /dev/zero >/dev/null && cat /proc/version >/dev/null && echo usable; \
             echo 500 >/proc/self/oom_score_adj && printf name >/proc/$$/comm && cat /proc/$$/comm; cat /proc/mounts >/dev/null",
        );
        spec.identity = Identity::Root;
        spec.user_namespace = user_namespace;

        let (log, outcome) = run(&spec);

        assert_eq!((log.as_str(), outcome.exit), ("usable\nname\n", Exit::Exited(0)), "{user_namespace:?}");
    }
}

#[test]
fn sockets_are_of_few_families_and_room_is_taken_by_writing_only() {
    let python = "import errno, fcntl, socket
for family in (1, 2, 10, 16): socket.socket(family, socket.SOCK_RAW if family == 16 else socket.SOCK_STREAM).close()
socket.socketpair()
def errors(call, *arguments):
    try: call(*arguments); return 'none'
    except OSError as error: return errno.errorcode[error.errno]
print({errors(socket.socket, family, kind) for family in (3, 9, 17, 21, 29, 30, 31, 38, 40, 43, 44) for kind in (1, 2, 5)})
print(errors(socket.socketpair, 40))
file = open('file', 'w')
print({errors(fcntl.ioctl, file, command, bytes(64)) for command in (0x40305828, 0x4030582a, 0x40305839, 0x402c5828, 0x401c5820)})
print(errors(fcntl.ioctl, file, 0x5401, bytes(64)))";
    says(&format!("python3 -c \"{python}\""), "{'EAFNOSUPPORT'}\nEAFNOSUPPORT\n{'ENOTSUP'}\nENOTTY\n");
}

#[test]
fn the_program_of_pid_1_cannot_be_reached() {
    let root = Root::new();
    for user_namespace in [UserNamespace::WhenPossible, UserNamespace::Off] {
        let mut spec = root.spec("for it in exe root cwd fd/0 mem maps environ; do cat /proc/1/$it > /dev/null && echo $it; done; gdb -p 1 -batch; true");
        spec.identity = Identity::Root;
        spec.user_namespace = user_namespace;

        let (log, _) = run(&spec);

        assert_eq!(log.matches("Permission denied").count() + log.matches("Is a directory").count(), 7, "{log}");
        assert!(!log.lines().any(|line| ["exe", "mem", "maps", "environ"].contains(&line)), "{log}");
    }
}

#[test]
fn root_may_do_what_installing_packages_takes() {
    let root = Root::new();
    for user_namespace in [UserNamespace::WhenPossible, UserNamespace::Off] {
        let mut spec = root.spec(
            "set -e; touch f; chown 1234:65534 f; chmod 4755 f; stat -c '%u %g %a' f; cp /usr/bin/true t; setcap cap_net_raw+ep t; getcap t; \
             setpriv --reuid 33 --clear-groups id -u; chroot / /bin/true; rm f t",
        );
        spec.identity = Identity::Root;
        spec.user_namespace = user_namespace;

        let (log, outcome) = run(&spec);

        assert_eq!((log.as_str(), outcome.exit), ("1234 65534 4755\nt cap_net_raw=ep\n33\n", Exit::Exited(0)));
    }
}

#[test]
fn a_read_only_root_cannot_be_changed() {
    let root = Root::new();
    for name in ["usr", "proc", "dev", "sys", "run"] {
        std::fs::create_dir(root.path().join(name)).expect("make a place to mount at");
    }
    let mut spec = root.spec("touch /home/x; touch /run/x || echo bad");
    spec.identity = Identity::Root;
    spec.root_access = Access::ReadOnly;

    let (log, _) = run(&spec);

    assert_eq!(log, "touch: cannot touch '/home/x': Read-only file system\n");
}

#[test]
fn mounts_of_the_spec_appear_where_they_are_wanted() {
    let root = Root::new();
    let source = tempfile::tempdir().expect("make a directory");
    std::fs::write(source.path().join("file"), "of the host\n").expect("write");
    let mut spec = root.spec("cat /in/dir/file /in/file; echo new > /out/new; df -B1 --output=size /tmp/t | tail -1 | tr -d ' '; ls /home/dev/null; stat -c %a /tmp/t");
    let bind = |source, target: &str, access| Mount::Bind { source, target: target.into(), access };
    spec.identity = Identity::Root;
    spec.mounts.extend([
        bind(source.path().into(), "/in/dir", Access::ReadOnly),
        bind(source.path().join("file"), "/in/file", Access::ReadOnly),
        bind(source.path().into(), "/out", Access::ReadWrite),
        Mount::Tmpfs { target: "/tmp/t".into(), size_bytes: 65536, mode: 0o1777 },
        Mount::Mirror { of: "/dev".into(), target: "/home/dev".into() },
    ]);

    let (log, _) = run(&spec);

    assert_eq!(log, "of the host\nof the host\n65536\n/home/dev/null\n1777\n");
    assert_eq!(std::fs::read_to_string(source.path().join("new")).expect("read"), "new\n");
}

#[test]
fn a_symlink_in_the_root_does_not_lead_a_mount_out_of_it() {
    let (root, outside) = (Root::new(), tempfile::tempdir().expect("make a directory"));
    std::os::unix::fs::symlink(outside.path(), root.path().join("trap")).expect("link");
    let same_path_inside = root.path().join(outside.path().strip_prefix("/").expect("absolute"));
    std::fs::create_dir_all(&same_path_inside).expect("make what the link means inside");
    let mut spec = root.spec("ls -d /trap/in");
    spec.mounts.push(Mount::Tmpfs { target: "/trap/in".into(), size_bytes: 4096, mode: 0o755 });

    let (log, _) = run(&spec);

    assert_eq!(log, "/trap/in\n");
    assert!(same_path_inside.join("in").is_dir());
    assert_eq!(std::fs::read_dir(outside.path()).expect("read").count(), 0);
}

#[test]
fn what_cannot_be_set_up_is_told_with_its_step() {
    let root = Root::new();
    let failure = |change: &dyn Fn(&mut anima_sandbox::Spec)| {
        let mut spec = root.spec("true");
        change(&mut spec);
        Sandbox::spawn(&spec, &helper()).expect_err("refused").to_string()
    };

    assert_eq!(
        failure(&|spec| spec.command[0] = "/bin/nothing".into()),
        "set up sandbox: execute /bin/nothing: No such file or directory (os error 2)"
    );
    assert_eq!(
        failure(&|spec| spec.cwd = "/no".into()),
        "set up sandbox: enter /no: No such file or directory (os error 2)"
    );
    assert!(failure(&|spec| spec.root = "/no/root".into()).contains("enter root /no/root: No such file"));
    let missing = Mount::Bind { source: "/no/x".into(), target: "/x".into(), access: Access::ReadOnly };
    assert!(failure(&|spec| spec.mounts.push(missing.clone())).contains("open /no/x to mount it: No such file"));
}

#[test]
fn a_program_that_is_no_helper_is_an_error() {
    let root = Root::new();
    let spawn = |helper: &str| Sandbox::spawn(&root.spec("true"), helper.as_ref()).expect_err("refused");

    assert!(matches!(spawn("/bin/true"), Error::HelperEnded(_)));
    assert!(matches!(spawn("/no/helper"), Error::Helper { .. }));
}

/// A folder with a system in it and a helper that runs there, confined with `chroot`, as in a bare system that somebody
/// bootstrapped: its `/` is no mount, and it has no `/sys`.
fn confined_helper(root: &Root) -> (TempDir, PathBuf) {
    let system = tempfile::tempdir().unwrap();
    let at = |path: &Path| system.path().join(path.strip_prefix("/").unwrap());
    for name in ["bin", "sbin", "lib", "lib64"] {
        symlink(Path::new("usr").join(name), system.path().join(name)).unwrap();
    }
    for folder in ["/usr", "/proc", "/dev"] {
        fs::create_dir(at(Path::new(folder))).unwrap();
    }
    fs::create_dir_all(at(root.path())).unwrap();
    fs::copy(helper(), system.path().join("helper")).unwrap();
    fs::write(system.path().join("secret"), "").unwrap();
    let script = format!(
        "#!/bin/sh\nexec unshare --mount sh -c '
            cd {system} && mount --bind /usr usr && mount --bind {root} {inner} && mount --rbind /dev dev &&
            mount -t proc proc proc && exec chroot . /helper sandbox-init'\n",
        system = system.path().display(),
        root = root.path().display(),
        inner = at(root.path()).display(),
    );
    let path = system.path().join("start");
    fs::write(&path, script).unwrap();
    fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    (system, path)
}

#[test]
fn a_program_that_is_confined_to_a_folder_makes_sandboxes_whose_root_is_theirs() {
    let root = Root::new();
    let (_system, helper) = confined_helper(&root);
    let mut log = Vec::new();

    let spec = root.spec("id -u; ls / | tr '\\n' ' '; cut -d ' ' -f 5 /proc/self/mountinfo | grep -cx /");
    let outcome = Sandbox::spawn(&spec, &helper).unwrap().wait_with_log(&mut log).unwrap();

    let log = String::from_utf8_lossy(&log);
    assert_eq!(
        (log.as_ref(), outcome.exit),
        ("1000\nbin dev home lib lib64 proc run sbin sys usr 1\n", Exit::Exited(0))
    );
}

#[test]
fn a_person_at_a_terminal_gets_one_of_the_sandboxs_own() {
    use std::io::{Read, Write};
    for user_namespace in [UserNamespace::WhenPossible, UserNamespace::Off] {
        let root = Root::new();
        let mut spec = root.spec("read word; test -t 0 && test -t 1 && echo \"<$word>\"; stty size");
        spec.user_namespace = user_namespace;

        let (running, mut terminal) = Sandbox::spawn_on_terminal(&spec, &helper()).unwrap();
        terminal.write_all(b"hello\n").unwrap();
        let mut screen = String::new();
        terminal.read_to_string(&mut screen).unwrap();
        let outcome = running.wait().unwrap();

        assert_eq!(outcome.exit, Exit::Exited(0), "{screen}");
        assert!(screen.contains("<hello>\r\n") && screen.contains("0 0"), "{screen:?}");
    }
}

/// A program of 32 bits that makes one system call and ends with its error number, or the negative of what it answers.
#[cfg(target_arch = "x86_64")]
fn program_of_32_bits(call: u32, first: u32, second: u32) -> Vec<u8> {
    const BASE: u32 = 0x0804_8000;
    const HEADERS: u32 = 52 + 32;
    let mut code = vec![0xb8];
    code.extend(call.to_le_bytes()); // mov eax, call
    code.push(0xbb);
    code.extend(first.to_le_bytes()); // mov ebx, first
    code.push(0xb9);
    code.extend(second.to_le_bytes()); // mov ecx, second
    code.extend([0x31, 0xd2, 0x31, 0xf6, 0x31, 0xff]); // xor of edx, esi and edi
    code.extend([0xcd, 0x80, 0xf7, 0xd8, 0x89, 0xc3]); // int 0x80; neg eax; mov ebx, eax
    code.extend([0xb8, 1, 0, 0, 0, 0xcd, 0x80]); // exit
    let size = HEADERS + code.len() as u32;
    let mut file = b"\x7fELF\x01\x01\x01".to_vec();
    file.resize(16, 0);
    let halves = |file: &mut Vec<u8>, halves: &[u16]| halves.iter().for_each(|half| file.extend(half.to_le_bytes()));
    let words = |file: &mut Vec<u8>, words: &[u32]| words.iter().for_each(|word| file.extend(word.to_le_bytes()));
    // An executable for the 386, with one segment that is this file.
    halves(&mut file, &[2, 3]);
    words(&mut file, &[1, BASE + HEADERS, 52, 0, 0]);
    halves(&mut file, &[52, 32, 1, 0, 0, 0]);
    words(&mut file, &[1, 0, BASE, BASE, size, size, 5, 0x1000]);
    file.extend(code);
    file
}

#[test]
#[cfg(target_arch = "x86_64")]
fn a_program_of_32_bits_is_held_by_the_same_filter() {
    let root = Root::new();
    let answer = |call, first, second| {
        let program = root.path().join("home/program");
        fs::write(&program, program_of_32_bits(call, first, second)).unwrap();
        fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
        run(&root.spec("./program")).1.exit
    };
    let status = |call, first| answer(call, first, 0);

    // getuid32: the negative of 1000, as far as a status goes.
    assert_eq!(status(199, 0), Exit::Exited(24), "the kernel runs programs of 32 bits");
    let (no_family, not_supported) = (Exit::Exited(97), Exit::Exited(95));
    assert_eq!(
        (answer(359, 40, 1), answer(360, 40, 1), answer(54, 1, 0x402c_5828)),
        (no_family, no_family, not_supported)
    );
    let (not_permitted, not_implemented) = (Exit::Exited(1), Exit::Exited(38));
    for (name, call, first) in [
        ("unshare of users", 310, 0x1000_0000),
        ("mount", 21, 0),
        ("umount2", 52, 0),
        ("pivot_root", 217, 0),
        ("init_module", 128, 0),
        ("reboot", 88, 0),
        ("keyctl", 288, 0),
        ("bpf", 357, 0),
        ("perf_event_open", 336, 0),
        ("userfaultfd", 374, 0),
        ("io_uring_setup", 425, 1),
        ("open_tree", 428, 0),
        ("swapon", 87, 0),
        ("kexec_load", 283, 0),
    ] {
        let exit = status(call, first);
        assert!(exit == not_permitted || exit == not_implemented, "{name}: {exit:?}");
    }
}
