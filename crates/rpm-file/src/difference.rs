//! What tells two builds of the same package apart, for the person who has to make them the same.

use std::collections::{BTreeMap, HashSet};

use crate::info::{Dependency, File, FileKind, PackageInfo, Scriptlet};

/// Of one list, so many lines are shown; the rest is counted.
const SHOWN: usize = 8;

/// What the two builds are called, such as the architectures that they were made on.
#[derive(Clone, Copy)]
struct Sides<'a>(&'a str, &'a str);

/// Returns what two packages differ in, one line each; nothing where a user could not tell them apart. Each comes with
/// what it is called in these lines.
///
/// When, where and with which compressor they were built, and the times of files, are of no account.
pub fn differences(one: (&str, &PackageInfo), other: (&str, &PackageInfo)) -> Vec<String> {
    let sides = Sides(one.0, other.0);
    let (one, other) = (one.1, other.1);
    let mut lines = Vec::new();
    let mut field = |name: &str, one: &dyn std::fmt::Display, other: &dyn std::fmt::Display| {
        let (one, other) = (one.to_string(), other.to_string());
        if one != other {
            lines.push(format!("{name}: {}", sides.both(&quoted(&one), &quoted(&other))));
        }
    };
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    field("name", &one.nevra, &other.nevra);
    field("summary", &one.summary, &other.summary);
    field("description", &one.description, &other.description);
    field("licence", &one.license, &other.license);
    field("url", &text(&one.url), &text(&other.url));
    field("vendor", &text(&one.vendor), &text(&other.vendor));
    field("group", &text(&one.group), &text(&other.group));
    field("packager", &text(&one.packager), &text(&other.packager));
    for (name, list) in LISTS {
        lines.extend(of_sets(sides, name, &capabilities(list(one)), &capabilities(list(other))));
    }
    lines.extend(of_sets(sides, "scripts", &scripts(&one.scriptlets), &scripts(&other.scriptlets)));
    lines.extend(of_files(sides, &one.files, &other.files));
    if one.changelogs != other.changelogs {
        lines.push("changelog: its entries differ".to_owned());
    }
    lines
}

impl Sides<'_> {
    fn both(self, one: &str, other: &str) -> String {
        format!("{one} ({}), {other} ({})", self.0, self.1)
    }
}

type List = fn(&PackageInfo) -> &[Dependency];

/// Each kind of dependency, by its tag in a spec.
const LISTS: [(&str, List); 8] = [
    ("Provides", |info| &info.provides),
    ("Requires", |info| &info.requires),
    ("Conflicts", |info| &info.conflicts),
    ("Obsoletes", |info| &info.obsoletes),
    ("Recommends", |info| &info.recommends),
    ("Suggests", |info| &info.suggests),
    ("Supplements", |info| &info.supplements),
    ("Enhances", |info| &info.enhances),
];

fn quoted(text: &str) -> String {
    const LONGEST: usize = 80;
    let short: String = text.chars().take(LONGEST).collect();
    format!("\"{short}{}\"", if short.len() < text.len() { "…" } else { "" })
}

fn capabilities(list: &[Dependency]) -> Vec<String> {
    let mut lines: Vec<String> =
        list.iter().map(|it| format!("{it}{}", if it.is_pre() { " (pre)" } else { "" })).collect();
    lines.sort();
    lines.dedup();
    lines
}

fn scripts(list: &[Scriptlet]) -> Vec<String> {
    list.iter()
        .map(|it| format!("{:?} {} {}", it.kind, it.interpreter.join(" "), it.body.as_deref().unwrap_or("")))
        .collect()
}

fn of_sets(sides: Sides<'_>, name: &str, one: &[String], other: &[String]) -> Option<String> {
    let only = |list: &[String], than: &[String]| {
        let than: HashSet<&String> = than.iter().collect();
        list.iter().filter(|it| !than.contains(it)).cloned().collect::<Vec<_>>()
    };
    let (there, here) = (only(one, other), only(other, one));
    let part = |list: &[String], place: &str| (!list.is_empty()).then(|| format!("only {place}: {}", shown(list)));
    let parts: Vec<String> = [part(&there, sides.0), part(&here, sides.1)].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| format!("{name}: {}", parts.join("; ")))
}

fn shown(list: &[String]) -> String {
    let mut text = list.iter().take(SHOWN).map(|it| it.trim_end().to_owned()).collect::<Vec<_>>().join(", ");
    if list.len() > SHOWN {
        text += &format!(" and {} more", list.len() - SHOWN);
    }
    text
}

fn of_files(sides: Sides<'_>, one: &[File], other: &[File]) -> Vec<String> {
    let by_path =
        |files: &[File]| files.iter().map(|file| (file.path.clone(), file.clone())).collect::<BTreeMap<_, _>>();
    let (one, other) = (by_path(one), by_path(other));
    let paths = |files: &BTreeMap<String, File>| files.keys().cloned().collect::<Vec<_>>();
    let mut lines: Vec<String> = of_sets(sides, "files", &paths(&one), &paths(&other)).into_iter().collect();
    let mut changed = Vec::new();
    for (path, before) in &one {
        if let Some(after) = other.get(path) {
            changed.extend(of_file(sides, before, after).map(|what| format!("{path}: {what}")));
        }
    }
    let left = changed.len().saturating_sub(SHOWN);
    lines.extend(changed.into_iter().take(SHOWN));
    if left > 0 {
        lines.push(format!("{left} more files differ"));
    }
    lines
}

/// What `%config`, `%doc` and their like make of a file, by rpm's names (`rpmfileAttrs`).
fn flags(file: &File) -> String {
    const NAMES: [(u32, &str); 8] = [
        (1 << 0, "config"),
        (1 << 1, "doc"),
        (1 << 3, "missingok"),
        (1 << 4, "noreplace"),
        (1 << 6, "ghost"),
        (1 << 7, "license"),
        (1 << 8, "readme"),
        (1 << 12, "artifact"),
    ];
    let names: Vec<&str> = NAMES.iter().filter(|(bit, _)| file.flags & bit != 0).map(|(_, name)| *name).collect();
    let known = NAMES.iter().fold(0, |known, (bit, _)| known | bit);
    match file.flags & !known {
        0 if names.is_empty() => "none".to_owned(),
        0 => names.join(" "),
        more => format!("{} {more:#x}", names.join(" ")).trim_start().to_owned(),
    }
}

fn of_file(sides: Sides<'_>, before: &File, after: &File) -> Option<String> {
    let digest = |file: &File| file.digest.as_deref().unwrap_or("none").chars().take(12).collect::<String>();
    let mut parts = Vec::new();
    let mut part = |what: &str, before: String, after: String| {
        if before != after {
            parts.push(format!("{what} {}", sides.both(&before, &after)));
        }
    };
    part("mode", format!("{:o}", before.mode), format!("{:o}", after.mode));
    part("owner", format!("{}:{}", before.user, before.group), format!("{}:{}", after.user, after.group));
    let capabilities = |file: &File| {
        let some = file.capabilities.clone().filter(|text| text != "=");
        some.unwrap_or_else(|| "none".to_owned())
    };
    part("capabilities", capabilities(before), capabilities(after));
    part("flags", flags(before), flags(after));
    part("kind", format!("{:?}", before.kind), format!("{:?}", after.kind));
    part("link to", before.link_to.clone().unwrap_or_default(), after.link_to.clone().unwrap_or_default());
    if before.kind == FileKind::File {
        part("size", before.size_bytes.to_string(), after.size_bytes.to_string());
        part("digest", digest(before), digest(after));
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}
