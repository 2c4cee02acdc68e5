//! `cargo xtask self-package`: Anima builds, tests, signs and releases itself as an RPM, on a Seed Linux that has this machine's own
//! Rust toolchain as a package, and dnf installs it with both checks into a fresh root, where it runs.
//!
//! All crates are compiled in the buildroot, without a network: it takes minutes, and is no part of the tests that CI runs.

use std::{
    fs,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anima_testkit::{Root, SourcePackage, System};
use anima_types::task::Task;
use anyhow::{Context, Result, ensure};

use crate::{cargo, tidy};

const PLATFORM: &str = "self-1";
const BRANCH: &str = "self";
const PACKAGE: &str = "anima";
/// What the seed needs besides: what Anima is compiled with, and what it runs.
const MORE_OF_DEBIAN: [&str; 3] = ["libsolv-dev", "libsolvext-dev", "git"];
/// A release build of all crates on a busy machine of two processors.
const LIMIT: Duration = Duration::from_secs(3 * 60 * 60);

/// Does it; `profile` is cargo's, `program` is the Anima that builds: a build of this work tree where none is named.
pub fn run(profile: &str, program: Option<PathBuf>) -> Result<()> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| tidy::root().join("target"), PathBuf::from);
    let program = match program {
        Some(program) => program,
        None => {
            cargo(&["build", "--package", "anima"])?;
            target.join("debug/anima")
        }
    };
    let program = program.canonicalize().context("could not find the program")?;
    let folder = target.join("self-package");
    fs::create_dir_all(&folder)?;
    let folder = folder.canonicalize()?;
    println!("Seed Linux, with {}", MORE_OF_DEBIAN.join(", "));
    let arch = anima_seedling::Arch::of_this_program().context("could not tell this machine's architecture")?;
    let options = anima_seedling::Options {
        out: folder.join("seed"),
        arch,
        jobs: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
        more: MORE_OF_DEBIAN.map(str::to_string).to_vec(),
    };
    let seed = anima_seedling::make(&options, &|_| {}).map_err(|error| anyhow::anyhow!("could not {error}"))?;
    println!("  {} packages", seed.package_count);
    toolchain(&program, &folder.join("toolchain"))?;
    let sources = sources(&folder)?;
    tokio::runtime::Runtime::new()?.block_on(release(&program, &folder, &sources, profile))
}

/// Makes a package of this machine's Rust toolchain, in a repository of its own.
fn toolchain(program: &Path, repository: &Path) -> Result<()> {
    let said = |arguments: &[&str]| -> Result<String> {
        let output = Command::new("rustc").args(arguments).output().context("could not ask rustc")?;
        Ok(String::from_utf8(output.stdout)?.trim().to_string())
    };
    let sysroot = said(&["--print", "sysroot"])?;
    let version = said(&["--version"])?.split(' ').nth(1).context("rustc says no version")?.to_string();
    println!("the Rust toolchain {version} of this machine");
    if fs::read_dir(repository).is_ok_and(|mut files| {
        files.any(|file| {
            file.is_ok_and(|file| file.file_name().to_string_lossy().starts_with(&format!("rust-{version}-")))
        })
    }) {
        return Ok(());
    }
    let work = tempfile::tempdir()?;
    fs::create_dir_all(repository)?;
    let spec = work.path().join("rust.spec");
    fs::write(&spec, TOOLCHAIN.replace("@VERSION@", &version).replace("@SYSROOT@", &sysroot))?;
    must(
        Command::new("rpmbuild")
            .arg("-bb")
            .args(["--define", &format!("_topdir {}", work.path().display())])
            .args(["--define", &format!("_rpmdir {}", repository.display())])
            .args(["--define", "_build_name_fmt %%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm"])
            .arg(&spec),
    )?;
    must(Command::new(program).args(["repo", "index"]).arg(repository))
}

