//! `anima platform`: the distribution lines that are built.

use anima_types::platform::{self, Repository};
use clap::Subcommand;

use super::Ask;
use crate::{exit::Result, output};

/// Look at platforms: the distribution lines that are built
#[derive(Debug, Subcommand)]
pub enum Platform {
    /// List platforms
    List,
    /// Show a platform
    Show {
        /// Its name
        name: String,
    },
}

impl Platform {
    pub async fn run(self, ask: &Ask) -> Result {
        match self {
            Platform::List => ask.output.list(
                &ask.client.platforms().await?,
                ["platform", "title", "branch", "architectures", "released to", "verified"],
                row,
                "There are no platforms.",
            ),
            Platform::Show { name } => ask.output.show(&ask.client.platform(&name).await?, describe),
        }
    }
}

/// Says what is looked at before a package of a repository is taken.
fn signatures(repository: &Repository) -> &'static str {
    match (repository.gpg_keys.is_empty(), repository.is_index_signed) {
        (true, _) => "signatures not checked",
        (false, false) => "packages have to be signed",
        (false, true) => "packages and index have to be signed",
    }
}

fn row(platform: &platform::Platform) -> [String; 6] {
    let architectures: Vec<_> = platform.architectures.iter().map(|arch| arch.name()).collect();
    [
        platform.name.clone(),
        platform.title.clone(),
        platform.branch.clone(),
        architectures.join(", "),
        output::or_dash(platform.release_to.as_ref()),
        if platform.not_verified.is_none() { "yes" } else { "no" }.to_string(),
    ]
}

fn describe(platform: &platform::Platform) -> String {
    let [name, title, branch, architectures, released_to, verified] = row(platform);
    let verified = platform.not_verified.as_ref().map_or(verified, |why| format!("no: {why}"));
    let mut fields = vec![
        ("platform", name),
        ("title", title),
        ("dist", platform.dist.clone()),
        ("branch", branch),
        ("architectures", architectures),
        ("released to", released_to),
        ("verified", verified),
        ("buildroot", platform.buildroot.packages.join(" ")),
        ("test root", platform.buildroot.test_packages.join(" ")),
    ];
    for repository in &platform.repositories {
        let Repository { name, url, priority, .. } = repository;
        fields.push(("repository", format!("{name} {url} (priority {priority}; {})", signatures(repository))));
    }
    let unverified: Vec<&str> = platform.unverified().map(|repository| repository.name.as_str()).collect();
    if !unverified.is_empty() {
        let keys = format!("platforms/{}.asc in the master's data folder", platform.name);
        let text = format!(
            "NOT CHECKED for packages of {}: nobody's key is known for them. Put the distribution's into {keys}",
            unverified.join(", ")
        );
        fields.push(("signatures", text));
    }
    for (name, value) in &platform.macros {
        fields.push(("macro", format!("%{name} {value}")));
    }
    output::fields(&fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_platform_whose_packages_nobody_vouches_for_says_so_and_what_to_do() {
        let text = |keys: &str| {
            format!(
                "name = \"x\"\ntitle = \"X\"\ndist = \".x1\"\nbranch = \"x\"\narchitectures = [\"x86_64\"]\n\
                 [buildroot]\npackages = [\"bash\"]\ntest_packages = []\n\
                 [[repositories]]\nname = \"base\"\nurl = \"https://h/\"\n{keys}"
            )
        };
        let shown = |keys: &str| describe(&platform::Platform::parse(&text(keys)).unwrap());

        let open = shown("");
        assert!(open.contains("priority 99; signatures not checked"), "{open}");
        assert!(open.contains("NOT CHECKED for packages of base") && open.contains("platforms/x.asc"), "{open}");
        let closed = shown("gpg_keys = [\"a key\"]\nis_index_signed = true\n");
        assert!(closed.contains("packages and index have to be signed") && !closed.contains("NOT"), "{closed}");
    }
}
