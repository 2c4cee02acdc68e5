//! Tiny real packages, made by rpmbuild once for all worlds of a process: the master reads their headers and puts
//! signatures into them, so stand-ins would not do.

use std::{collections::BTreeMap, fs, path::Path, process::Command, sync::OnceLock, thread};

use anyhow::{Context, Result, ensure};

/// Names of packages; each needs the two before it for its build, where there are two.
pub const NAMES: [&str; 4] = ["alder", "birch", "cedar", "dogwood"];
/// Versions of each.
pub const VERSIONS: i64 = 3;

/// Files of one version of a package.
#[derive(Clone, Debug)]
pub struct Made {
    /// The source package.
    pub source: Vec<u8>,
    /// The binary package.
    pub binary: Vec<u8>,
}

/// Returns what a package needs for its build.
pub fn build_requires(name: &str) -> &'static [&'static str] {
    match name {
        "birch" => &["alder"],
        "cedar" => &["alder", "birch"],
        _ => &[],
    }
}

/// Returns the files of a version of a package.
pub fn made(name: &str, version: i64) -> &'static Made {
    static ALL: OnceLock<BTreeMap<(String, i64), Made>> = OnceLock::new();
    let all = ALL.get_or_init(|| make_all().expect("rpmbuild makes tiny packages"));
    &all[&(name.to_string(), version)]
}

fn make_all() -> Result<BTreeMap<(String, i64), Made>> {
    let wanted = NAMES.iter().flat_map(|name| (1..=VERSIONS).map(move |version| (*name, version)));
    let makers: Vec<_> =
        wanted.map(|(name, version)| (name, version, thread::spawn(move || make(name, version)))).collect();
    let mut all = BTreeMap::new();
    for (name, version, maker) in makers {
        let made = maker.join().map_err(|_| anyhow::anyhow!("making {name} ended in a panic"))??;
        all.insert((name.to_string(), version), made);
    }
    Ok(all)
}

fn make(name: &str, version: i64) -> Result<Made> {
    let folder = tempfile::tempdir()?;
    let needs: String = build_requires(name).iter().map(|need| format!("BuildRequires: {need}\n")).collect();
    let spec = format!(
        "Name: {name}\nVersion: {version}\nRelease: 1\nSummary: A tree\nLicense: MIT\n{needs}\
         %description\nA tree.\n%install\nmkdir -p %{{buildroot}}/usr/share/trees\necho {version} > %{{buildroot}}/usr/share/trees/{name}\n\
         %files\n/usr/share/trees/{name}\n"
    );
    let path = folder.path().join(format!("{name}.spec"));
    fs::write(&path, spec)?;
    let output = Command::new("rpmbuild")
        .args(["-ba", "--nodeps", "--target", "x86_64", "--define", "debug_package %{nil}"])
        .args(["--define", "_binary_payload w1.gzdio", "--define", "_source_payload w1.gzdio"])
        .arg("--define")
        .arg(format!("_topdir {}", folder.path().display()))
        .arg("--define")
        .arg(format!("_dbpath {}", folder.path().join("db").display()))
        .arg(&path)
        .output()
        .context("could not run rpmbuild")?;
    ensure!(output.status.success(), "rpmbuild failed: {}", String::from_utf8_lossy(&output.stderr));
    Ok(Made {
        source: only_package(&folder.path().join("SRPMS"))?,
        binary: only_package(&folder.path().join("RPMS/x86_64"))?,
    })
}

fn only_package(folder: &Path) -> Result<Vec<u8>> {
    let entry = fs::read_dir(folder)?.next().with_context(|| format!("{} is empty", folder.display()))??;
    Ok(fs::read(entry.path())?)
}