/// Writes the two archives that the spec names: what is committed, and all crates that it is compiled from.
fn sources(folder: &Path) -> Result<Vec<PathBuf>> {
    let version = env!("CARGO_PKG_VERSION");
    let (own, vendored) =
        (folder.join(format!("anima-{version}.tar.gz")), folder.join(format!("anima-{version}-vendor.tar.zst")));
    println!("sources of {}", git(&["describe", "--always", "--dirty"])?);
    must(
        Command::new("git")
            .current_dir(tidy::root())
            .args(["archive", "--format=tar.gz"])
            .arg("-o")
            .arg(&own)
            .args([&format!("--prefix=anima-{version}/"), "HEAD"]),
    )?;
    let crates = folder.join("crates");
    let _ = fs::remove_dir_all(&crates);
    fs::create_dir_all(crates.join(".cargo"))?;
    let output = Command::new("cargo")
        .current_dir(tidy::root())
        .args(["vendor", "--locked", "--versioned-dirs"])
        .arg(crates.join("vendor"))
        .output()?;
    ensure!(output.status.success(), "cargo vendor failed:\n{}", String::from_utf8_lossy(&output.stderr));
    let configuration =
        String::from_utf8(output.stdout)?.replace(&crates.join("vendor").display().to_string(), "vendor");
    ensure!(
        configuration.contains("directory = \"vendor\""),
        "cargo vendor printed no configuration:\n{configuration}"
    );
    fs::write(crates.join(".cargo/config.toml"), configuration)?;
    must(
        Command::new("tar")
            .current_dir(&crates)
            .args(["--use-compress-program=zstd -T0 -9", "--sort=name", "--owner=0", "--group=0", "-cf"])
            .arg(&vendored)
            .args([".cargo", "vendor"]),
    )?;
    fs::remove_dir_all(&crates)?;
    for path in [&own, &vendored] {
        println!("  {}: {} MB", path.display(), fs::metadata(path)?.len() / 1_000_000);
    }
    Ok(vec![own, vendored])
}

async fn release(program: &Path, folder: &Path, sources: &[PathBuf], profile: &str) -> Result<()> {
    let mut system = System::start_with(program, &format!("self = \"{}\"\n", folder.display())).await?;
    system.stop()?;
    let platforms = system.data().join("platforms");
    fs::create_dir_all(&platforms)?;
    fs::write(platforms.join(format!("{PLATFORM}.toml")), platform(profile)?)?;
    system.up().await?;

    let package = SourcePackage::with_spec(PACKAGE, &fs::read_to_string(tidy::root().join("deploy/rpm/anima.spec"))?)?;
    let mut upload = vec!["lookaside", "upload", "--package", PACKAGE];
    upload.extend(sources.iter().filter_map(|path| path.to_str()));
    let uploaded = said(&system, &upload)?;
    let lines = uploaded.lines().filter(|line| line.starts_with("SHA512 ")).collect::<Vec<_>>();
    ensure!(lines.len() == sources.len(), "the lookaside said:\n{uploaded}");
    package.write("sources", format!("{}\n", lines.join("\n")).as_bytes())?;

    let commit = system.push(&package, BRANCH)?;
    let id = system.build_of(PACKAGE, &commit).await?;
    println!("build {id} of {}/builds/{id}", system.master_url());
    let detail = system.released(id, LIMIT).await?;
    for task in &detail.tasks {
        println!("  {}", in_words(task));
    }
    let root = Root::on_base(system.master_url(), PLATFORM, "self/seed/seed-1/")?;
    root.dnf(&["install", PACKAGE, "anima-services"])?;
    println!("dnf installed, both signatures checked:");
    let rpm = ["rpm", "-q", "--qf", "  %{NEVRA}, %{SIZE} bytes\n", PACKAGE, "anima-services"];
    print!("{}", root.run(&rpm)?);
    println!("  anima --version: {}", root.run(&["anima", "--version"])?.trim());
    let accounts = fs::read_to_string(root.path("root/etc/passwd")).context("could not read the root's accounts")?;
    let users = accounts.lines().filter_map(|line| line.split(':').next()).filter(|name| name.starts_with("anima"));
    println!("  users: {}", users.collect::<Vec<_>>().join(" "));
    println!("  {}", root.run(&["anima", "--config", "/etc/anima/anima.toml", "config", "check"])?.trim());
    println!("{}", doctor(&root.path("root"))?);
    system.stop()
}

