//! A private apt root: resolves and downloads packages as for a bare system, without touching the host's own state.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{
    arch::Arch,
    command,
    error::{Error, Result, on},
};

/// How long apt waits for an archive before it is taken for unreachable; a seed can be made from cached lists.
const ARCHIVE_TIMEOUT_SECS: u32 = 15;

/// Where the host says which archives it uses and which keys it trusts.
const HOST_APT: &str = "/etc/apt";

/// The settings that reach an archive from this host.
const NETWORK_SETTINGS: [&str; 2] = ["Acquire::http", "Acquire::https"];

/// An apt root of its own for one architecture.
#[derive(Debug)]
pub struct AptRoot {
    config: PathBuf,
    lists: PathBuf,
}

/// How the package lists came to be what they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lists {
    /// As the archive has them now.
    Fresh,
    /// As an earlier run left them, with the reason why they could not be refreshed.
    Cached(String),
}

/// One file of the closure, as the archive's index describes it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ArchiveFile {
    /// The name that apt stores it under.
    pub name: String,
    /// Its size.
    pub size_bytes: u64,
    /// The index's hash of it, if apt says one.
    pub hash: String,
}

impl AptRoot {
    /// Makes the folders and the configuration; what is there already is kept.
    pub fn make(arch: Arch, root: &Path) -> Result<AptRoot> {
        for folder in [
            "etc/apt/apt.conf.d",
            "etc/apt/preferences.d",
            "etc/apt/sources.list.d",
            "etc/apt/trusted.gpg.d",
            "var/lib/apt/lists/partial",
            "var/cache/apt/archives/partial",
            "var/lib/dpkg",
            "var/log/apt",
        ] {
            let folder = root.join(folder);
            fs::create_dir_all(&folder).map_err(on("create", &folder))?;
        }
        let status = root.join("var/lib/dpkg/status");
        fs::write(&status, "").map_err(on("write", &status))?;
        copy_host_sources(&root.join("etc/apt"))?;
        let config = root.join("apt.conf");
        fs::write(&config, configuration(arch, root, &network_settings()?)).map_err(on("write", &config))?;
        Ok(AptRoot { config, lists: root.join("var/lib/apt/lists") })
    }

    /// Refreshes the package lists, or says why those of an earlier run have to do.
    pub fn refresh(&self) -> Result<Lists> {
        let output = command::finish(self.apt_get().args(["-o", "APT::Update::Error-Mode=any", "update"]))?;
        if output.status.success() {
            return Ok(Lists::Fresh);
        }
        let reason = command::tail(&output);
        match self.has_lists() {
            true => Ok(Lists::Cached(reason)),
            false => Err(Error::NoPackageLists(reason)),
        }
    }

    /// Returns the files of the wanted packages and of everything they depend on, sorted by name.
    pub fn closure(&self, wanted: &[&str]) -> Result<Vec<ArchiveFile>> {
        let text = command::run(self.install().arg("--print-uris").args(wanted))?;
        let mut files =
            text.lines().filter(|line| line.starts_with('\'')).map(parse_uri_line).collect::<Result<Vec<_>>>()?;
        files.sort();
        match files.is_empty() {
            true => Err(Error::AptAnswer("it is empty".to_owned())),
            false => Ok(files),
        }
    }

    /// Downloads the closure into a folder; apt verifies every file and keeps what is there. Reports percents.
    pub fn download(&self, wanted: &[&str], into: &Path, report: &mut dyn FnMut(f64)) -> Result<()> {
        let partial = into.join("partial");
        fs::create_dir_all(&partial).map_err(on("create", &partial))?;
        let mut apt = self.install();
        apt.args(["--download-only", "-o", "APT::Status-Fd=1"]);
        apt.arg("-o").arg(format!("Dir::Cache::archives={}", into.display())).args(wanted);
        apt.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let start = |source| Error::Start { program: "apt-get install".to_owned(), source };
        let mut child = apt.spawn().map_err(start)?;
        if let Some(stdout) = child.stdout.take() {
            for line in BufReader::new(stdout).lines().map_while(std::result::Result::ok) {
                download_percent(&line).into_iter().for_each(&mut *report);
            }
        }
        let output = child.wait_with_output().map_err(start)?;
        if output.status.success() {
            return Ok(());
        }
        let program = "apt-get install --download-only".to_owned();
        Err(Error::Failed { program, status: output.status.to_string(), output: command::tail(&output) })
    }

