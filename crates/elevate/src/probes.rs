//! Probes: the files of a root that rules look at, as part of its facts.
//!
//! Which files, says a list (`rules/data/probes.toml`). What looks like a secret is left out before it is written down anywhere.

use std::{
    collections::BTreeMap,
    fs,
    io::Read as _,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use regex::Regex;
use serde::{Deserialize, Serialize};

use crate::pattern;

/// The list of files.
const LIST: &str = include_str!("rules/data/probes.toml");
/// The largest text that is taken along: no configuration is larger, and a thousand machines' facts fit into the memory.
const MAX_TEXT_BYTES: u64 = 64 << 10;
/// What is taken of a file of which only the first line counts.
const MAX_LINE_BYTES: u64 = 200;
/// Files of one pattern.
const MAX_FILES: usize = 200;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Probes {
    /// The list's version: rules that look at what an older list lacks find nothing.
    pub list_version: u32,
    /// The files, by path.
    pub files: BTreeMap<String, Probed>,
    /// The kind of the package database: `bdb`, `ndb`, `sqlite`.
    #[serde(default)]
    pub package_database: Option<String>,
    /// Ids of the keys in the package database.
    #[serde(default)]
    pub keys: Vec<String>,
}

/// One file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Probed {
    /// What it is.
    #[serde(flatten)]
    pub kind: ProbedKind,
    /// Whether it has the flag that nobody may change it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_immutable: bool,
}

/// What a file is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ProbedKind {
    /// A text.
    Text {
        /// What is in it, or its first line.
        text: String,
    },
    /// A symbolic link.
    Link {
        /// Where it leads.
        target: String,
    },
    /// A folder.
    Folder,
    /// Something that is only known to be there.
    There,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListForm {
    version: u32,
    /// Files whose text is taken along.
    whole: Vec<String>,
    /// Files of which the first line is.
    first_line: Vec<String>,
    /// Files that are only looked for.
    there: Vec<String>,
    /// Files of the running system, whose text is taken along.
    running: Vec<String>,
}

/// How much of a file is taken along.
#[derive(Clone, Copy, PartialEq)]
enum Part {
    Whole,
    FirstLine,
    There,
}

static FORM: LazyLock<ListForm> = LazyLock::new(|| toml::from_str(LIST).expect("a test reads the list"));

/// Looks at the files of a root.
pub fn collect(root: &Path, is_running: bool) -> Probes {
    let mut files = BTreeMap::new();
    let running = FORM.running.iter().filter(|_| is_running);
    let whole = FORM.whole.iter().chain(running).map(|pattern| (pattern, Part::Whole));
    let first = FORM.first_line.iter().map(|pattern| (pattern, Part::FirstLine));
    let there =
        FORM.there.iter().filter(|path| is_running || !path.starts_with("/sys/")).map(|pattern| (pattern, Part::There));
    for (pattern, part) in whole.chain(first).chain(there) {
        for path in pattern::expand(root, pattern, MAX_FILES) {
            if let Some(probed) = probe(&path, part) {
                // What a file is taken for first, with its text, counts.
                files.entry(inside(root, &path)).or_insert(probed);
            }
        }
    }
    Probes { list_version: FORM.version, files, package_database: None, keys: Vec::new() }
}

fn inside(root: &Path, path: &Path) -> String {
    format!("/{}", path.strip_prefix(root).unwrap_or(path).display())
}

fn probe(path: &PathBuf, part: Part) -> Option<Probed> {
    let metadata = fs::symlink_metadata(path).ok()?;
    let kind = match (metadata.file_type(), part) {
        (kind, _) if kind.is_symlink() => {
            ProbedKind::Link { target: fs::read_link(path).ok()?.to_string_lossy().into_owned() }
        }
        (kind, _) if kind.is_dir() => ProbedKind::Folder,
        (kind, Part::There) if kind.is_file() => ProbedKind::There,
        (kind, part) if kind.is_file() => ProbedKind::Text { text: text(path, part)? },
        _ => ProbedKind::There,
    };
    Some(Probed { kind, is_immutable: metadata.is_file() && is_immutable(path) })
}

