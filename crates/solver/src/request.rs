//! What is wanted, in plain data.

/// One question to a [`crate::Pool`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// Dependencies to be met, as `Requires:` and `BuildRequires:` have them: `bash`, `foo >= 1.2`, `/usr/bin/awk`,
    /// `pkgconfig(zlib)`, `(a if b)`.
    pub install: Vec<String>,
    /// Exact packages: `name-[epoch:]version-release.arch`.
    pub install_exact: Vec<String>,
    /// Installed packages to be removed: a name, `name.arch`, a NEVRA, or a pattern of these.
    pub remove: Vec<String>,
    /// Available packages that must not be chosen: a name, `name.arch`, a NEVRA, or a pattern of these (`*-debuginfo`).
    pub exclude: Vec<String>,
    /// What modules hide.
    pub modules: Modules,
    /// Also take what the chosen packages recommend or what supplements them.
    pub weak: bool,
    /// Installed packages may be removed when that is the only way.
    pub allow_erasing: bool,
    /// Every installed package that a repository has gets the repository's version, also if that is an older one or of
    /// another vendor or architecture; installed packages that no repository has stay where they can.
    pub upgrade_all: bool,
    /// Fail rather than take an older version when the newest one cannot be installed.
    pub best: bool,
    /// Do not find out in which order packages are to be installed: of thousands that come and go it takes seconds, and rpm
    /// does it, too.
    pub unordered: bool,
}

/// What enabled modules let be seen. Packages are exact: `name-[epoch:]version-release.arch`; those that are nowhere are no fault.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Modules {
    /// Packages that may be chosen, whatever their names.
    pub shown: Vec<String>,
    /// Packages that may not.
    pub hidden: Vec<String>,
    /// Names that may not be chosen, nor what provides them, but for the packages that are shown.
    pub names: Vec<String>,
    /// Repositories that nothing of this is said of.
    pub open_repositories: Vec<String>,
}

impl Request {
    /// Asks for these dependencies and nothing else.
    pub fn install<I>(wanted: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        Self { install: wanted.into_iter().map(Into::into).collect(), ..Self::default() }
    }
}
