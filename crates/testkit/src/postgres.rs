//! A PostgreSQL server of its own, in a temporary folder, reached by a socket in it.

use std::{
    fs, io,
    os::unix::{fs::chown, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// A server answers within this, also on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(60);
/// What is waited for is looked at this often.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Where Debian puts the programs, one folder for each version.
const PROGRAMS: &str = "/usr/lib/postgresql";
/// The user of Debian's package: the server refuses to run as root.
const USER: &str = "postgres";

/// The environment variable with a server's first database, where tests are run a second time: see [`again_on_postgres`].
pub(crate) const SERVER: &str = "ANIMA_TEST_POSTGRES";

/// Runs all tests of the calling test program again with a PostgreSQL server at hand, so that what holds on SQLite is
/// seen to hold there, too. Does nothing in that second run. For a test of its own, which fails as they do.
pub fn again_on_postgres() {
    if std::env::var(SERVER).is_ok() {
        return;
    }
    let postgres = Postgres::start().expect("PostgreSQL starts");
    let program = std::env::current_exe().expect("a test program has a path");
    let output = Command::new(program).env(SERVER, postgres.url("postgres")).output().expect("it runs again");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("test result: ok"), "{text}");
}

/// Returns the address of a new database in the second run of [`again_on_postgres`], and nothing in the first.
pub fn database_of_second_run() -> Option<String> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let server = std::env::var(SERVER).ok()?;
    let name = format!("t{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let programs = programs().expect("PostgreSQL is installed");
    psql(&programs, &server, &format!("CREATE DATABASE {name}")).expect("the server makes a database");
    Some(server.replace("/postgres", &format!("/{name}")))
}

/// A running server; it ends when this is dropped.
#[derive(Debug)]
pub struct Postgres {
    folder: TempDir,
    programs: PathBuf,
    user: Option<(u32, u32)>,
    fsync: &'static str,
    server: Option<Child>,
}

impl Postgres {
    /// Makes a server with nothing in it, and starts it. No test cuts the power under it, so that it need not wait for the disk.
    pub fn start() -> Result<Postgres> {
        Postgres::start_with("off")
    }

    /// Makes a server whose commits are on the disk before they are answered, as in earnest: for those who measure.
    pub fn start_durable() -> Result<Postgres> {
        Postgres::start_with("on")
    }

    fn start_with(fsync: &'static str) -> Result<Postgres> {
        let user = match rustix::process::getuid().is_root() {
            true => Some(user_ids(&fs::read_to_string("/etc/passwd")?).context("there is no user postgres")?),
            false => None,
        };
        let folder = tempfile::Builder::new().prefix("anima-postgres-").tempdir()?;
        if let Some((uid, gid)) = user {
            chown(folder.path(), Some(uid), Some(gid))?;
        }
        let mut postgres = Postgres { folder, programs: programs()?, user, fsync, server: None };
        let made = postgres
            .program("initdb")
            .args(["--no-sync", "--auth=trust", "--encoding=UTF8", "--locale=C", "--username=anima", "-D"])
            .arg(postgres.data())
            .output()?;
        ensure!(made.status.success(), "initdb failed: {}", String::from_utf8_lossy(&made.stderr));
        postgres.up()?;
        Ok(postgres)
    }

    /// Starts the server (again) and waits until it answers.
    pub fn up(&mut self) -> Result<()> {
        ensure!(self.server.is_none(), "it is up");
        let log = fs::File::options().create(true).append(true).open(self.log())?;
        let mut command = self.program("postgres");
        command.arg("-D").arg(self.data()).arg("-k").arg(self.folder.path());
        command
            .args(["-c", "listen_addresses=", "-c", "max_connections=100", "-c"])
            .arg(format!("fsync={}", self.fsync));
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        self.server = Some(command.spawn().context("could not start postgres")?);
        let until = Instant::now() + START_LIMIT;
        while let Err(error) = self.sql("postgres", "SELECT 1") {
            let server = self.server.as_mut().expect("it was started above");
            if let Some(status) = server.try_wait()? {
                bail!("postgres ended with {status}: {}", fs::read_to_string(self.log())?);
            }
            ensure!(Instant::now() < until, "postgres does not answer: {error}");
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }

    /// Ends the server at once, as if it were killed, but without leaving processes.
    pub fn down(&mut self) -> Result<()> {
        let Some(mut server) = self.server.take() else { return Ok(()) };
        let pid = Pid::from_raw(server.id().try_into()?).context("no pid")?;
        // QUIT is PostgreSQL's "immediate shutdown": no checkpoint, recovery at the next start.
        kill_process(pid, Signal::QUIT)?;
        server.wait()?;
        Ok(())
    }

    /// Makes an empty database and returns its address.
    pub fn database(&self, name: &str) -> Result<String> {
        self.sql("postgres", &format!("CREATE DATABASE \"{name}\""))?;
        Ok(self.url(name))
    }

    /// Returns the address of a database.
    pub fn url(&self, name: &str) -> String {
        url(self.folder.path(), name)
    }

    /// Runs SQL in a database and returns what it printed, one line for each row, columns separated by `|`.
    pub fn sql(&self, database: &str, sql: &str) -> Result<String> {
        psql(&self.programs, &self.url(database), sql)
    }

    /// Lets so many clients of PostgreSQL's own `pgbench` run a file of SQL in a database again and again; returns how often they
    /// did in a second.
    pub fn transactions_per_sec(&self, database: &str, sql: &str, clients: u32, secs: u32) -> Result<f64> {
        let file = self.folder.path().join("pgbench.sql");
        fs::write(&file, sql)?;
        let output = Command::new(self.programs.join("pgbench"))
            .args(["-n", "-M", "prepared", "-c", &clients.to_string(), "-T", &secs.to_string(), "-f"])
            .arg(&file)
            .args(["-h", &self.folder.path().display().to_string(), "-U", "anima", database])
            .output()?;
        ensure!(output.status.success(), "pgbench failed: {}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout)?;
        let tps = text.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok());
        tps.with_context(|| format!("pgbench says no rate: {text}"))
    }

    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.programs.join(name));
        // Our own folder may be one that the server's user cannot enter.
        command.current_dir("/");
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
        command
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("postgres.log")
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let _ = self.down();
    }
}

