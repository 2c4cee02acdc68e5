//! A root that a person enters: in the same sandbox that builds run in, at a terminal of its own.

use std::path::PathBuf;

use anima_sandbox::{Emulator, Error, Identity, Running, Sandbox, Spec, Terminal};
use anima_types::Arch;

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
