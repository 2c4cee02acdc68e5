//! `anima platform`: the distribution lines that are built.

use anima_types::platform;
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
        fields
            .push(("repository", format!("{} {} (priority {})", repository.name, repository.url, repository.priority)));
    }
    for (name, value) in &platform.macros {
        fields.push(("macro", format!("%{name} {value}")));
    }
    output::fields(&fields)
}
