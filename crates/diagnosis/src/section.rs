//! The steps of rpmbuild, as its output tells of them.

/// A step of rpmbuild.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Section {
    /// Unpack and patch.
    Prep,
    /// Ask the sources what they need.
    GenerateBuildRequires,
    /// Configure; a section of its own since rpm 4.20.
    Conf,
    /// Compile.
    Build,
    /// Put files into the buildroot.
    Install,
    /// Run the package's own tests.
    Check,
    /// Gather files into packages.
    Files,
}

impl Section {
    /// All of them, in order.
    pub const ALL: [Section; 7] = [
        Section::Prep,
        Section::GenerateBuildRequires,
        Section::Conf,
        Section::Build,
        Section::Install,
        Section::Check,
        Section::Files,
    ];

    /// Returns the step that begins with this line.
    pub fn begins(line: &str) -> Option<Section> {
        if line.starts_with("Processing files: ") {
            return Some(Section::Files);
        }
        // `Executing(%build): /bin/sh -e /var/tmp/rpm-tmp.3bGZzC`
        let (name, _) = line.strip_prefix("Executing(%")?.split_once("):")?;
        Section::named(name)
    }

    /// Returns the step that rpmbuild says has failed.
    pub fn fails(line: &str) -> Option<Section> {
        // `error: Bad exit status from /var/tmp/rpm-tmp.3bGZzC (%build)`
        let rest = line
            .trim_start()
            .strip_prefix("error: ")
            .unwrap_or(line.trim_start())
            .strip_prefix("Bad exit status from ")?;
        let (_, name) = rest.trim_end().rsplit_once("(%")?;
        Section::named(name.strip_suffix(')')?)
    }

    fn named(name: &str) -> Option<Section> {
        match name {
            "buildrequires" => Some(Section::GenerateBuildRequires),
            "files" => None,
            name => Section::ALL.into_iter().find(|section| section.word() == name),
        }
    }

    /// Returns its word in `classes.toml`.
    pub fn word(self) -> &'static str {
        &self.name()[1..]
    }

    /// Returns its name in a spec.
    pub const fn name(self) -> &'static str {
        match self {
            Section::Prep => "%prep",
            Section::GenerateBuildRequires => "%generate_buildrequires",
            Section::Conf => "%conf",
            Section::Build => "%build",
            Section::Install => "%install",
            Section::Check => "%check",
            Section::Files => "%files",
        }
    }

    /// Returns the stable word for its failure.
    pub const fn failure_code(self) -> &'static str {
        match self {
            Section::Prep => "prep_failed",
            Section::GenerateBuildRequires => "generate_buildrequires_failed",
            Section::Conf | Section::Build => "build_failed",
            Section::Install => "install_failed",
            Section::Check => "check_failed",
            Section::Files => "files_failed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_of_rpmbuild_that_begin_a_step_are_known() {
        assert_eq!(Section::begins("Executing(%prep): /bin/sh -e /var/tmp/rpm-tmp.3bGZzC"), Some(Section::Prep));
        assert_eq!(
            Section::begins("Executing(%check): /usr/bin/bash -e /var/tmp/rpm-tmp.I3lQxz"),
            Some(Section::Check)
        );
        assert_eq!(Section::begins("Processing files: jq-1.7-1.s1.x86_64"), Some(Section::Files));
        assert_eq!(Section::begins("Executing(%clean): /bin/sh -e /var/tmp/rpm-tmp.1"), None);
        assert_eq!(Section::begins("echo Executing(%build): x"), None);
    }

    #[test]
    fn the_step_that_failed_is_read_from_rpmbuilds_last_words() {
        assert_eq!(
            Section::fails("error: Bad exit status from /var/tmp/rpm-tmp.YrXWCy (%check)"),
            Some(Section::Check)
        );
        assert_eq!(
            Section::fails("    Bad exit status from /var/tmp/rpm-tmp.YrXWCy (%install)"),
            Some(Section::Install)
        );
        assert_eq!(Section::fails("make: *** [Makefile:2: check] Error 1"), None);
    }
}
