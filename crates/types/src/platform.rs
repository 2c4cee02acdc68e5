//! A platform: a distribution line being built, as its file in `platforms/` says it.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Arch, work::Input};

/// A platform's file.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Platform {
    /// Its name, such as `almalinux-10`.
    pub name: String,
    /// Its name for people.
    pub title: String,
    /// What `%dist` is, such as `.el10`.
    pub dist: String,
    /// The branch of the Git Service whose pushes are built for this platform.
    pub branch: String,
    /// Architectures that it has.
    pub architectures: Vec<Arch>,
    /// Whether a build was seen to work with it; if not, why not.
    #[serde(default)]
    pub not_verified: Option<String>,
    /// The product that a push's build is released to when every verdict is green; none means that a person releases.
    #[serde(default)]
    pub release_to: Option<String>,
    /// What is in every buildroot.
    pub buildroot: Buildroot,
    /// Where its packages come from.
    pub repositories: Vec<Repository>,
    /// Modules that are enabled in every root, each with its stream: `perl:5.26`. Default streams are, too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub modules: Vec<String>,
    /// RPM macros for every build.
    #[serde(default)]
    pub macros: BTreeMap<String, String>,
    /// What every build may use.
    #[serde(default, skip_serializing_if = "Limits::is_empty")]
    pub limits: Limits,
    /// What is different for single packages, by their names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub packages: BTreeMap<String, PackageOptions>,
    /// What is different for some builds, by the names that a build asks for it with.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub flavors: BTreeMap<String, Flavor>,
}

/// A named set of changes to a platform for some builds.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Flavor {
    /// What `%dist` is in its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dist: Option<String>,
    /// Repositories besides the platform's, or in the place of those of the same names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repositories: Vec<Repository>,
    /// Packages that every build finds installed besides the platform's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub buildroot_packages: Vec<String>,
    /// Modules that are enabled besides the platform's, or in the place of another stream.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub modules: Vec<String>,
    /// RPM macros besides the platform's, or in their place.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub macros: BTreeMap<String, String>,
    /// What is different for single packages, in the place of what the platform says of them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub packages: BTreeMap<String, PackageOptions>,
}

/// How one package is built on a platform, where it is built otherwise than the others.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PackageOptions {
    /// Conditions of the spec that are on: `--with NAME`.
    #[serde(default)]
    pub with: Vec<String>,
    /// Conditions of the spec that are off: `--without NAME`.
    #[serde(default)]
    pub without: Vec<String>,
    /// RPM macros besides the platform's, or in their place.
    #[serde(default)]
    pub macros: BTreeMap<String, String>,
    /// Packages that must not be in its buildroot, as [`Buildroot::exclude`].
    #[serde(default)]
    pub exclude: Vec<String>,
    /// Modules that are enabled in its buildroot, besides the platform's or in their place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub modules: Vec<String>,
    /// Repositories besides the platform's.
    #[serde(default)]
    pub repositories: Vec<Repository>,
    /// What it may use, in place of the platform's. Memory, disk and cores that are said here are asked of the node, too: one that
    /// gives less does not get its builds.
    #[serde(default)]
    pub limits: Limits,
    /// What its builds need of a node's machine, by the words that nodes say for it (`[build_node] features`), such as `kvm`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<String>,
}

/// What a build may use. What is not said is said by the platform, or else by the node; no build gets more than its node gives.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Memory of all its processes together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_mib: Option<u64>,
    /// Room on the disk for all that it writes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_mib: Option<u64>,
    /// Processors' time for each second, and how many commands make starts at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cores: Option<u32>,
    /// How long it may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wall_secs: Option<u64>,
    /// Processes and threads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processes: Option<u64>,
    /// Its log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_mib: Option<u64>,
}

/// What is in every buildroot of a platform.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Buildroot {
    /// Packages (or anything that packages provide) that every build finds installed.
    pub packages: Vec<String>,
    /// Packages that every test environment starts with.
    pub test_packages: Vec<String>,
    /// Whose rpm installs them.
    #[serde(default, skip_serializing_if = "Bootstrap::is_host")]
    pub bootstrap: Bootstrap,
    /// Packages that must not be chosen: a name, `name.arch`, or a pattern such as `*-debuginfo`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
}

/// Whose rpm installs the packages of a root.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Bootstrap {
    /// The node's. The list of what is installed has the format of the node's rpm.
    #[default]
    Host,
    /// The platform's own, which the node's installs first into a root beside it. The list has the platform's own format, and
    /// scripts see the platform's own rpm.
    Own,
}

impl Bootstrap {
    fn is_host(&self) -> bool {
        *self == Bootstrap::Host
    }
}

