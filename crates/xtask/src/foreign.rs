//! `cargo xtask foreign`: a small package in C is built, tested, signed and released for architectures other than the
//! machine's own, by the real program on Seed Linux for each of them: natively where the machine runs them, as i686 on x86_64,
//! and emulated elsewhere. Making a seed takes minutes, and an emulated build some twenty times as long as a native one, so this
//! is no part of the tests that CI runs.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anima_testkit::{SourcePackage, System};
use anima_types::{
    Arch, artifact,
    build::BuildDetail,
    task::{Kind, Task},
};
use anyhow::{Context, Result, ensure};

use crate::{cargo, tidy};

/// What Debian brings QEMU's emulators in.
const DEBIAN_PACKAGE: &str = "qemu-user-static";
const PLATFORM: &str = "foreign-1";
const BRANCH: &str = "f1";
const PACKAGE: &str = "greeting";
/// Making roots, compiling and testing for three architectures, one after the other, on a busy machine.
const LIMIT: Duration = Duration::from_secs(3 * 60 * 60);

/// Builds for the architectures, and prints a line for each task.
pub fn run(architectures: &[Arch], emulators: Option<PathBuf>, program: Option<PathBuf>) -> Result<()> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| tidy::root().join("target"), PathBuf::from);
    let program = match program {
        Some(program) => program,
        None => {
            cargo(&["build", "--package", "anima"])?;
            target.join("debug/anima")
        }
    };
    let program = program.canonicalize().context("could not find the program")?;
    let emulators = match emulators {
        Some(folder) => Some(folder),
        None if architectures.iter().copied().all(is_native) => None,
        None => Some(install_emulators(&target.join("emulators"))?),
    };
    for arch in architectures {
        println!("seed for {arch}");
        anima_testkit::seed_for(arch.name())?;
    }
    tokio::runtime::Runtime::new()?.block_on(build(&program, architectures, emulators.as_deref()))
}

/// Unpacks Debian's package into a folder of its own: nothing is installed, and nothing registered on the machine.
fn install_emulators(folder: &Path) -> Result<PathBuf> {
    let programs = folder.join("usr/bin");
    if programs.join("qemu-s390x-static").is_file() {
        return Ok(programs);
    }
    println!("unpacking Debian's {DEBIAN_PACKAGE} into {}", folder.display());
    fs::create_dir_all(folder)?;
    must(Command::new("apt-get").current_dir(folder).args(["download", "--quiet", DEBIAN_PACKAGE]))?;
    let files = fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    let file = files.iter().find(|file| file.file_name().to_string_lossy().ends_with(".deb"));
    let file = file.context("apt-get downloaded nothing")?.path();
    must(Command::new("dpkg-deb").arg("--extract").arg(&file).arg(folder))?;
    fs::remove_file(file)?;
    Ok(programs)
}

