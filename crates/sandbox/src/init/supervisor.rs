//! The supervisor: stays in the host's namespaces, holds the limits and the clock, and outlives everything inside.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::RecvFlags;
use rustix::process::{Signal, pidfd_send_signal};

use super::sys::{self, Ended, Forked, Process};
use super::watches::Watches;
use crate::cgroup::Groups;
use crate::spec::{MAPPED_IDS, VERSION};
use crate::wire::{self, CANCEL, DISK_FULL, Failure, Inside, LOG_TOO_LONG, Report, Step};
use crate::{Enforced, Exit, Outcome, Spec, UserNamespace, Via};

/// The namespaces of every sandbox.
const NAMESPACES: i32 = libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWCGROUP;

/// Lets pid 1 go on, once ids are mapped and limits are set.
pub(super) const GO: u8 = b'g';
/// The same, where no control group counts processes.
pub(super) const GO_WITHOUT_PIDS_GROUP: u8 = b'r';

/// Runs one sandbox to its end; returns the code to exit with.
pub(super) fn run(control: UnixStream) -> i32 {
    // The name is for people who read `ps`.
    let _ = rustix::thread::set_name(c"anima-sandbox");
    let report = supervise(&control).unwrap_or_else(Report::Failed);
    // A caller that is gone is not told.
    i32::from(wire::send(&control, &report).is_err())
}

fn supervise(control: &UnixStream) -> Result<Report, Failure> {
    let spec = read_spec(control)?;
    let began = Instant::now();
    let (link, far_link) = UnixStream::pair().step(|| "make a socket".to_owned())?;
    let watches = Watches::share_of_the_hosts();
    let (forked, user_namespace) = fork(&spec).step(|| "make namespaces".to_owned())?;
    let process = match forked {
        Forked::Parent(process) => process,
        Forked::Child => {
            drop(link);
            super::inside::run(&spec, far_link, user_namespace.then_some(watches))
        }
    };
    drop(far_link);
    let mut groups = Groups::create(&spec.limits);
    groups.add(process.pid);
    let mut sandbox =
        Supervised { process, link, groups, user_namespace, cause: None, word: None, looked: (began, 0, 0) };
    if let Err(failure) = sandbox.let_in() {
        sandbox.end(Cause::Lost);
        sandbox.word = Some(Inside::Failed(failure));
    }
    let ended = sandbox.watch(control, began + spec.limits.wall).step(|| "watch the sandbox".to_owned())?;
    Ok(sandbox.report(&ended, began.elapsed()))
}

fn read_spec(control: &UnixStream) -> Result<Spec, Failure> {
    let step = || "read the spec".to_owned();
    control.set_read_timeout(Some(wire::FRAME_PATIENCE)).step(step)?;
    let spec: Spec = wire::receive(control).step(step)?;
    if spec.version != VERSION {
        let step = format!("read a spec of version {}, this helper knows {VERSION}", spec.version);
        return Err(Failure { step, errno: libc::EPROTO });
    }
    if !rustix::process::geteuid().is_root() {
        return Err(Failure { step: "be root".to_owned(), errno: libc::EPERM });
    }
    Ok(spec)
}

/// Forks into all namespaces; tells, too, whether one of them is for users.
fn fork(spec: &Spec) -> io::Result<(Forked, bool)> {
    if spec.user_namespace == UserNamespace::WhenPossible {
        match sys::fork_into(NAMESPACES | libc::CLONE_NEWUSER) {
            Ok(forked) => return Ok((forked, true)),
            // Without one, an emulator would be registered for the whole host.
            Err(error) if !spec.emulators.is_empty() => return Err(error),
            Err(_) => {}
        }
    }
    Ok((sys::fork_into(NAMESPACES)?, false))
}

/// Processes are looked at this often.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// A program that tries how many processes it may have stops soon; what wants more for so many looks is a bomb.
const MAX_LOOKS_AT_LIMIT: u32 = 8;

/// Why the supervisor killed what is inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    Canceled,
    LogTooLong,
    DiskFull,
    TooManyProcesses,
    TimedOut,
    /// The caller died, or pid 1 cannot be let in.
    Lost,
}

struct Supervised {
    process: Process,
    link: UnixStream,
    groups: Groups,
    user_namespace: bool,
    cause: Option<Cause>,
    word: Option<Inside>,
    /// When processes were looked at, how many had been refused then, and in how many looks on end it became more.
    looked: (Instant, u64, u32),
}

