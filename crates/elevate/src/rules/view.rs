//! Facts as rules look at them.

use regex::Regex;

use super::condition::Format;
use crate::{
    facts::{Facts, Installed},
    pattern,
    probes::{Probed, ProbedKind, Probes},
    release::Release,
};

/// What a condition was found in.
pub type Evidence = Vec<String>;

/// What the kernel says of itself.
const RUNNING_KERNEL: &str = "/proc/sys/kernel/osrelease";

/// The facts, and where the machine goes.
pub struct View<'a> {
    pub facts: &'a Facts,
    pub probes: Probes,
    pub target: Release,
}

impl<'a> View<'a> {
    pub fn new(facts: &'a Facts, target: Release) -> View<'a> {
        View { facts, probes: facts.probes.clone().unwrap_or_default(), target }
    }

    /// Returns the installed packages of a name.
    pub fn installed<'b>(&'b self, name: &'b str) -> impl Iterator<Item = &'b Installed> {
        self.facts.packages.iter().filter(move |package| pattern::matches(name, &package.name))
    }

    /// Returns the probed files of a path.
    pub fn files<'b>(&'b self, path: &'b str) -> impl Iterator<Item = (&'b String, &'b Probed)> {
        self.probes.files.iter().filter(move |(found, _)| pattern::matches_path(path, found))
    }

    fn texts<'b>(&'b self, path: &'b str) -> impl Iterator<Item = (&'b String, &'b String)> {
        self.files(path).filter_map(|(path, file)| match &file.kind {
            ProbedKind::Text { text } => Some((path, text)),
            _ => None,
        })
    }

    pub fn links(&self, path: &str, matches: &Regex) -> Option<Evidence> {
        let links = self.files(path).filter_map(|(path, file)| match &file.kind {
            ProbedKind::Link { target } if matches.is_match(target) => Some(format!("{path} → {target}")),
            _ => None,
        });
        Some(links.collect::<Evidence>()).filter(|found| !found.is_empty())
    }

    /// Returns the lines that match, as `path:line`.
    pub fn lines(&self, path: &str, is_it: impl Fn(&str) -> bool) -> Option<Evidence> {
        let mut found = Evidence::new();
        for (path, text) in self.texts(path) {
            let lines = text.lines().enumerate().filter(|(at, line)| !is_comment(*at, line) && is_it(line));
            found.extend(lines.map(|(at, line)| format!("{path}:{}: {}", at + 1, line.trim())));
        }
        Some(found).filter(|found| !found.is_empty())
    }

    /// Returns the settings of that name with such values, as `path:line: key value`.
    pub fn settings(
        &self,
        path: &str,
        format: Format,
        section: Option<&str>,
        key: &str,
        is_it: impl Fn(&str) -> bool,
    ) -> Option<Evidence> {
        let mut found = Evidence::new();
        for (path, text) in self.texts(path) {
            for setting in settings(text, format) {
                let is_there = section.is_none_or(|section| setting.section.eq_ignore_ascii_case(section));
                let key = key.to_lowercase();
                if is_there && pattern::matches(&key, &setting.key.to_lowercase()) && is_it(setting.value) {
                    found.push(format!("{path}:{}: {}", setting.line, setting.text.trim()));
                }
            }
        }
        Some(found).filter(|found| !found.is_empty())
    }

    /// Returns the file system that a path is on, where it has less room.
    pub fn free(&self, path: &str, below_mib: u64) -> Option<Evidence> {
        let is_above = |mount: &&crate::facts::Mount| {
            path == mount.path || mount.path == "/" || path.starts_with(&format!("{}/", mount.path))
        };
        let mount = self.facts.mounts.iter().filter(is_above).max_by_key(|mount| mount.path.len())?;
        let free_mib = mount.free_bytes >> 20;
        (free_mib < below_mib).then(|| vec![format!("{} has {free_mib} MiB free", mount.path)])
    }

    /// Returns the running kernel, where a newer one of its kind is installed, or none of its kind.
    pub fn old_kernel(&self) -> Option<Evidence> {
        let (_, running) = self.texts(RUNNING_KERNEL).next()?;
        // Kinds of kernels (`+rt`, `+64k`) are named after the architecture.
        let running = running.trim().split('+').next().unwrap_or_default();
        let release = |kernel: &Installed| format!("{}-{}.{}", kernel.version, kernel.release, kernel.arch);
        let newest = match self.facts.packages.iter().find(|package| is_kernel(package) && release(package) == running)
        {
            Some(kernel) => self.facts.newest(&kernel.name)?,
            None => self.facts.newest_kernel()?,
        };
        (release(newest) != running).then(|| vec![format!("{running} runs, {} is installed", release(newest))])
    }
}

/// A package that has a kernel itself. From 8 on it is the one that others need (`kernel-core`, `kernel-rt-core`).
fn is_kernel(package: &Installed) -> bool {
    package.name == "kernel" || (package.name.starts_with("kernel-") && package.name.ends_with("-core"))
}

/// A setting of a text.
pub(crate) struct Setting<'a> {
    /// The section that it is in; empty before the first.
    pub section: &'a str,
    /// Its name.
    pub key: &'a str,
    /// Its value, without quotes around it.
    pub value: &'a str,
    /// Its line, counted from 1.
    pub line: usize,
    /// The whole line.
    pub text: &'a str,
}

/// Returns the settings of a text, in its order.
pub(crate) fn settings(text: &str, format: Format) -> impl Iterator<Item = Setting<'_>> {
    let mut section = "";
    text.lines().enumerate().filter_map(move |(at, line)| {
        let words = line.trim();
        if is_comment(at, line) || words.is_empty() {
            return None;
        }
        if let Some(name) = words.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name;
            return None;
        }
        let (key, value) = match format {
            Format::Equals => words.split_once('=')?,
            Format::Colon => words.split_once(':')?,
            Format::Words => words.split_once([' ', '\t', '=']).unwrap_or((words, "")),
        };
        let value = value.trim().trim_matches(['"', '\'']);
        Some(Setting { section, key: key.trim(), value, line: at + 1, text: line })
    })
}

/// A comment says nothing; the first line of a script does.
fn is_comment(at: usize, line: &str) -> bool {
    let line = line.trim_start();
    line.starts_with([';', '#']) && !(at == 0 && line.starts_with("#!"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_in_all_three_forms() {
        let of = |text, format| -> Vec<(String, String, String, usize)> {
            let all = settings(text, format);
            all.map(|found| (found.section.into(), found.key.into(), found.value.into(), found.line)).collect()
        };

        assert_eq!(
            of("# x=1\nA = \"b\"\n[main]\nc=d=e\n", Format::Equals),
            [("".into(), "A".into(), "b".into(), 2), ("main".into(), "c".into(), "d=e".into(), 4)]
        );
        assert_eq!(of("PermitRootLogin yes\n", Format::Words)[0].2, "yes");
        assert_eq!(of("MemTotal:   2048 kB\n", Format::Colon)[0].2, "2048 kB");
    }
}
