//! An entry of the Boot Loader Specification, type 1: a file in `loader/entries` that GRUB (of Enterprise Linux) and systemd-boot
//! read. See <https://uapi-group.org/specifications/specs/boot_loader_specification/>.

use serde::{Deserialize, Serialize};

/// One entry.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub(crate) struct BootEntry {
    /// The file's name without `.conf`.
    pub id: String,
    /// Keys and values in their order.
    fields: Vec<(String, String)>,
}

impl BootEntry {
    /// Reads an entry.
    pub fn parse(id: &str, text: &str) -> BootEntry {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let field = |line: &str| {
            let (key, value) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            (key.to_owned(), value.trim().to_owned())
        };
        BootEntry { id: id.to_owned(), fields: lines.map(field).collect() }
    }

    /// Returns the value of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.fields.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// Returns the values of a key that can be there more than once.
    pub fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.fields.iter().filter(move |(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// Sets a key to these values, in the place of the first one.
    pub fn set(&mut self, key: &str, values: &[String]) {
        let at = self.fields.iter().position(|(name, _)| name == key).unwrap_or(self.fields.len());
        self.fields.retain(|(name, _)| name != key);
        let new = values.iter().map(|value| (key.to_owned(), value.clone()));
        self.fields.splice(at..at, new);
    }

    /// Returns all files that the loader reads: the kernel and what goes with it.
    pub fn files(&self) -> Vec<String> {
        // GRUB's menu may add variables, such as $tuned_initrd, which are no files.
        let of = |key| self.all(key).flat_map(str::split_whitespace).filter(|path| path.starts_with('/'));
        of("linux").chain(of("initrd")).map(str::to_owned).collect()
    }

    /// Writes the entry.
    pub fn print(&self) -> String {
        self.fields.iter().map(|(key, value)| format!("{key} {value}\n")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "title AlmaLinux (5.14.0)\nversion 5.14.0\nlinux /vmlinuz-5.14.0\ninitrd /initramfs-5.14.0.img $tuned_initrd\noptions root=/dev/a ro\ngrub_class alma\n";

    #[test]
    fn an_entry_is_read_changed_and_written() {
        let mut entry = BootEntry::parse("id-5.14.0", TEXT);
        assert_eq!(entry.print(), TEXT);
        assert_eq!(entry.files(), ["/vmlinuz-5.14.0", "/initramfs-5.14.0.img"]);

        entry.set("initrd", &["/a".to_owned(), "/b".to_owned()]);
        entry.set("sort-key", &["0".to_owned()]);

        assert_eq!(entry.all("initrd").collect::<Vec<_>>(), ["/a", "/b"]);
        assert!(entry.print().contains("initrd /a\ninitrd /b\noptions"), "{}", entry.print());
        assert_eq!(entry.get("sort-key"), Some("0"));
    }
}
