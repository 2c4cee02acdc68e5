//! The generated spec of one converted package: plain data in, text out.

use std::path::Path;

/// What a package says about itself, as far as it is known before its files are unpacked.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Spec {
    /// The RPM name.
    pub name: String,
    /// The upstream version.
    pub version: String,
    /// The release.
    pub release: String,
    /// One line about the package.
    pub summary: String,
    /// Several lines about the package, as Debian writes them.
    pub description: String,
    /// The project's page.
    pub url: Option<String>,
    /// Debian's section.
    pub group: String,
    /// Whether the package is the same for every architecture.
    pub noarch: bool,
    /// `Provides` lines.
    pub provides: Vec<String>,
    /// `Requires` lines.
    pub requires: Vec<String>,
    /// A regular expression of generated requirements to leave out.
    pub requires_filter: Option<String>,
    /// The deb's file name.
    pub origin: String,
}

/// What is known only from the unpacked files.
#[derive(Debug)]
pub struct Contents<'a> {
    /// The licence tag.
    pub licence: &'a str,
    /// The staged tree, which becomes the build root.
    pub tree: &'a Path,
    /// The list of its files.
    pub file_list: &'a Path,
    /// Old names under `/bin` and `/sbin`.
    pub old_programs: &'a [String],
}

/// Macros that keep rpmbuild from changing what is packaged. Requirements on perl modules are left out since Debian's
/// packages do not say which of them they provide; those on /usr/local are mistakes.
const PREAMBLE: &str = "\
%global __os_install_post %{nil}
%global __arch_install_post %{nil}
%global debug_package %{nil}
%global _build_id_links none
%global _binary_payload w3.zstdio
%global _buildhost seedling.invalid
%global use_source_date_epoch_as_buildtime 1
%global clamp_mtime_to_source_date_epoch 1
";

/// The package whose file triggers stand for Debian's ldconfig triggers.
const LDCONFIG_PACKAGE: &str = "glibc-common";

/// After everything else of a transaction; a shell body, since `-p /usr/sbin/ldconfig` with no body fails.
const LDCONFIG_TRIGGERS: &str = "\
%transfiletriggerin -P 2000000 -- /usr/lib64 /usr/lib
/usr/sbin/ldconfig
%transfiletriggerpostun -P 2000000 -- /usr/lib64 /usr/lib
/usr/sbin/ldconfig
";

/// Returns the text of the spec.
pub fn render(spec: &Spec, contents: &Contents) -> String {
    let mut text = PREAMBLE.to_owned();
    let filter = spec.requires_filter.as_ref().map(|filter| format!("|{filter}")).unwrap_or_default();
    text += &format!("%global __requires_exclude ^(/usr/local/|perl\\\\(|perl {filter})\n");
    let mut tag = |name: &str, value: &str| text += &format!("{name}: {value}\n");
    tag("Name", &spec.name);
    tag("Version", &spec.version);
    tag("Release", &spec.release);
    tag("Summary", &escape(&spec.summary));
    tag("License", contents.licence);
    if let Some(url) = &spec.url {
        tag("URL", &escape(url));
    }
    tag("Group", &spec.group);
    tag("Vendor", crate::VENDOR);
    if spec.noarch {
        tag("BuildArch", "noarch");
    }
    spec.provides.iter().for_each(|provided| tag("Provides", provided));
    contents.old_programs.iter().filter(|path| is_plain(path)).for_each(|path| tag("Provides", path));
    spec.requires.iter().for_each(|required| tag("Requires", required));
    text += &format!("%description\n{}\n\nConverted from {}.\n", description(&spec.description), spec.origin);
    text += "%install\nrmdir \"$RPM_BUILD_ROOT\" 2>/dev/null || :\n";
    text += &format!("mv \"{}\" \"$RPM_BUILD_ROOT\"\n", contents.tree.display());
    if spec.name == LDCONFIG_PACKAGE {
        text += LDCONFIG_TRIGGERS;
    }
    text += &format!("%files -f {}\n", contents.file_list.display());
    text
}

/// Debian writes a blank line as a lone dot.
fn description(text: &str) -> String {
    let lines = text.lines().map(|line| if line.trim() == "." { String::new() } else { escape(line) });
    lines.collect::<Vec<_>>().join("\n")
}

fn escape(text: &str) -> String {
    text.replace('%', "%%")
}

/// Such a path needs no quoting in a `Provides` line.
fn is_plain(path: &str) -> bool {
    path.chars().all(|c| c.is_ascii_alphanumeric() || "/._+-".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> Spec {
        Spec {
            name: "bash".into(),
            version: "5.2.15".into(),
            release: "0.2+b13".into(),
            summary: "a shell, 100% GNU".into(),
            description: "It runs.\n.\nWell.".into(),
            url: None,
            group: "shells".into(),
            noarch: false,
            provides: vec!["/bin/sh".into()],
            requires: vec!["glibc >= 2.36".into()],
            requires_filter: None,
            origin: "bash_5.2.15-2+b13_amd64.deb".into(),
        }
    }

    fn rendered(spec: &Spec) -> String {
        let contents = Contents {
            licence: "GPL-3.0-or-later",
            tree: Path::new("/w/root"),
            file_list: Path::new("/w/files"),
            old_programs: &["/bin/bash".to_owned(), "/bin/[".to_owned()],
        };
        render(spec, &contents)
    }

    #[test]
    fn a_spec_carries_the_packages_names_relations_and_origin() {
        let text = rendered(&spec());

        let expected = "Name: bash\nVersion: 5.2.15\nRelease: 0.2+b13\nSummary: a shell, 100%% GNU\n\
                        License: GPL-3.0-or-later\nGroup: shells\nVendor: Seed Linux\nProvides: /bin/sh\n\
                        Provides: /bin/bash\nRequires: glibc >= 2.36\n%description\nIt runs.\n\nWell.\n\n\
                        Converted from bash_5.2.15-2+b13_amd64.deb.\n%install\n";
        assert!(text.contains(expected), "{text}");
        assert!(text.ends_with("mv \"/w/root\" \"$RPM_BUILD_ROOT\"\n%files -f /w/files\n"), "{text}");
    }

    #[test]
    fn an_architecture_independent_package_says_so() {
        let text = rendered(&Spec { noarch: true, url: Some("https://x.example/%7e".into()), ..spec() });

        assert!(text.contains("URL: https://x.example/%%7e\n"), "{text}");
        assert!(text.contains("BuildArch: noarch\n"), "{text}");
    }

    #[test]
    fn generated_requirements_on_perl_modules_and_filtered_ones_are_excluded() {
        let text = rendered(&Spec { requires_filter: Some("/usr/bin/python3$".into()), ..spec() });

        assert!(text.contains("__requires_exclude ^(/usr/local/|perl\\\\(|perl |/usr/bin/python3$)\n"), "{text}");
    }

    #[test]
    fn only_the_package_of_ldconfig_has_its_file_triggers() {
        assert!(!rendered(&spec()).contains("filetrigger"));
        assert!(rendered(&Spec { name: "glibc-common".into(), ..spec() }).contains("%transfiletriggerin"));
    }
}
