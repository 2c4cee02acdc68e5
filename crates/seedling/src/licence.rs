//! The licence tag of a converted package, read from Debian's copyright file.

/// What a package is tagged with whose copyright file says nothing that we understand.
pub const UNKNOWN: &str = "LicenseRef-Unknown";

/// How many licences a tag names at most: copyright files list one for every third-party file.
const LICENCES_LIMIT: usize = 4;

/// How far into the file the header of a machine-readable copyright file stands.
const HEADER_BYTES: usize = 200;

/// Licence names of Debian → SPDX.
const SPDX: &[(&str, &str)] = &[
    ("Artistic", "Artistic-1.0-Perl"),
    ("Expat", "MIT"),
    ("GPL-2", "GPL-2.0-only"),
    ("GPL-2+", "GPL-2.0-or-later"),
    ("GPL-3", "GPL-3.0-only"),
    ("GPL-3+", "GPL-3.0-or-later"),
    ("LGPL-2+", "LGPL-2.0-or-later"),
    ("LGPL-2.1", "LGPL-2.1-only"),
    ("LGPL-2.1+", "LGPL-2.1-or-later"),
    ("LGPL-3+", "LGPL-3.0-or-later"),
    ("zlib/libpng", "Zlib"),
];

/// Words of a free-form copyright file → SPDX; the first that occurs counts.
const WORDS: &[(&str, &str)] = &[
    ("GNU LESSER", "LGPL-2.1-or-later"),
    ("GNU Lesser", "LGPL-2.1-or-later"),
    ("GNU GENERAL", "GPL-3.0-or-later"),
    ("GNU General", "GPL-3.0-or-later"),
    ("GPL", "GPL-2.0-or-later"),
    ("Permission is hereby granted", "MIT"),
    ("BSD", "BSD-3-Clause"),
    ("public domain", "LicenseRef-Public-Domain"),
];

/// Sources whose copyright files mention every licence there is.
const OF_SOURCE: &[(&str, &str)] = &[
    ("gcc-12", "GPL-3.0-or-later WITH GCC-exception-3.1"),
    ("gcc-defaults", "GPL-3.0-or-later WITH GCC-exception-3.1"),
];

/// Returns the licence of everything built from a source package, where it is known beforehand.
pub fn of_source(source: &str) -> Option<&'static str> {
    OF_SOURCE.iter().find(|(name, _)| *name == source).map(|(_, licence)| *licence)
}

/// Returns the licence tag that a copyright file speaks for.
pub fn of_copyright(text: &str) -> Option<String> {
    let named = match text.lines().take_while_bytes(HEADER_BYTES).any(|line| line.contains("ormat:")) {
        true => named_licences(text),
        false => Vec::new(),
    };
    if !named.is_empty() {
        return Some(named.join(" AND "));
    }
    WORDS.iter().find(|(word, _)| text.contains(word)).map(|(_, licence)| (*licence).to_owned())
}

fn named_licences(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for name in text.lines().filter_map(|line| line.strip_prefix("License:")).map(str::trim) {
        let spdx = SPDX.iter().find(|(debian, _)| *debian == name).map_or(name, |(_, spdx)| spdx);
        let clean = spdx.split_whitespace().collect::<Vec<_>>().join(" ").replace('%', "");
        if !clean.is_empty() && !found.contains(&clean) && found.len() < LICENCES_LIMIT {
            found.push(clean);
        }
    }
    found
}

trait TakeWhileBytes<'a>: Iterator<Item = &'a str> + Sized {
    fn take_while_bytes(self, limit: usize) -> impl Iterator<Item = &'a str> {
        let mut seen = 0;
        self.take_while(move |line| {
            let before = seen;
            seen += line.len() + 1;
            before < limit
        })
    }
}

impl<'a, I: Iterator<Item = &'a str>> TakeWhileBytes<'a> for I {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_readable_file_is_translated_to_spdx() {
        let text = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\nFiles: *\n\
                    License: GPL-3+\n This program\n\nFiles: lib/*\nLicense: Expat\n\nLicense: GPL-3+\n";

        assert_eq!(of_copyright(text).as_deref(), Some("GPL-3.0-or-later AND MIT"));
    }

    #[test]
    fn a_free_form_file_is_known_by_its_words() {
        let text =
            "This is Debian's package.\n\nLicensed under the GNU Lesser General Public License, not the BSD one.";

        assert_eq!(of_copyright(text).as_deref(), Some("LGPL-2.1-or-later"));
    }

    #[test]
    fn a_file_that_says_nothing_known_gives_no_licence() {
        assert_eq!(of_copyright("All rights reserved."), None);
    }
}
