//! A root that a person enters: in the same sandbox that builds run in, at a terminal of its own.

use std::path::PathBuf;

use anima_environment::room_beside;
use anima_sandbox::{Disk, Emulator, Error, Identity, Running, Sandbox, Spec, Terminal};
use anima_types::Arch;

use crate::limits::Limits;
use crate::workroot::{TOP, environment_variables, personality};

/// Who a person is in a root.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Who {
    /// The user that builds run as.
    Builder,
    /// Root of the root: what installing packages takes, and no more.
    Root,
}

/// A mounted root, and what it takes to enter it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Where it is mounted.
    pub root: PathBuf,
    /// The build user and his group.
    pub owner: (u32, u32),
    /// What it is for.
    pub arch: Arch,
    /// What runs its programs where this machine does not.
    pub emulators: Vec<Emulator>,
    /// The program that sandboxes are started with.
    pub helper: PathBuf,
    /// The folder of the host that everything goes to that is written in the root.
    pub(crate) written: PathBuf,
    /// What the task that the root is of may use: a person in it may as much, beside what is written there already.
    pub(crate) limits: Limits,
}

impl Entry {
    /// Starts a command at a terminal; `terminal_name` is what `TERM` says of the person's own.
    pub fn on_terminal(&self, command: &[String], who: Who, terminal_name: &str) -> Result<(Running, Terminal), Error> {
        let mut spec = self.spec(command, who);
        spec.env.insert("TERM".to_owned(), terminal_name.to_owned());
        Sandbox::spawn_on_terminal(&spec, &self.helper)
    }

    /// Starts a command without one; its output is the log.
    pub fn run(&self, command: &[String], who: Who) -> Result<Running, Error> {
        Sandbox::spawn(&self.spec(command, who), &self.helper)
    }

    fn spec(&self, command: &[String], who: Who) -> Spec {
        let shell = ["/bin/bash".to_owned(), "-l".to_owned()];
        let command = if command.is_empty() { &shell[..] } else { command };
        let personality = personality(self.arch).iter().map(|word| (*word).to_owned());
        let mut spec = Spec::new(&self.root, personality.chain(command.iter().cloned()));
        spec.emulators.clone_from(&self.emulators);
        spec.env = environment_variables();
        spec.cwd = TOP.into();
        spec.limits = anima_sandbox::Limits {
            memory_bytes: Some(self.limits.memory_bytes),
            cores: self.limits.cores,
            pids: self.limits.processes,
            file_bytes: self.limits.disk_bytes.saturating_mul(2),
            ..anima_sandbox::Limits::default()
        };
        // What cannot be counted gets nothing beside.
        let Limits { disk_bytes: bytes, files, .. } = self.limits;
        let whole = |_| Disk { path: self.written.clone(), bytes, files };
        spec.disk = Some(room_beside(&self.written, bytes, files).unwrap_or_else(whole));
        let (uid, gid) = self.owner;
        spec.identity = match who {
            Who::Builder => Identity::User { uid, gid },
            Who::Root => Identity::Root,
        };
        if who == Who::Root {
            for (key, value) in [("HOME", "/root"), ("USER", "root"), ("LOGNAME", "root")] {
                spec.env.insert(key.to_owned(), value.to_owned());
            }
        }
        spec
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{MIB, Machine};

    #[test]
    fn a_person_may_use_what_the_task_might() {
        let written = tempfile::tempdir().unwrap();
        std::fs::write(written.path().join("left"), vec![1; 1 << 20]).unwrap();
        let machine = Machine { memory_bytes: 10 * MIB, free_disk_bytes: 0, free_files: u64::MAX, slots: 1 };
        let said = anima_types::platform::Limits { processes: Some(7), cores: Some(2), ..Default::default() };
        let entry = Entry {
            root: "/root".into(),
            owner: (1000, 1000),
            arch: Arch::X86_64,
            emulators: Vec::new(),
            helper: "/helper".into(),
            written: written.path().to_owned(),
            limits: Limits { disk_bytes: 3 * MIB, files: 10, ..Limits::of_node(machine, said) },
        };

        for who in [Who::Builder, Who::Root] {
            let spec = entry.spec(&[], who);

            let limits = (spec.limits.memory_bytes, spec.limits.cores, spec.limits.pids, spec.limits.file_bytes);
            assert_eq!(limits, (Some(9 * MIB), Some(2), 7, 6 * MIB));
            let disk = spec.disk.unwrap();
            assert!(disk.path == written.path() && (4 * MIB..6 * MIB).contains(&disk.bytes), "{disk:?}");
            assert_eq!(disk.files, 11);
        }
    }
}
