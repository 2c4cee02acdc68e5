//! The programs that Anima drives.

use std::{io, process::Command};

use super::{Check, State};

/// A program, the least version that will do, and who needs it.
struct Program {
    name: &'static str,
    arguments: &'static [&'static str],
    least: [u32; 2],
    /// What is wrong without it: `Missing` if a role does not work, `Warning` if only a convenience does not.
    without: State,
    purpose: &'static str,
    /// The packages that bring it, on Debian and on Enterprise Linux.
    packages: [&'static str; 2],
}

const PROGRAMS: &[Program] = &[
    Program {
        name: "git",
        arguments: &["--version"],
        least: [2, 31], // GIT_CONFIG_COUNT, by which a token is given to git without showing it to `ps`
        without: State::Missing,
        purpose: "hosts and reads package sources",
        packages: ["git", "git-core"],
    },
    Program {
        name: "rpm",
        arguments: &["--version"],
        least: [4, 14],
        without: State::Missing,
        purpose: "installs packages into buildroots",
        packages: ["rpm", "rpm"],
    },
    Program {
        name: "dnf",
        arguments: &["--version"],
        least: [4, 0],
        without: State::Warning,
        purpose: "installs released packages, as users do (demo and tests)",
        packages: ["dnf", "dnf"],
    },
];

/// Looks at all programs.
pub fn all() -> Vec<Check> {
    let mut checks: Vec<Check> = PROGRAMS.iter().map(|program| judge(program, run(program))).collect();
    checks.push(http_backend());
    checks
}

fn run(program: &Program) -> io::Result<String> {
    let output = Command::new(program.name).args(program.arguments).env("LC_ALL", "C").output()?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn judge(program: &Program, answer: io::Result<String>) -> Check {
    let cure = install(program.packages);
    let lacking = |detail: String| match program.without {
        State::Missing => Check::missing(program.name, detail, cure.clone()),
        _ => Check::warning(program.name, detail, cure.clone()),
    };
    let Ok(answer) = answer else { return lacking(format!("not found; it {}", program.purpose)) };
    let [major, minor] = program.least;
    match version_in(&answer) {
        Some(version) if version >= program.least => Check::ok(program.name, format!("{}.{}", version[0], version[1])),
        Some(version) => {
            lacking(format!("{}.{} is too old; it has to be {major}.{minor} or later", version[0], version[1]))
        }
        None => lacking("does not tell its version".to_string()),
    }
}

/// Returns the first two numbers of the first version in a text: `git version 2.39.5` gives 2 and 39.
fn version_in(text: &str) -> Option<[u32; 2]> {
    text.split(|c: char| c.is_whitespace()).find_map(|word| {
        let mut numbers = word.split('.').map(|number| number.parse().ok());
        Some([numbers.next()??, numbers.next()??])
    })
}

fn http_backend() -> Check {
    const NAME: &str = "git http-backend";
    let folder = Command::new("git").arg("--exec-path").output().map(|output| output.stdout).unwrap_or_default();
    let path = std::path::Path::new(String::from_utf8_lossy(&folder).trim()).join("git-http-backend");
    match path.is_file() {
        true => Check::ok(NAME, path.display().to_string()),
        false => Check::missing(NAME, "not found; it serves repositories over http", install(["git", "git-core"])),
    }
}

/// Returns how to get packages on the two families of distributions.
pub fn install([debian, enterprise_linux]: [&str; 2]) -> String {
    format!("apt-get install {debian} (Debian), dnf install {enterprise_linux} (Enterprise Linux)")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn git() -> &'static Program {
        &PROGRAMS[0]
    }

    #[test]
    fn versions_are_found_in_what_programs_say() {
        assert_eq!(version_in("git version 2.39.5\n"), Some([2, 39]));
        assert_eq!(version_in("RPM version 4.18.0"), Some([4, 18]));
        assert_eq!(version_in("4.14.0\n  Installed: dnf-0:4.14.0-1.noarch"), Some([4, 14]));
        assert_eq!(version_in("no version here"), None);
    }

    #[test]
    fn a_program_that_is_absent_or_old_is_told_with_its_package() {
        let absent = judge(git(), Err(io::ErrorKind::NotFound.into()));
        let old = judge(git(), Ok("git version 2.18.4".into()));
        let new = judge(git(), Ok("git version 2.39.5".into()));

        assert_eq!([absent.state, old.state, new.state], [State::Missing, State::Missing, State::Ok]);
        assert!(absent.cure.unwrap().contains("apt-get install git"));
        assert!(old.detail.contains("2.31"));
    }
}