/// One repository that a platform is built from.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PlatformRepository)]
pub struct Repository {
    /// A short name, such as `BaseOS`.
    pub name: String,
    /// Its address; `{arch}` stands for the architecture and `{master}` for the Master Service's own address.
    pub url: String,
    /// The lower, the rather taken; 99 where nothing is said, as in dnf.
    #[serde(default = "default_priority")]
    pub priority: i32,
    /// Armoured OpenPGP keys: each package has to be signed by one of them. Without any, nothing is checked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gpg_keys: Vec<String>,
    /// Whether its index has to be signed by one of the keys, too (`repomd.xml.asc`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_index_signed: bool,
    /// Whether modules hide nothing of it, as dnf's option of that name says.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub module_hotfixes: bool,
}

const fn default_priority() -> i32 {
    99
}

/// Why a platform's file is of no use.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is not TOML of the right form.
    #[error("could not read platform file: {0}")]
    Form(#[from] toml::de::Error),
    /// It says something that cannot be.
    #[error("could not use platform \"{name}\": {reason}")]
    Meaning {
        /// The platform.
        name: String,
        /// What is wrong.
        reason: &'static str,
    },
}

impl Platform {
    /// Reads a platform's file.
    pub fn parse(text: &str) -> Result<Platform, Error> {
        let platform: Platform = toml::from_str(text)?;
        let wrong = |reason| Err(Error::Meaning { name: platform.name.clone(), reason });
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-._".contains(c);
        if platform.name.is_empty() || !platform.name.chars().all(plain) {
            return wrong("its name may have only lower-case letters, digits, '-', '.' and '_'");
        }
        if platform.architectures.is_empty() {
            return wrong("it names no architecture");
        }
        if platform.repositories.is_empty() {
            return wrong("it names no repository");
        }
        if platform.buildroot.packages.is_empty() {
            return wrong("its buildroot has no packages");
        }
        let packages = || platform.all_options();
        if platform.all_repositories().any(|it| it.is_index_signed && it.gpg_keys.is_empty()) {
            return wrong("a repository's index can be checked only with gpg_keys");
        }
        let of_packages = packages().flat_map(|it| &it.modules);
        let of_flavors = platform.flavors.values().flat_map(|flavor| &flavor.modules);
        if !platform.modules.iter().chain(of_packages).chain(of_flavors).all(|module| is_module(module)) {
            return wrong("a module is named with its stream, such as perl:5.26");
        }
        if packages().map(|it| it.limits).chain([platform.limits]).any(Limits::has_zero) {
            return wrong("a limit of 0 lets nothing be built");
        }
        if packages().flat_map(|it| &it.needs).any(|word| !is_feature(word)) {
            return wrong(
                "what a package needs of a node is a word of small letters, digits, '-', '_' and '.', such as kvm",
            );
        }
        Ok(platform)
    }
}

/// Returns whether a word can name what a node's machine has and a package needs.
pub fn is_feature(word: &str) -> bool {
    !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c))
}

fn is_module(text: &str) -> bool {
    text.split_once(':').is_some_and(|(name, stream)| !name.is_empty() && !stream.is_empty() && !stream.contains(':'))
}

impl Platform {
    /// Returns every repository that any build may be made from: the platform's, its flavors', and those of single packages of both.
    pub fn all_repositories(&self) -> impl Iterator<Item = &Repository> {
        let of_flavors = self.flavors.values().flat_map(|flavor| &flavor.repositories);
        let of_packages = self.all_options().flat_map(|options| &options.repositories);
        self.repositories.iter().chain(of_flavors).chain(of_packages)
    }

    /// Returns what is different for single packages, with or without a flavor.
    fn all_options(&self) -> impl Iterator<Item = &PackageOptions> {
        let of_flavors = self.flavors.values().flat_map(|flavor| flavor.packages.values());
        self.packages.values().chain(of_flavors)
    }

    /// Returns the platform as builds with these flavors see it; an error names the one that it has not.
    pub fn with_flavors(&self, names: &[String]) -> Result<Platform, String> {
        let mut platform = Platform { flavors: BTreeMap::new(), ..self.clone() };
        for name in names {
            let flavor = self.flavors.get(name).ok_or_else(|| {
                let there = self.flavors.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
                let there = if there.is_empty() { "none".to_string() } else { there };
                format!("platform {} has no flavor \"{name}\": it has {there}", self.name)
            })?;
            platform.add(flavor.clone());
        }
        Ok(platform)
    }

