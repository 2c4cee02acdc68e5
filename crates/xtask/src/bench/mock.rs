//! mock as the peer, where somebody has one: Debian does not package it.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use super::buildroot::{put_aside, runs};

/// The variable that names mock's program.
const VARIABLE: &str = "ANIMA_BENCH_MOCK";

/// mock with a configuration for the seed.
pub struct Mock {
    program: PathBuf,
    folder: TempDir,
}

impl Mock {
    /// Returns mock if the environment names one.
    pub fn from_environment(master_url: &str, packages: &[String]) -> Result<Option<Mock>> {
        let Some(program) = std::env::var_os(VARIABLE).map(PathBuf::from) else {
            eprintln!("{VARIABLE} names no mock: it is not measured");
            return Ok(None);
        };
        ensure!(runs(&program), "{VARIABLE} names {}, which does not run", program.display());
        let folder = tempfile::tempdir()?;
        // mock gives up its rights before it reads its configuration.
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755))?;
        let config = configuration(folder.path(), master_url, packages);
        fs::write(folder.path().join("seed.cfg"), config)?;
        Ok(Some(Mock { program, folder }))
    }

    /// Nothing but packages is cached; returns the seconds.
    pub fn cold(&self) -> Result<f64> {
        self.run(&["--scrub=root-cache"])?;
        self.warm()
    }

    /// The root cache is there; returns the seconds.
    pub fn warm(&self) -> Result<f64> {
        put_aside(&self.folder.path().join("roots/seed-1/root"), &self.folder.path().join("aside"))?;
        self.run(&["--clean"])?;
        self.init()
    }

    /// Builds a source package in a root that comes from the root cache; returns the seconds.
    pub fn rebuild(&self, srpm: &Path) -> Result<f64> {
        let readable = self.folder.path().join(srpm.file_name().context("a source package has a name")?);
        fs::copy(srpm, &readable)?;
        let began = Instant::now();
        self.run(&["--rebuild", &readable.to_string_lossy()])?;
        Ok(began.elapsed().as_secs_f64())
    }

    fn init(&self) -> Result<f64> {
        let began = Instant::now();
        self.run(&["--init"])?;
        Ok(began.elapsed().as_secs_f64())
    }

    fn run(&self, arguments: &[&str]) -> Result<()> {
        let config = self.folder.path().join("seed.cfg");
        let output = Command::new(&self.program).arg("--root").arg(config).args(arguments).output()?;
        ensure!(output.status.success(), "mock {arguments:?} failed:\n{}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }
}

fn configuration(folder: &Path, master_url: &str, packages: &[String]) -> String {
    let arch = std::env::consts::ARCH;
    format!(
        "config_opts['root'] = 'seed-1'\nconfig_opts['target_arch'] = '{arch}'\nconfig_opts['legal_host_arches'] = ('{arch}',)\n\
         config_opts['basedir'] = '{folder}/roots'\nconfig_opts['cache_topdir'] = '{folder}/cache'\n\
         config_opts['chroot_setup_cmd'] = 'install {packages}'\nconfig_opts['dist'] = 's1'\nconfig_opts['releasever'] = '1'\n\
         config_opts['package_manager'] = 'dnf'\nconfig_opts['use_bootstrap'] = False\n\
         config_opts['dnf.conf'] = '''\n[main]\nkeepcache=1\nassumeyes=1\nreposdir=/dev/null\nmetadata_expire=-1\ninstall_weak_deps=0\ntsflags=nodocs\n\
         [seed]\nname=seed\nbaseurl={master_url}/mirror/seed/seed-1/{arch}/\ngpgcheck=0\n'''\n",
        folder = folder.display(),
        packages = packages.join(" "),
    )
}