fn text(path: &Path, part: Part) -> Option<String> {
    let limit = if part == Part::FirstLine { MAX_LINE_BYTES } else { MAX_TEXT_BYTES };
    let mut bytes = Vec::new();
    fs::File::open(path).ok()?.take(limit).read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Some(match part {
        Part::FirstLine => text.lines().next().unwrap_or_default().to_string(),
        _ if path.ends_with(NAMES) => text,
        _ if path.parent().is_some_and(|folder| folder.ends_with(SIGN_IN)) => without_secret_arguments(&text),
        _ => without_secrets(&text),
    })
}

fn is_immutable(path: &Path) -> bool {
    let Ok(file) = fs::File::open(path) else { return false };
    rustix::fs::ioctl_getflags(&file).is_ok_and(|flags| flags.contains(rustix::fs::IFlags::IMMUTABLE))
}

/// Says where users come from (`passwd: files sss`), and has no secrets.
const NAMES: &str = "etc/nsswitch.conf";
/// Its lines begin with words such as `password`, which say what they are about; what is secret stands in arguments.
const SIGN_IN: &str = "etc/pam.d";

/// Names of settings whose values are nobody's business.
static SECRET: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?i)^(\s*[\w.\-]*(?:pass|secret|psk|private|token|wep-key|key_passphrase|community)[\w.\-]*\s*[=: ]\s*).+$",
    )
    .expect("it is a pattern")
});

/// Arguments of modules of PAM whose values are nobody's business.
static SECRET_ARGUMENT: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?i)\b(\w*(?:pass|pw|secret|token)\w*=)\S+").expect("it is a pattern"));

fn without_secret_arguments(text: &str) -> String {
    SECRET_ARGUMENT.replace_all(text, "$1…").into_owned()
}

/// Returns a text with what looks like a secret taken out. Lines keep their numbers.
fn without_secrets(text: &str) -> String {
    let lines: Vec<_> = text.split('\n').map(|line| SECRET.replace(line, "$1…")).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_read_and_what_is_there_is_found() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("etc")).unwrap();
        fs::create_dir_all(root.path().join("usr/local/bin")).unwrap();
        fs::write(root.path().join("etc/fstab"), "/dev/sda1 / ext4 defaults 0 0\n").unwrap();
        fs::write(root.path().join("usr/local/bin/tool"), "#!/usr/bin/python\nprint(1)\n").unwrap();
        std::os::unix::fs::symlink("/usr/bin", root.path().join("bin")).unwrap();

        let probes = collect(root.path(), false);

        let kind = |path: &str| probes.files[path].kind.clone();
        assert_eq!(kind("/etc/fstab"), ProbedKind::Text { text: "/dev/sda1 / ext4 defaults 0 0\n".into() });
        assert_eq!(kind("/usr/local/bin/tool"), ProbedKind::Text { text: "#!/usr/bin/python".into() });
        assert_eq!(kind("/bin"), ProbedKind::Link { target: "/usr/bin".into() });
        assert!(probes.files.keys().all(|path| !path.starts_with("/proc") && !path.starts_with("/sys")));
    }

    #[test]
    fn secrets_are_left_out_and_lines_keep_their_numbers() {
        let text = "a=1\npassword=hunter2\nwpa-psk: abc\nldap_default_authtok_type = password\nPermitRootLogin no\n";

        let without = without_secrets(text);

        assert_eq!(without.lines().count(), 5);
        assert!(!without.contains("hunter2") && !without.contains("abc") && without.contains("PermitRootLogin no"));
    }

    #[test]
    fn what_rules_ask_of_names_and_of_pam_is_no_secret_and_a_password_among_arguments_is() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("etc/pam.d")).unwrap();
        fs::write(root.path().join("etc/nsswitch.conf"), "passwd: files nis\n").unwrap();
        let pam =
            "password requisite pam_cracklib.so retry=3\nauth required pam_mysql.so user=pam passwd=hunter2 db=x\n";
        fs::write(root.path().join("etc/pam.d/system-auth"), pam).unwrap();

        let probes = collect(root.path(), false);

        let text = |path: &str| match &probes.files[path].kind {
            ProbedKind::Text { text } => text.clone(),
            other => panic!("{other:?}"),
        };
        assert_eq!(text("/etc/nsswitch.conf"), "passwd: files nis\n");
        assert_eq!(text("/etc/pam.d/system-auth"), pam.replace("hunter2", "…"));
    }
}