    fn add(&mut self, flavor: Flavor) {
        let Flavor { dist, repositories, buildroot_packages, modules, macros, packages } = flavor;
        self.dist = dist.unwrap_or_else(|| std::mem::take(&mut self.dist));
        let is_named = |name: &str| repositories.iter().any(|repository| repository.name == name);
        self.repositories.retain(|repository| !is_named(&repository.name));
        self.repositories.extend(repositories);
        let missing = buildroot_packages.into_iter().filter(|package| !self.buildroot.packages.contains(package));
        let missing: Vec<String> = missing.collect();
        self.buildroot.packages.extend(missing);
        let module = |text: &str| text.split(':').next().unwrap_or_default().to_owned();
        self.modules.retain(|old| !modules.iter().any(|new| module(new) == module(old)));
        self.modules.extend(modules);
        self.macros.extend(macros);
        self.packages.extend(packages);
    }
}

/// What a package is called when it has no options of its own.
static NO_OPTIONS: LazyLock<PackageOptions> = LazyLock::new(PackageOptions::default);

impl Platform {
    /// Returns the repositories from elsewhere whose packages are taken without a look at anybody's signature. What the master itself
    /// serves, and what is in a folder of the machine, is what its administrator put there.
    pub fn unverified(&self) -> impl Iterator<Item = &Repository> {
        self.repositories.iter().filter(|repository| repository.gpg_keys.is_empty() && repository.is_from_elsewhere())
    }

    /// Returns how a package is built.
    pub fn options(&self, package: &str) -> &PackageOptions {
        self.packages.get(package).unwrap_or(&NO_OPTIONS)
    }

    /// Returns the modules that are enabled for a package: of two streams of one module, its own.
    pub fn modules(&self, package: &str) -> Vec<String> {
        let own = &self.options(package).modules;
        let name = |module: &str| module.split(':').next().unwrap_or_default().to_owned();
        let is_replaced = |module: &&String| own.iter().any(|other| name(other) == name(module));
        self.modules.iter().filter(|module| !is_replaced(module)).chain(own).cloned().collect()
    }

    /// Returns what a package may use: as its options say, and where they say nothing, as the platform does.
    pub fn limits(&self, package: &str) -> Limits {
        self.options(package).limits.or(self.limits)
    }
}

impl Limits {
    /// Returns whether nothing is said.
    pub fn is_empty(&self) -> bool {
        *self == Limits::default()
    }

    /// Returns them, and of the other those that are not said here.
    pub fn or(self, other: Limits) -> Limits {
        Limits {
            memory_mib: self.memory_mib.or(other.memory_mib),
            disk_mib: self.disk_mib.or(other.disk_mib),
            cores: self.cores.or(other.cores),
            wall_secs: self.wall_secs.or(other.wall_secs),
            processes: self.processes.or(other.processes),
            log_mib: self.log_mib.or(other.log_mib),
        }
    }

    fn has_zero(self) -> bool {
        let all =
            [self.memory_mib, self.disk_mib, self.cores.map(u64::from), self.wall_secs, self.processes, self.log_mib];
        all.contains(&Some(0))
    }
}

impl Repository {
    /// Returns whether it is neither the master's own nor in a folder of the machine.
    pub fn is_from_elsewhere(&self) -> bool {
        !self.url.starts_with("{master}") && !self.url.starts_with("file:")
    }

    /// Returns it as a node is told of it.
    pub fn input(&self, arch: Arch, master: &str) -> Input {
        Input {
            name: self.name.clone(),
            url: self.url_for(arch, master),
            priority: self.priority,
            gpg_keys: self.gpg_keys.clone(),
            is_index_signed: self.is_index_signed,
            module_hotfixes: self.module_hotfixes,
            is_own: false,
        }
    }