/// Lets the installed program look at its root, which has the kernel's file systems for that time.
fn doctor(root: &Path) -> Result<String> {
    // Not a plain chroot: whoever makes namespaces wants its root to be a mount.
    let script = "mount --bind \"$0\" \"$0\"; cd \"$0\"; for name in proc dev sys; do mkdir -p $name; mount --rbind /$name $name; done; \
                  mkdir -p .outside; pivot_root . .outside; umount -l /.outside; exec anima doctor";
    let output = Command::new("unshare").args(["--mount", "sh", "-c", script]).arg(root).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "anima doctor in the root:\n{text}{}", String::from_utf8_lossy(&output.stderr));
    Ok(text)
}

/// The platform of the seed, on the larger seed, with the toolchain.
fn platform(profile: &str) -> Result<String> {
    let seed = fs::read_to_string(tidy::root().join("platforms/seed-1.toml"))?;
    let changed = seed
        .replace("name = \"seed-1\"", &format!("name = \"{PLATFORM}\""))
        .replace("branch = \"s1\"", &format!("branch = \"{BRANCH}\""))
        .replace("release_to = \"seed-1\"", &format!("release_to = \"{PLATFORM}\""))
        .replace("\"x86_64\"", &format!("\"{}\"", std::env::consts::ARCH))
        .replace("mirror/seed/seed-1", "mirror/self/seed/seed-1");
    ensure!(
        changed.contains("mirror/self") && changed.contains(BRANCH),
        "the platform file of the seed has another form"
    );
    Ok(format!(
        "{changed}\n[[repositories]]\nname = \"toolchain\"\nurl = \"{{master}}/mirror/self/toolchain/\"\n\n\
         [packages.{PACKAGE}]\nmacros = {{ anima_profile = \"{profile}\" }}\n"
    ))
}

fn in_words(task: &Task) -> String {
    let secs = task.started_at.zip(task.ended_at).map_or(0.0, |(started, ended)| ended.secs_since(started));
    let phases = task.phases.iter().map(|phase| format!("{} {:.1}", phase.name, phase.secs)).collect::<Vec<_>>();
    format!("{}: {secs:.0} s ({})", task.kind.name(), phases.join(", "))
}

fn said(system: &System, arguments: &[&str]) -> Result<String> {
    let output = system.anima(arguments)?;
    ensure!(output.status.success(), "anima {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

fn git(arguments: &[&str]) -> Result<String> {
    let output = Command::new("git").current_dir(tidy::root()).args(arguments).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.trim().to_string())
}

fn must(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("could not run {command:?}"))?;
    ensure!(output.status.success(), "{command:?} failed:\n{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// The toolchain as it lies on this machine: nothing of it is compiled, stripped or changed.
const TOOLCHAIN: &str = r#"%global debug_package %{nil}
%global __os_install_post %{nil}
%global _build_id_links none
%global _binary_payload w3T0.zstdio
Name: rust
Version: @VERSION@
Release: 1
Summary: The Rust toolchain of the machine that made this package
License: MIT OR Apache-2.0
Provides: cargo = %{version}
%description
The compiler, cargo and the standard library.
%install
mkdir -p %{buildroot}/usr/bin %{buildroot}/usr/lib/rustlib
cp -a @SYSROOT@/bin/rustc @SYSROOT@/bin/cargo %{buildroot}/usr/bin/
cp -a @SYSROOT@/lib/*.so* %{buildroot}/usr/lib/
cp -a @SYSROOT@/lib/rustlib/%{_arch}-unknown-linux-gnu %{buildroot}/usr/lib/rustlib/
%files
/usr/bin/rustc
/usr/bin/cargo
/usr/lib/*.so*
/usr/lib/rustlib
"#;