    fn has_lists(&self) -> bool {
        let entries = fs::read_dir(&self.lists).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name()).any(|name| name.to_string_lossy().contains("_Packages"))
    }

    fn install(&self) -> Command {
        let mut apt = self.apt_get();
        apt.args(["install", "--yes", "--no-install-recommends"]);
        apt
    }

    fn apt_get(&self) -> Command {
        let mut apt = Command::new("apt-get");
        apt.env("APT_CONFIG", &self.config).env("LC_ALL", "C.UTF-8").env("DEBIAN_FRONTEND", "noninteractive");
        apt
    }
}

fn copy_host_sources(to: &Path) -> Result<()> {
    let host = Path::new(HOST_APT);
    copy_if_there(&host.join("sources.list"), &to.join("sources.list"))?;
    for folder in ["sources.list.d", "trusted.gpg.d"] {
        let Ok(entries) = fs::read_dir(host.join(folder)) else { continue };
        for entry in entries.flatten() {
            copy_if_there(&entry.path(), &to.join(folder).join(entry.file_name()))?;
        }
    }
    Ok(())
}

fn copy_if_there(from: &Path, to: &Path) -> Result<()> {
    match from.is_file() {
        true => fs::copy(from, to).map(drop).map_err(on("copy", from)),
        false => Ok(()),
    }
}

/// Returns the host's proxies and the like, since the private root does not read the host's configuration.
fn network_settings() -> Result<String> {
    let text = command::run(Command::new("apt-config").arg("dump").args(NETWORK_SETTINGS))?;
    let settings =
        text.lines().filter(|line| NETWORK_SETTINGS.iter().any(|name| line.starts_with(&format!("{name}::"))));
    Ok(settings.map(|line| format!("{line}\n")).collect())
}

fn configuration(arch: Arch, root: &Path, network: &str) -> String {
    let root = root.display();
    let arch = arch.debian();
    format!(
        "{network}Dir \"{root}\";\nDir::State::status \"{root}/var/lib/dpkg/status\";\n\
         APT::Architecture \"{arch}\";\nAPT::Architectures {{ \"{arch}\"; }};\n\
         APT::Install-Recommends \"false\";\nAPT::Sandbox::User \"root\";\nDebug::NoLocking \"true\";\n\
         Acquire::Languages \"none\";\nAcquire::Retries \"1\";\nAcquire::http::Timeout \"{ARCHIVE_TIMEOUT_SECS}\";\n\
         Acquire::https::Timeout \"{ARCHIVE_TIMEOUT_SECS}\";\n"
    )
}

/// Parses `'uri' name size [hash]`.
fn parse_uri_line(line: &str) -> Result<ArchiveFile> {
    let mut words = line.split_whitespace().skip(1);
    let (Some(name), Some(Ok(size_bytes))) = (words.next(), words.next().map(str::parse)) else {
        return Err(Error::AptAnswer(line.to_owned()));
    };
    Ok(ArchiveFile { name: name.to_owned(), size_bytes, hash: words.next().unwrap_or_default().to_owned() })
}

/// Parses `dlstatus:number:percent:text`.
fn download_percent(line: &str) -> Option<f64> {
    line.strip_prefix("dlstatus:")?.split(':').nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_closure_are_read_with_and_without_a_hash() {
        let file =
            |name: &str, size_bytes, hash: &str| ArchiveFile { name: name.into(), size_bytes, hash: hash.into() };

        assert_eq!(
            parse_uri_line("'http://deb.example/b%2b1_amd64.deb' b_1%3a2_amd64.deb 50776 MD5Sum:d6bf").unwrap(),
            file("b_1%3a2_amd64.deb", 50776, "MD5Sum:d6bf")
        );
        assert_eq!(parse_uri_line("'http://x/a.deb' a.deb 7 ").unwrap(), file("a.deb", 7, ""));
        assert!(parse_uri_line("'http://x/a.deb'").is_err());
    }

    #[test]
    fn the_progress_of_a_download_is_read_from_apts_status_lines() {
        assert_eq!(download_percent("dlstatus:3:42.5:Retrieving file 3 of 9"), Some(42.5));
        assert_eq!(download_percent("Get:1 http://deb.example bookworm"), None);
    }

    #[test]
    fn the_private_root_names_its_architecture_and_its_own_status_file() {
        let text = configuration(Arch::Ppc64le, Path::new("/seed/apt"), "Acquire::http::Proxy \"http://p\";\n");

        assert!(text.starts_with("Acquire::http::Proxy"));
        assert!(text.contains("APT::Architecture \"ppc64el\";"));
        assert!(text.contains("Dir::State::status \"/seed/apt/var/lib/dpkg/status\";"));
    }
}