    /// Returns the address for one architecture.
    pub fn url_for(&self, arch: Arch, master: &str) -> String {
        self.url.replace("{arch}", arch.name()).replace("{master}", master.trim_end_matches('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn platform(more: &str) -> Result<Platform, Error> {
        Platform::parse(&format!(
            "name = \"x\"\ntitle = \"X\"\ndist = \".x\"\nbranch = \"x\"\narchitectures = [\"x86_64\"]\n\
             repositories = [{{ name = \"r\", url = \"http://h\" }}]\n\
             [buildroot]\npackages = [\"bash\"]\ntest_packages = []\n{more}"
        ))
    }

    #[test]
    fn a_package_has_its_own_limits_and_the_platforms_where_it_says_nothing() {
        let text = "[limits]\nmemory_mib = 4096\nwall_secs = 60\n[packages.kernel.limits]\nwall_secs = 600\n[packages.jq]\nwith = [\"x\"]";
        let platform = platform(text).unwrap();

        let expected = Limits { memory_mib: Some(4096), wall_secs: Some(600), ..Limits::default() };
        assert_eq!(platform.limits("kernel"), expected);
        assert_eq!(platform.limits("jq").wall_secs, Some(60));
        assert_eq!((&platform.options("jq").with[..], platform.options("bash")), (&["x".to_owned()][..], &*NO_OPTIONS));
    }

    #[test]
    fn one_limit_that_is_said_leaves_the_others_as_they_are_elsewhere() {
        let configured = Limits { memory_mib: Some(2048), cores: Some(8), log_mib: Some(10), ..Limits::default() };

        let said = Limits { cores: Some(2), ..Limits::default() }.or(configured);

        assert_eq!(said, Limits { cores: Some(2), ..configured });
        assert_eq!(Limits::default().or(configured), configured);
    }

    #[test]
    fn a_package_may_have_another_stream_of_a_module_than_the_platform() {
        let text = "[packages.dbi]\nmodules = [\"perl:5.30\", \"php:8\"]";
        let mut platform = platform(text).unwrap();
        platform.modules = vec!["perl:5.26".into(), "ruby:3".into()];

        assert_eq!(platform.modules("bash"), ["perl:5.26", "ruby:3"]);
        assert_eq!(platform.modules("dbi"), ["ruby:3", "perl:5.30", "php:8"]);
    }

    #[test]
    fn a_flavor_changes_what_it_names_and_leaves_the_rest() {
        let text = "[macros]\na = \"1\"\nb = \"2\"\n[flavors.beta]\ndist = \".x_beta\"\nbuildroot_packages = [\"bash\", \"epel-macros\"]\n\
            repositories = [{ name = \"r\", url = \"http://beta\" }, { name = \"more\", url = \"http://more\" }]\n\
            macros = { b = \"3\" }\nmodules = [\"perl:5.30\"]\n[flavors.late]\nmacros = { b = \"4\" }";
        let mut platform = platform(text).unwrap();
        platform.modules = vec!["perl:5.26".into(), "ruby:3".into()];
        let with =
            |names: &[&str]| platform.with_flavors(&names.iter().map(|name| name.to_string()).collect::<Vec<_>>());

        let beta = with(&["beta"]).unwrap();
        assert_eq!(
            (beta.dist.as_str(), &beta.modules[..]),
            (".x_beta", &["ruby:3".to_owned(), "perl:5.30".into()][..])
        );
        let urls: Vec<&str> = beta.repositories.iter().map(|repository| repository.url.as_str()).collect();
        assert_eq!(urls, ["http://beta", "http://more"]);
        assert_eq!(beta.buildroot.packages, ["bash", "epel-macros"]);
        assert_eq!((beta.macros["a"].as_str(), beta.macros["b"].as_str()), ("1", "3"));
        assert!(beta.flavors.is_empty(), "nodes need not know of them");
        assert_eq!(with(&["beta", "late"]).unwrap().macros["b"], "4");
        assert_eq!(with(&[]).unwrap(), Platform { flavors: BTreeMap::new(), ..platform.clone() });
        assert_eq!(with(&["gamma"]).unwrap_err(), "platform x has no flavor \"gamma\": it has beta, late");
    }

    #[test]
    fn all_repositories_are_those_of_flavors_and_of_single_packages_too() {
        let one = |name: &str| format!("repositories = [{{ name = \"{name}\", url = \"http://h\" }}]\n");
        let text = format!(
            "[packages.a]\n{}[flavors.beta]\n{}[flavors.beta.packages.b]\n{}",
            one("of a"),
            one("of beta"),
            one("of b in beta")
        );

        let platform = platform(&text).unwrap();

        let names: Vec<&str> = platform.all_repositories().map(|repository| repository.name.as_str()).collect();
        assert_eq!(names, ["r", "of beta", "of a", "of b in beta"]);
    }

    #[test]
    fn what_nobody_could_build_with_is_refused() {
        assert!(platform("[packages.a]\nmodules = [\"perl\"]").unwrap_err().to_string().contains("perl:5.26"));
        let signed = "[packages.a]\nrepositories = [{ name = \"x\", url = \"http://h\", is_index_signed = true }]";
        assert!(platform(signed).unwrap_err().to_string().contains("only with gpg_keys"));
        assert!(platform("[packages.a.limits]\nmemory_mib = 0").unwrap_err().to_string().contains("limit of 0"));
    }

    #[test]
    fn a_platform_without_anything_new_reads_as_before_and_is_read_by_older_nodes() {
        let json = serde_json::to_value(platform("").unwrap()).unwrap();

        assert_eq!((json.get("limits"), json.get("packages"), json["buildroot"].get("exclude")), (None, None, None));
    }
}
