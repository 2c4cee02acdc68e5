//! The Sign Server as the kernel sees it while it runs: whose it is, and what it can still do.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

use anima_testkit::System;
use anima_types::key::Status;

use crate::BUILD_LIMIT;

/// Returns a line of `/proc/PID/status`.
fn status(pid: &str, name: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("there is no {name} in {text}")).trim().to_string()
}

/// Returns the sockets of a process that listen.
fn listening(pid: &str) -> Vec<String> {
    let links = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let own: Vec<String> =
        links.filter_map(|fd| Some(fs::read_link(fd.ok()?.path()).ok()?.display().to_string())).collect();
    let mut found = Vec::new();
    for table in ["tcp", "tcp6"] {
        let text = fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap_or_default();
        for line in text.lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let is_own = own.contains(&format!("socket:[{}]", fields[9]));
            // State 0A is LISTEN.
            if fields[3] == "0A" && is_own {
                found.push(line.to_string());
            }
        }
    }
    found
}

#[tokio::test]
async fn the_sign_server_runs_as_its_own_user_listens_nowhere_and_its_keys_are_no_others() {
    let program = Path::new(env!("CARGO_BIN_EXE_anima"));
    let system = System::start_some(program, &["master", "sign-server"]).await.unwrap();
    let client = system.client();
    let made = async || client.keys().await.ok()?.into_iter().find(|key| key.status == Status::Active);
    system.wait(BUILD_LIMIT, made).await.expect("it has made the product's key");
    let pid = fs::read_to_string(system.data().join("run/sign-server.pid")).unwrap().trim().to_string();
    let master = fs::read_to_string(system.data().join("run/master.pid")).unwrap().trim().to_string();

    // A user of its own, no way to more rights, a filter of system calls.
    let user = status(&pid, "Uid").split_whitespace().next().unwrap().parse::<u32>().unwrap();
    let name = fs::read_to_string("/etc/passwd").unwrap();
    let name =
        name.lines().find(|line| line.split(':').nth(2) == Some(&user.to_string())).unwrap_or_default().to_string();
    assert!(name.starts_with("anima-sign:"), "it runs as {user}: {name}");
    assert_eq!(status(&pid, "Groups"), "", "it is in no group besides");
    assert_eq!((status(&pid, "NoNewPrivs").as_str(), status(&pid, "Seccomp").as_str()), ("1", "2"));
    assert_eq!(status(&pid, "CapEff"), "0000000000000000");

    // Nothing listens, and nothing of its memory goes to a file: no image, and no swap where the limit allows it.
    assert_eq!(listening(&pid), [""; 0]);
    assert!(!listening(&master).is_empty(), "the same look sees that the master listens");
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let of = |name: &str| limits.lines().find(|line| line.starts_with(name)).unwrap().to_string();
    let core: Vec<String> = of("Max core file size").split_whitespace().map(str::to_string).collect();
    assert_eq!(core[4..6], ["0", "0"], "{core:?}");
    let said = fs::read_to_string(system.data().join("logs/sign-server.log")).unwrap();
    let locked_kib: u64 = status(&pid, "VmLck").trim_end_matches(" kB").parse().unwrap();
    assert_eq!(of("Max locked memory").contains("unlimited"), locked_kib > 0, "{}\n{said}", of("Max locked memory"));

    // Keys, journal and passphrase are its own, and nobody else's to read.
    let folder = system.data().join("sign-server");
    let mut paths = vec![folder.clone()];
    let mut count = 0;
    while let Some(path) = paths.pop() {
        let about = fs::symlink_metadata(&path).unwrap();
        assert_eq!((about.uid(), about.mode() & 0o077), (user, 0), "{}", path.display());
        count += 1;
        if about.is_dir() {
            paths.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    assert!(count > 4, "{} is nearly empty", folder.display());
}
