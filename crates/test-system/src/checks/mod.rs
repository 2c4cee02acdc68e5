//! What is looked at in the files of an installed package: pure functions of what the package says and what a root has.
//!
//! All paths are resolved inside the root by [`Inside`]: whatever a package has put there, nothing is read from the host.

mod elf;
mod files;
mod interpreters;
mod libraries;
mod loader;
mod symlinks;
#[cfg(test)]
mod testing;

use anima_environment::Inside;
use anima_rpm_file::PackageInfo;
use anima_types::work::Check;

pub use elf::Elf;
pub use files::files;
pub use interpreters::{interpreters, missing_script_interpreters};
pub use libraries::libraries;
pub use loader::Loader;
pub use symlinks::symlinks;

use crate::blame::shown;
use crate::verdicts::{green, red};

/// Looks at everything.
pub fn all(info: &PackageInfo, inside: &Inside, loader: &Loader) -> Vec<Check> {
    vec![files(info, inside), symlinks(info, inside), interpreters(info, inside), libraries(info, inside, loader)]
}

/// Returns the check of many things: red with the first few that are wrong, else green with what was looked at.
fn judged(name: &str, wrong: &[String], looked_at: String) -> Check {
    if wrong.is_empty() { green(name, looked_at) } else { red(name, shown(wrong)) }
}