fn must(command: &mut Command) -> Result<()> {
    let output = command.output()?;
    ensure!(output.status.success(), "{command:?} failed:\n{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

async fn build(program: &Path, architectures: &[Arch], emulators: Option<&Path>) -> Result<()> {
    let node = match emulators {
        Some(folder) => format!("emulators = \"{}\"\n", folder.canonicalize()?.display()),
        None => String::new(),
    };
    let configuration = format!("[build_node]\n{node}[test_node]\n{node}");
    let mut system = System::start_with(program, &configuration).await?;
    system.stop()?;
    let platforms = system.data().join("platforms");
    fs::create_dir_all(&platforms)?;
    fs::write(platforms.join(format!("{PLATFORM}.toml")), platform(architectures)?)?;
    system.up().await?;

    let package = SourcePackage::with_spec(PACKAGE, SPEC)?;
    let commit = system.push(&package, BRANCH)?;
    let id = system.build_of(PACKAGE, &commit).await?;
    let detail = system.released(id, LIMIT).await?;
    for task in detail.tasks.iter().filter(|task| matches!(task.kind, Kind::Src | Kind::Build | Kind::Test)) {
        println!("{}", in_words(task));
    }
    for &arch in architectures {
        check(&system, &detail, arch).await.with_context(|| format!("of {arch}"))?;
    }
    println!("{PACKAGE} is released for {}", names(architectures));
    system.stop()
}

/// The platform of the native seed, for other architectures.
fn platform(architectures: &[Arch]) -> Result<String> {
    let seed = fs::read_to_string(tidy::root().join("platforms/seed-1.toml"))?;
    let quoted = architectures.iter().map(|arch| format!("\"{arch}\"")).collect::<Vec<_>>().join(", ");
    let changed = seed
        .replace("name = \"seed-1\"", &format!("name = \"{PLATFORM}\""))
        .replace("branch = \"s1\"", &format!("branch = \"{BRANCH}\""))
        .replace("release_to = \"seed-1\"", &format!("release_to = \"{PLATFORM}\""))
        .replace("architectures = [\"x86_64\"]", &format!("architectures = [{quoted}]"));
    ensure!(changed.contains(&quoted) && changed.contains(BRANCH), "the platform file of the seed has another form");
    Ok(changed)
}

fn in_words(task: &Task) -> String {
    let secs = task.started_at.zip(task.ended_at).map_or(0.0, |(started, ended)| ended.secs_since(started));
    let phases = task.phases.iter().map(|phase| format!("{} {:.1}", phase.name, phase.secs)).collect::<Vec<_>>();
    format!(
        "{} {}{}: {secs:.0} s ({})",
        task.kind.name(),
        task.arch.map_or("", Arch::name),
        if task.is_emulated { ", emulated" } else { "" },
        phases.join(", ")
    )
}

/// What was made has to be of the architecture, and the record has to say how it was made.
async fn check(system: &System, detail: &BuildDetail, arch: Arch) -> Result<()> {
    let task = detail.tasks.iter().find(|task| task.kind == Kind::Build && task.arch == Some(arch));
    let task = task.context("there is no build task")?;
    let is_native = is_native(arch);
    ensure!(task.is_emulated != is_native, "the record says otherwise");
    let page = page_of(&format!("{}/tasks/{}", system.master_url(), task.id))?;
    ensure!(page.contains("emulated") != is_native, "the task's page says otherwise");
    let file = task.artifacts.iter().find(|file| {
        file.kind == artifact::Kind::Rpm
            && file.name.starts_with(PACKAGE)
            && file.name.ends_with(&format!("{arch}.rpm"))
            && !file.name.contains("debug")
    });
    let file = file.context("there is no package")?;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join(&file.name);
    must(Command::new("curl").args(["-sSf", "-o"]).arg(&path).arg(format!(
        "{}/api/v1/artifacts/{}",
        system.master_url(),
        file.sha256
    )))?;
    let unpack = "rpm2cpio \"$0\" | cpio -id --quiet && file -b usr/bin/greeting";
    let output = Command::new("sh").current_dir(folder.path()).args(["-c", unpack]).arg(&path).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    println!("{}: {}", file.name, String::from_utf8_lossy(&output.stdout).trim());
    Ok(())
}

/// Whether this machine runs programs of the architecture by itself.
fn is_native(arch: Arch) -> bool {
    std::env::consts::ARCH.parse().is_ok_and(|own: Arch| own.runs(arch))
}

fn page_of(url: &str) -> Result<String> {
    let output = Command::new("curl").args(["-sSf", url]).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

fn names(architectures: &[Arch]) -> String {
    architectures.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// A program that is compiled, run by `%check`, and split from data that is the same everywhere.
const SPEC: &str = r#"Name: greeting
Version: 1
Release: 1%{?dist}
Summary: Greets from another architecture
License: MIT
BuildRequires: gcc

%description
A program, and data that is the same for all architectures.

%package data
Summary: What it says
BuildArch: noarch
%description data
What it says.

%prep
%setup -q -c -T

%build
cat > greeting.c <<'C'
#include <stdio.h>
#include <sys/utsname.h>
int main(void) { struct utsname u; uname(&u); printf("greetings from %s, %zu bits\n", u.machine, 8 * sizeof(void *)); return 0; }
C
gcc %{optflags} greeting.c -o greeting

%check
./greeting
rpm -q glibc --qf '%%{name} of %%{arch}\n'

%install
install -D greeting %{buildroot}%{_bindir}/greeting
mkdir -p %{buildroot}%{_datadir}/greeting
echo hello > %{buildroot}%{_datadir}/greeting/words

%files
%{_bindir}/greeting

%files data
%{_datadir}/greeting

%changelog
* Mon Nov 02 2026 A Packager <packager@example.org> - 1-1
- First
"#;
