//! `modules.yaml`: module streams, defaults, obsoletes. Documents are told apart and kept as they were written.
//! Format: <https://github.com/fedora-modularity/libmodulemd/tree/main/yaml_specs>

use std::collections::BTreeMap;

use crate::{
    Error, ItemsDiff, Result,
    yaml::{self, Yaml},
};

/// The largest file: that of RHEL 8, with ten years of streams, has 15 MB.
const MAX_BYTES: usize = 128 << 20;
const NAME: &str = "modules.yaml";
/// The keys that tell a document from all others of its sort, in the order of their name.
const KEYS: [&str; 6] = ["name", "module", "stream", "version", "context", "arch"];

/// The documents of a file, in their order.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Modules {
    /// The documents.
    pub documents: Vec<ModuleDocument>,
}

/// One document.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ModuleDocument {
    /// Its sort and what it is about: `modulemd mariadb:10.11:9202:rhel9:x86_64`, `modulemd-defaults mariadb`.
    pub label: String,
    /// The lines between `---` and the next document.
    pub text: String,
}

/// Returns the documents of a file, open, each with the lines between `---` and the next; those without a word are left out.
pub(crate) fn documents(name: &str, bytes: &[u8]) -> Result<Vec<(String, Yaml)>> {
    if bytes.len() > MAX_BYTES {
        return Err(Error::TooLarge { name: name.to_string(), what: "it", limit_bytes: MAX_BYTES as u64 });
    }
    let text = std::str::from_utf8(bytes).map_err(|error| Error::malformed(name, error))?;
    let mut documents = Vec::new();
    let mut lines = String::new();
    for line in text.split_inclusive('\n').chain(["---"]) {
        let mark = line.trim_end();
        if mark != "---" && mark != "..." {
            lines.push_str(line);
            continue;
        }
        let mut text = std::mem::take(&mut lines);
        if text.lines().all(|line| line.trim().is_empty() || line.starts_with(['#', '%'])) {
            continue;
        }
        if !text.ends_with('\n') {
            text.push('\n');
        }
        let mut read = yaml::documents(&text).map_err(|reason| Error::malformed(name, reason))?;
        match (read.pop(), read.is_empty()) {
            (Some(document), true) => documents.push((text, document)),
            _ => return Err(Error::malformed(name, "two documents have no line between them")),
        }
    }
    Ok(documents)
}

impl Modules {
    /// Reads a file, open.
    pub fn parse(bytes: &[u8]) -> Result<Modules> {
        let documents = documents(NAME, bytes)?.into_iter().map(|(text, document)| {
            let sort = document.text("document").filter(|sort| !sort.is_empty());
            let sort = sort.ok_or_else(|| Error::malformed(NAME, "a document does not say what it is"))?;
            let data = document.get("data");
            let named = KEYS.iter().filter_map(|key| data?.text(key));
            let about = named.collect::<Vec<_>>().join(":");
            Ok(ModuleDocument { label: format!("{sort} {about}").trim_end().to_string(), text })
        });
        Ok(Modules { documents: documents.collect::<Result<_>>()? })
    }

    /// Writes it.
    pub fn to_yaml(&self) -> Vec<u8> {
        self.documents.iter().flat_map(|document| format!("---\n{}...\n", document.text).into_bytes()).collect()
    }

    /// Adds documents; one with the same label takes the place of the one that is there.
    pub fn put(&mut self, documents: impl IntoIterator<Item = ModuleDocument>) {
        for document in documents {
            match self.documents.iter_mut().find(|other| other.label == document.label) {
                Some(other) => *other = document,
                None => self.documents.push(document),
            }
        }
    }

    /// Takes a document away; returns whether it was there.
    pub fn remove(&mut self, label: &str) -> bool {
        let before = self.documents.len();
        self.documents.retain(|document| document.label != label);
        self.documents.len() < before
    }

    /// Returns what differs in a newer file.
    pub fn diff(&self, newer: &Modules) -> ItemsDiff {
        let by_label = |modules: &Modules| -> BTreeMap<String, String> {
            modules.documents.iter().map(|document| (document.label.clone(), document.text.clone())).collect()
        };
        ItemsDiff::between(&by_label(self), &by_label(newer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const YAML: &str = "---\ndocument: modulemd-defaults\nversion: 1\ndata:\n  module: jq\n  profiles:\n    1: [x]\n...\n\
        ---\ndocument: modulemd\nversion: 2\ndata:\n    name: jq\n    stream: \"1.7\"\n    version: 9\n    context: abc\n    arch: x86_64\n\
        \n    summary: >-\n      name: not this\n...\n";

    #[test]
    fn documents_are_told_apart_by_what_they_are_about_and_kept_as_they_are() {
        let modules = Modules::parse(YAML.as_bytes()).unwrap();

        let labels: Vec<_> = modules.documents.iter().map(|document| document.label.as_str()).collect();
        assert_eq!(labels, ["modulemd-defaults jq", "modulemd jq:1.7:9:abc:x86_64"]);
        assert_eq!(String::from_utf8(modules.to_yaml()).unwrap(), YAML);
    }

    #[test]
    fn documents_are_put_taken_away_and_compared() {
        let old = Modules::parse(YAML.as_bytes()).unwrap();
        let mut new = Modules::parse(YAML.replace("1: [x]", "1: [y]").as_bytes()).unwrap();
        let other = Modules::parse(YAML.replace("version: 9", "version: 10").as_bytes()).unwrap();

        new.put(other.documents[1..].to_vec());
        new.remove("modulemd jq:1.7:9:abc:x86_64");

        let diff = old.diff(&new);
        assert_eq!(diff.changed, ["modulemd-defaults jq"]);
        assert_eq!(diff.added, ["modulemd jq:1.7:10:abc:x86_64"]);
        assert_eq!(diff.removed, ["modulemd jq:1.7:9:abc:x86_64"]);
    }

    #[test]
    fn what_is_no_list_of_modules_is_refused() {
        assert!(Modules::parse(b"\xff\xfe").is_err());
        assert!(Modules::parse(b"---\nsomething: else\n").is_err());
        assert_eq!(Modules::parse(b"# nothing\n---\n...\n").unwrap(), Modules::default());
    }
}