fn psql(programs: &Path, url: &str, sql: &str) -> Result<String> {
    let output = Command::new(programs.join("psql"))
        .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", sql, "-d", url])
        .output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(String::from_utf8(output.stdout)?.trim_end().to_string())
}

fn url(folder: &Path, name: &str) -> String {
    let folder = folder.display().to_string().replace('/', "%2F");
    format!("postgres://anima@{folder}/{name}")
}

/// Returns the newest version's programs.
fn programs() -> Result<PathBuf> {
    let missing = "there is no PostgreSQL: run scripts/install-system-packages";
    let versions = match fs::read_dir(PROGRAMS) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => bail!(missing),
        versions => versions?,
    };
    let versions = versions.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let newest = versions.max().context(missing)?;
    Ok(Path::new(PROGRAMS).join(newest.to_string()).join("bin"))
}

fn user_ids(passwd: &str) -> Option<(u32, u32)> {
    let line = passwd.lines().find(|line| line.split(':').next() == Some(USER))?;
    let mut fields = line.split(':').skip(2);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_keeps_its_databases_when_it_is_away_for_a_while() {
        let mut postgres = Postgres::start().unwrap();
        postgres.database("a").unwrap();
        postgres.sql("a", "CREATE TABLE t (x BIGINT); INSERT INTO t VALUES (7)").unwrap();

        postgres.down().unwrap();
        assert!(postgres.sql("a", "SELECT 1").is_err());
        postgres.up().unwrap();

        assert_eq!(postgres.sql("a", "SELECT x FROM t").unwrap(), "7");
    }
}