impl Supervised {
    /// Maps the ids of pid 1, which only its parent may do, and lets it go on.
    fn let_in(&self) -> Result<(), Failure> {
        if self.user_namespace {
            for file in ["uid_map", "gid_map"] {
                let path = format!("/proc/{}/{file}", self.process.pid);
                std::fs::write(&path, format!("0 0 {MAPPED_IDS}\n")).step(|| format!("write {file}"))?;
            }
        }
        let go = if self.groups.pids().is_some() { GO } else { GO_WITHOUT_PIDS_GROUP };
        (&self.link).write_all(&[go]).step(|| "let the sandbox start".to_owned())
    }

    /// Returns when pid 1, and with it everything inside, has ended.
    fn watch(&mut self, control: &UnixStream, deadline: Instant) -> io::Result<Ended> {
        let (mut control_open, mut link_open) = (true, true);
        loop {
            let mut ready = self.poll(control, control_open, link_open, deadline)?;
            // In this order: what pid 1 said before it ended is heard first.
            if ready.link {
                link_open = self.listen(control);
                ready.ended = false;
            }
            if ready.control {
                control_open = self.obey(control);
            }
            if ready.ended {
                return sys::wait(self.process.pid);
            }
            if Instant::now() >= deadline {
                self.end(Cause::TimedOut);
            }
            self.look_at_processes();
        }
    }

    fn poll(&self, control: &UnixStream, control_open: bool, link_open: bool, deadline: Instant) -> io::Result<Ready> {
        let interest = |open| if open { PollFlags::IN } else { PollFlags::empty() };
        let mut fds = vec![PollFd::new(&self.process.fd, PollFlags::IN)];
        // A closed socket would be ready for ever.
        fds.extend(link_open.then(|| PollFd::new(&self.link, interest(link_open))));
        fds.extend(control_open.then(|| PollFd::new(control, interest(control_open))));
        let left = deadline.saturating_duration_since(Instant::now()).min(LOOK_EVERY);
        let timeout = self.cause.is_none().then(|| timespec(left));
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let is_ready = |fd: std::os::fd::BorrowedFd<'_>| {
            use std::os::fd::AsRawFd;
            fds.iter().any(|it| it.as_fd().as_raw_fd() == fd.as_raw_fd() && !it.revents().is_empty())
        };
        Ok(Ready {
            ended: is_ready(self.process.fd.as_fd()),
            link: link_open && is_ready(self.link.as_fd()),
            control: control_open && is_ready(control.as_fd()),
        })
    }

    fn look_at_processes(&mut self) {
        let (at, refused, looks) = self.looked;
        if at.elapsed() < LOOK_EVERY {
            return;
        }
        let now_refused = self.groups.refused_processes();
        let looks = if now_refused > refused { looks + 1 } else { 0 };
        self.looked = (Instant::now(), now_refused, looks);
        if looks >= MAX_LOOKS_AT_LIMIT {
            self.end(Cause::TooManyProcesses);
        }
    }

    /// Takes one word of pid 1; returns whether there can be more.
    fn listen(&mut self, control: &UnixStream) -> bool {
        match wire::receive(&self.link) {
            Ok(Inside::Started) => {
                // A caller that is gone shows in the next poll.
                let _ = wire::send(control, &Report::Started(self.enforced()));
                true
            }
            Ok(word) => {
                self.word = Some(word);
                true
            }
            Err(_) => false,
        }
    }

    /// Takes what the caller asks; returns whether there can be more.
    fn obey(&mut self, control: &UnixStream) -> bool {
        let mut byte = [0];
        match rustix::net::recv(control, &mut byte, RecvFlags::DONTWAIT) {
            Ok((1, _)) if byte[0] == CANCEL => self.end(Cause::Canceled),
            Ok((1, _)) if byte[0] == LOG_TOO_LONG => self.end(Cause::LogTooLong),
            Ok((1, _)) if byte[0] == DISK_FULL => self.end(Cause::DiskFull),
            Ok((1, _)) | Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
            Ok(_) | Err(_) => {
                self.end(Cause::Lost);
                return false;
            }
        }
        true
    }

    /// Kills everything inside; the first cause is the one that is told.
    fn end(&mut self, cause: Cause) {
        self.cause.get_or_insert(cause);
        // It may have ended by itself just now.
        let _ = pidfd_send_signal(&self.process.fd, Signal::KILL);
        self.groups.kill();
    }

    fn enforced(&self) -> Enforced {
        Enforced {
            user_namespace: self.user_namespace,
            memory: self.groups.memory(),
            pids: self.groups.pids().or(Some(Via::Rlimit)),
            cores: self.groups.cores(),
            cgroup_kill: self.groups.can_kill(),
        }
    }

    fn report(&self, ended: &Ended, wall: Duration) -> Report {
        if let Some(Inside::Failed(failure)) = &self.word {
            return Report::Failed(failure.clone());
        }
        let status = match self.word {
            Some(Inside::Ended(status)) => Some(status),
            _ => None,
        };
        let (killed, refused) = (self.groups.oom_kills(), self.groups.refused_processes());
        let exit = decide(status, ended.status, self.cause, killed, refused);
        Report::Ended(Outcome {
            exit,
            wall,
            user_cpu: ended.user_cpu,
            sys_cpu: ended.sys_cpu,
            max_rss_bytes: ended.max_rss_bytes,
            peak_memory_bytes: self.groups.peak_memory_bytes(),
            read_bytes: ended.read_bytes,
            written_bytes: ended.written_bytes,
            least_free_bytes: None,
            killed_for_memory_count: killed,
            refused_process_count: refused,
        })
    }
}

