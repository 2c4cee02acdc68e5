//! P6: the packages of Seed Linux are signed, beside rpmsign on copies of the same packages with the same key; rpmkeys says
//! of all of them whether the signatures are good.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{Figure, median, rounded};

/// Ours is short, so that one run says little.
const RUNS: usize = 5;
const PEER_RUNS: usize = 3;

pub fn measure() -> Result<Vec<Figure>> {
    let program = super::release_example("anima-sign-server", "sign_packages")?;
    let seed = anima_testkit::seed()?;
    ["rsa4096", "ed25519"].into_iter().map(|case| one(&program, &seed, case)).collect()
}

fn one(program: &Path, seed: &Path, case: &'static str) -> Result<Figure> {
    let folder = tempfile::tempdir()?;
    let packages = folder.path().join("packages");
    let count = copy_packages(seed, &packages)?;
    let (mut ours, mut total_s, mut sign_s) = (Value::Null, Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let output = Command::new(program).arg(folder.path()).arg(case).output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        ours = serde_json::from_slice(&output.stdout)?;
        let number = |name: &str| ours[name].as_f64().with_context(|| format!("it prints no {name}"));
        total_s.push(number("total_s")?);
        sign_s.push(number("sign_s")?);
    }
    // The peer gets the key of the last run.
    let peer = Peer::with_key(folder.path())?;
    let mut peer_s = Vec::new();
    for _ in 0..PEER_RUNS {
        peer_s.push(peer.sign(&packages)?);
    }
    peer.check(&folder.path().join("signed"), count)?;
    peer.check(&folder.path().join("peer"), count)?;

    let (total_s, sign_s, peer_s) = (median(total_s), median(sign_s), median(peer_s));
    let number = |name: &str| ours[name].as_f64().unwrap_or(f64::NAN);
    let share = |part: &str, whole: &str| rounded(number(part) / number(whole) * 100.0);
    let values = json!({
        "packages": count,
        "package_mib": rounded(number("package_bytes") / f64::from(1 << 20)),
        "ours_s": rounded(total_s),
        "ours_per_s": rounded(count as f64 / total_s),
        "signer_s": rounded(sign_s),
        "signer_per_s_and_core": rounded(count as f64 / sign_s / number("cores")),
        "cores": ours["cores"],
        "peer": peer.name,
        "peer_s": rounded(peer_s),
        "peer_per_s": rounded(count as f64 / peer_s),
        "ratio": rounded(peer_s / total_s),
        "to_signer_percent": share("signer_bytes", "package_bytes"),
        "to_signer_percent_over_1_mib": share("large_signer_bytes", "large_package_bytes"),
        "verified": "rpmkeys -K, all of both",
    });
    Ok(Figure { bench: "sign", case, values })
}

fn copy_packages(seed: &Path, folder: &Path) -> Result<usize> {
    fs::create_dir_all(folder)?;
    // Packages for all architectures are in the repository of each.
    let mut names = BTreeSet::new();
    let mut folders = vec![seed.to_path_buf()];
    while let Some(from) = folders.pop() {
        for entry in fs::read_dir(&from)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rpm") {
                let name = path.file_name().context("a package has no name")?;
                fs::copy(&path, folder.join(name))?;
                names.insert(name.to_owned());
            }
        }
    }
    ensure!(!names.is_empty(), "Seed Linux has no packages");
    Ok(names.len())
}

/// rpmsign, with a home of gpg and a keyring of rpm of its own.
struct Peer {
    folder: PathBuf,
    fingerprint: String,
    name: String,
}

impl Peer {
    fn with_key(folder: &Path) -> Result<Peer> {
        use std::os::unix::fs::PermissionsExt;
        let mut peer = Peer { folder: folder.to_path_buf(), fingerprint: String::new(), name: version()? };
        for name in ["gpg", "rpmdb"] {
            fs::create_dir_all(folder.join(name))?;
            fs::set_permissions(folder.join(name), fs::Permissions::from_mode(0o700))?;
        }
        // The agent derives the key's protection anew for each signature; by its default that takes 100 ms, which would be unfair:
        // ours opens a key once.
        fs::write(folder.join("gpg/gpg-agent.conf"), "s2k-count 65536\n")?;
        run(peer.gpg().args(["--passphrase", "bench", "--import"]).arg(folder.join("secret.asc")))?;
        let listed = run(peer.gpg().args(["--with-colons", "--list-secret-keys"]))?;
        let fingerprint = listed.lines().find_map(|line| line.strip_prefix("fpr:")).map(|rest| rest.trim_matches(':'));
        peer.fingerprint = fingerprint.context("gpg has no key")?.to_string();
        run(peer.rpm("rpmkeys").arg("--import").arg(folder.join("public.asc")))?;
        Ok(peer)
    }

    fn gpg(&self) -> Command {
        let mut gpg = Command::new("gpg");
        gpg.args(["--batch", "--yes", "--pinentry-mode", "loopback", "--homedir"]).arg(self.folder.join("gpg"));
        gpg
    }

    fn rpm(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.arg("--define").arg(format!("_dbpath {}", self.folder.join("rpmdb").display()));
        command
    }

    /// Signs fresh copies, and returns how long that took.
    fn sign(&self, packages: &Path) -> Result<f64> {
        let copies = self.folder.join("peer");
        let _ = fs::remove_dir_all(&copies);
        run(Command::new("cp").arg("-r").arg(packages).arg(&copies))?;
        let files = fs::read_dir(&copies)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
        let mut rpmsign = self.rpm("rpmsign");
        rpmsign.args(["--define", &format!("_gpg_name {}", self.fingerprint)]);
        rpmsign.args(["--define", &format!("_gpg_path {}", self.folder.join("gpg").display())]);
        // rpm's own idea of where it is differs between distributions.
        rpmsign.args(["--define", "__gpg /usr/bin/gpg"]);
        rpmsign.args(["--define", "_gpg_sign_cmd_extra_args --batch --pinentry-mode loopback --passphrase bench"]);
        rpmsign.arg("--addsign").args(files);
        let began = Instant::now();
        run(&mut rpmsign)?;
        Ok(began.elapsed().as_secs_f64())
    }

    /// Asks rpmkeys about all packages of a folder: each has to have a signature by the key.
    fn check(&self, folder: &Path, count: usize) -> Result<()> {
        let files = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
        ensure!(files.len() == count, "{} of {count} packages are in {}", files.len(), folder.display());
        let said = run(self.rpm("rpmkeys").arg("-Kv").args(files))?;
        // rpm 4.18 names a key by the last eight digits, later ones by sixteen or all.
        let id = self.fingerprint[32..].to_lowercase();
        let good = said.lines().filter(|line| line.contains("Header") && line.contains(&id) && line.ends_with(": OK"));
        let good = good.count();
        ensure!(good == count, "rpmkeys accepts {good} of {count} signatures in {}", folder.display());
        Ok(())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // Its agent lives in the folder, which goes now.
        let _ = Command::new("gpgconf").arg("--homedir").arg(self.folder.join("gpg")).args(["--kill", "all"]).output();
    }
}

fn version() -> Result<String> {
    let said = run(Command::new("rpmsign").arg("--version"))?;
    Ok(format!("rpmsign {}", said.split_whitespace().last().unwrap_or_default()))
}

fn run(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_owned();
    let output = command.output().with_context(|| format!("could not run {}", program.display()))?;
    // Not the whole command: it has the paths of hundreds of packages.
    ensure!(output.status.success(), "{} failed: {}", program.display(), String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
