//! What a confined process can no longer do, tried in a process of its own: this very test program, started again.

use std::{
    fs,
    io::ErrorKind,
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Command,
};

use anima_sign_server::confine::confine;

/// Tells the program that it is to confine itself, and where its folder is.
const FOLDER: &str = "ANIMA_TEST_CONFINED_FOLDER";
/// The address of something that listens outside.
const ADDRESS: &str = "ANIMA_TEST_CONFINED_ADDRESS";

#[test]
fn a_confined_process_signs_and_calls_out_and_can_do_nothing_else() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return confined(&PathBuf::from(folder));
    }
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("foreign"), "not ours").unwrap();
    let master = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();

    let done = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_confined_process_signs_and_calls_out_and_can_do_nothing_else", "--nocapture"])
        .env(FOLDER, dir.path().join("data"))
        .env(ADDRESS, master.local_addr().unwrap().to_string())
        .output()
        .unwrap();

    assert!(
        done.status.success(),
        "{}{}",
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr)
    );
}

fn confined(data: &Path) {
    let (foreign, passphrase) = (data.with_file_name("foreign"), data.with_file_name("passphrase"));
    fs::write(&passphrase, "secret").unwrap();
    let listening = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();

    let held = confine(data, &[&passphrase], &[]).unwrap();

    // What it needs.
    fs::write(data.join("journal.jsonl"), "a line").unwrap();
    assert_eq!(fs::read_to_string(data.join("journal.jsonl")).unwrap(), "a line");
    assert_eq!(fs::read_to_string(&passphrase).unwrap(), "secret");
    TcpStream::connect(std::env::var(ADDRESS).unwrap()).unwrap();
    std::thread::spawn(|| ()).join().unwrap();

    // No image of its memory, for nobody, and no way to more rights.
    assert_eq!(rustix::process::dumpable_behavior().unwrap(), rustix::process::DumpableBehavior::NotDumpable);
    assert_eq!(rustix::process::getrlimit(rustix::process::Resource::Core).current, Some(0));
    assert!(rustix::thread::no_new_privs().unwrap());

    if held.has_seccomp {
        let refused = |result: std::io::Result<()>| assert_eq!(result.unwrap_err().raw_os_error(), Some(libc::EPERM));
        refused(Command::new("/bin/true").status().map(drop));
        refused(rustix::net::listen(&listening, 1).map_err(Into::into));
        refused(listening.accept().map(drop));
        // Later threads are confined as well.
        std::thread::spawn(move || refused(Command::new("/bin/true").status().map(drop))).join().unwrap();
    }
    if held.has_landlock {
        let denied = |kind: ErrorKind| assert_eq!(kind, ErrorKind::PermissionDenied);
        denied(fs::read_to_string(&foreign).unwrap_err().kind());
        denied(fs::write(&foreign, "altered").unwrap_err().kind());
        denied(fs::read_to_string("/etc/passwd").unwrap_err().kind());
        denied(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap_err().kind());
    }
}