/// What is ready to be looked at.
struct Ready {
    ended: bool,
    link: bool,
    control: bool,
}

fn timespec(duration: Duration) -> Timespec {
    // A wait of more than this is cut short and begun again.
    const LONGEST: Duration = Duration::from_secs(3600);
    let duration = duration.min(LONGEST);
    Timespec { tv_sec: duration.as_secs() as i64, tv_nsec: duration.subsec_nanos().into() }
}

/// Decides how the run ended, from the command's status (if it ended by itself), that of pid 1, why we killed it (if we
/// did), and how many processes the kernel killed for want of memory, and refused because there were too many.
fn decide(command: Option<i32>, init: i32, cause: Option<Cause>, oom_kills: u64, refused: u64) -> Exit {
    match (command.map(by_itself), cause) {
        (Some(Exit::Exited(0)), _) => Exit::Exited(0),
        (Some(_), _) if oom_kills > 0 => Exit::OutOfMemory,
        (Some(_), _) if refused > 0 => Exit::TooManyProcesses,
        (Some(exit), _) => exit,
        (None, Some(Cause::TimedOut)) => Exit::TimedOut,
        (None, Some(Cause::LogTooLong)) => Exit::LogTooLong,
        (None, Some(Cause::DiskFull)) => Exit::DiskFull,
        (None, Some(Cause::TooManyProcesses)) => Exit::TooManyProcesses,
        (None, Some(Cause::Canceled | Cause::Lost)) => Exit::Canceled,
        (None, None) if oom_kills > 0 => Exit::OutOfMemory,
        (None, None) => by_itself(init),
    }
}

fn by_itself(status: i32) -> Exit {
    if libc::WIFSIGNALED(status) {
        Exit::Signaled(libc::WTERMSIG(status))
    } else {
        Exit::Exited(libc::WEXITSTATUS(status))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KILLED: i32 = libc::SIGKILL;
    const CODE_3: i32 = 3 << 8;

    #[test]
    fn what_the_command_said_itself_comes_first() {
        assert_eq!(decide(Some(CODE_3), 0, None, 0, 0), Exit::Exited(3));
        assert_eq!(decide(Some(CODE_3), KILLED, Some(Cause::Canceled), 0, 0), Exit::Exited(3));
        assert_eq!(decide(Some(libc::SIGSEGV), 0, None, 0, 0), Exit::Signaled(libc::SIGSEGV));
    }

    #[test]
    fn a_failure_after_memory_ran_out_is_told_as_that() {
        assert_eq!(decide(Some(CODE_3), 0, None, 1, 0), Exit::OutOfMemory);
        assert_eq!(decide(None, KILLED, None, 1, 0), Exit::OutOfMemory);
        assert_eq!(decide(Some(0), 0, None, 1, 0), Exit::Exited(0));
    }

    #[test]
    fn a_failure_after_processes_were_refused_is_told_as_that() {
        assert_eq!(decide(Some(CODE_3), 0, None, 0, 7), Exit::TooManyProcesses);
        assert_eq!(decide(Some(0), 0, None, 0, 7), Exit::Exited(0));
        assert_eq!(decide(None, KILLED, Some(Cause::TooManyProcesses), 0, 7), Exit::TooManyProcesses);
    }

    #[test]
    fn a_kill_is_told_by_its_cause() {
        assert_eq!(decide(None, KILLED, Some(Cause::TimedOut), 0, 0), Exit::TimedOut);
        assert_eq!(decide(None, KILLED, Some(Cause::LogTooLong), 0, 0), Exit::LogTooLong);
        assert_eq!(decide(None, KILLED, Some(Cause::Canceled), 0, 0), Exit::Canceled);
        assert_eq!(decide(None, KILLED, Some(Cause::DiskFull), 0, 0), Exit::DiskFull);
        assert_eq!(decide(None, KILLED, None, 0, 0), Exit::Signaled(KILLED));
    }
}
