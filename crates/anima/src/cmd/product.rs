//! `anima product`: the named sets of repositories that are given to users.

use anima_types::{
    Arch,
    gate::{Gate, Level},
    id::BuildId,
    product::{self, CreateProduct, Quota, Reference},
    release::Content,
};
use clap::{Args, Subcommand};

use super::Ask;
use crate::{
    exit::Result,
    output::{self, or_dash},
};

/// Make, change and look at products: named sets of repositories for users
#[derive(Debug, Subcommand)]
pub enum Product {
    /// List products
    List,
    /// Show a product
    Show {
        /// Its name
        name: String,
    },
    /// Make a product with its repositories; `debug` and `source` are made beside them
    Create(Create),
    /// Change what a product says of itself; repositories and architectures are added
    Change(Change),
    /// Plan a release that adds packages of a build to a product; as `anima release plan`
    Add {
        /// The product
        name: String,
        /// The build
        #[arg(long, value_name = "BUILD")]
        build: BuildId,
        /// Only this of its packages; repeat it for more
        #[arg(long, value_name = "PACKAGE")]
        only: Vec<String>,
    },
    /// Plan a release that takes packages from a product's users; as `anima release remove`
    Remove {
        /// The product
        name: String,
        /// Packages: names (of source packages: with all that was made of them) or NEVRAs
        #[arg(required = true)]
        packages: Vec<String>,
    },
}

/// What a product says of itself besides its name and its repositories.
#[derive(Args, Debug)]
pub struct Options {
    /// The team that it belongs to
    #[arg(long)]
    team: Option<String>,
    /// A platform whose repositories its packages may need; repeat it for more
    #[arg(long = "platform", value_name = "PLATFORM")]
    platforms: Vec<String>,
    /// Where another distribution has what belongs into a repository: `AppStream=URL-OR-FOLDER`, with `{arch}` for the
    /// architecture; repeat it for more
    #[arg(long = "reference", value_name = "REPOSITORY=URL", value_parser = reference)]
    references: Vec<Reference>,
    /// How many people have to approve a plan before it may go to users
    #[arg(long, value_name = "COUNT")]
    approvals: Option<u32>,
    /// How many packages it may hold
    #[arg(long, value_name = "COUNT")]
    max_packages: Option<u64>,
    /// How many bytes its packages may have
    #[arg(long, value_name = "BYTES")]
    max_bytes: Option<u64>,
}

#[derive(Args, Debug)]
pub struct Change {
    /// Its name
    name: String,
    /// Its name for people
    #[arg(long)]
    title: Option<String>,
    /// One more repository; repeat it for more
    #[arg(long = "repository", value_name = "NAME")]
    repositories: Vec<String>,
    /// One more architecture; repeat it for more
    #[arg(long = "arch", value_name = "ARCH")]
    architectures: Vec<Arch>,
    /// Whether green builds are released without asking a person
    #[arg(long, value_name = "true|false")]
    automatic: Option<bool>,
    /// How strict a gate of its releases is, from the next plan on, such as `downgrade=block`; repeat it for more
    #[arg(long = "gate", value_name = "GATE=LEVEL", value_parser = gate_level)]
    gates: Vec<(Gate, Level)>,
    #[command(flatten)]
    options: Options,
}

fn reference(text: &str) -> std::result::Result<Reference, String> {
    let (repository, url) = text.split_once('=').ok_or("write REPOSITORY=URL")?;
    Ok(Reference { repository: repository.to_string(), url: url.to_string() })
}

#[derive(Args, Debug)]
pub struct Create {
    /// Its name, such as `almalinux-10`
    name: String,
    /// Its name for people [default: its name]
    #[arg(long)]
    title: Option<String>,
    /// A repository, such as `BaseOS`; repeat it for more; new packages go to the first
    #[arg(long = "repository", value_name = "NAME", required = true)]
    repositories: Vec<String>,
    /// An architecture; repeat it for more
    #[arg(long = "arch", value_name = "ARCH", required = true)]
    architectures: Vec<Arch>,
    /// Release green builds without asking a person
    #[arg(long)]
    automatic: bool,
    /// How strict a gate of its releases is, such as `downgrade=block`; repeat it for more.
    /// `anima product show NAME` lists the gates; levels: tell, ask, block
    #[arg(long = "gate", value_name = "GATE=LEVEL", value_parser = gate_level)]
    gates: Vec<(Gate, Level)>,
    #[command(flatten)]
    options: Options,
}

fn gate_level(text: &str) -> std::result::Result<(Gate, Level), String> {
    let parsed =
        text.split_once('=').and_then(|(gate, level)| Some((Gate::from_name(gate)?, Level::from_name(level)?)));
    let names = || (Gate::ALL.map(Gate::name).join(", "), Level::ALL.map(Level::name).join(", "));
    parsed.ok_or_else(|| {
        let (gates, levels) = names();
        format!("write GATE=LEVEL; gates: {gates}; levels: {levels}")
    })
}

impl Product {
    pub async fn run(self, ask: &Ask) -> Result {
        match self {
            Product::List => ask.output.list(
                &ask.client.products().await?,
                ["product", "title", "repositories", "architectures", "releases"],
                row,
                "There are no products. Make one: `anima product create NAME --repository BaseOS --arch x86_64`.",
            ),
            Product::Show { name } => ask.output.show(&ask.client.product(&name).await?, describe),
            Product::Create(create) => {
                let product = ask.client.create_product(&create.wanted()).await?;
                ask.output.show(&product, |product| format!("product {} is made", product.product.name))
            }
            Product::Change(change) => {
                let old = ask.client.product(&change.name).await?.product;
                ask.output.show(&ask.client.change_product(&change.of(old)).await?, describe)
            }
            Product::Add { name, build, only } => {
                super::release::create(ask, name, Content::Build { build, only }).await
            }
            Product::Remove { name, packages } => {
                super::release::create(ask, name, Content::Removal { remove: packages, from: Vec::new() }).await
            }
        }
    }
}

impl Create {
    fn wanted(self) -> CreateProduct {
        CreateProduct {
            title: self.title.unwrap_or_else(|| self.name.clone()),
            name: self.name,
            repositories: self.repositories,
            architectures: self.architectures,
            automatic: self.automatic,
            gates: self.gates.into_iter().collect(),
            options: self.options.over(product::Options::default()),
        }
    }
}

impl Options {
    /// Returns what was said, and what holds already where nothing was.
    fn over(self, old: product::Options) -> product::Options {
        let said = |new: Vec<String>, old: Vec<String>| if new.is_empty() { old } else { new };
        product::Options {
            team: self.team.or(old.team),
            platforms: said(self.platforms, old.platforms),
            references: if self.references.is_empty() { old.references } else { self.references },
            approvals: self.approvals.unwrap_or(old.approvals),
            quota: Quota {
                packages: self.max_packages.or(old.quota.packages),
                bytes: self.max_bytes.or(old.quota.bytes),
            },
        }
    }
}

impl Change {
    fn of(self, mut old: CreateProduct) -> CreateProduct {
        let known = old.repositories.clone();
        old.repositories.extend(self.repositories.into_iter().filter(|one| !known.contains(one)));
        let known = old.architectures.clone();
        old.architectures.extend(self.architectures.into_iter().filter(|one| !known.contains(one)));
        old.gates.extend(self.gates);
        CreateProduct {
            title: self.title.unwrap_or(old.title),
            automatic: self.automatic.unwrap_or(old.automatic),
            options: self.options.over(old.options),
            ..old
        }
    }
}

fn row(product: &product::Product) -> [String; 5] {
    let product = &product.product;
    let architectures: Vec<_> = product.architectures.iter().map(|arch| arch.name()).collect();
    [
        product.name.clone(),
        product.title.clone(),
        product.repositories.join(", "),
        architectures.join(", "),
        if product.automatic { "automatic" } else { "by a person" }.to_string(),
    ]
}

fn describe(product: &product::Product) -> String {
    let [name, title, repositories, architectures, releases] = row(product);
    output::fields(&[
        ("product", name),
        ("title", title),
        ("repositories", repositories),
        ("architectures", architectures),
        ("releases", releases),
        ("team", or_dash(product.product.options.team.as_ref())),
        ("stands on", listed(&product.product.options.platforms)),
        ("references", listed(&references(&product.product))),
        ("approvals", product.product.options.approvals.to_string()),
        ("may hold", quota(product.product.options.quota)),
        ("gates", gates(&product.product)),
        ("key", or_dash(product.key)),
    ])
}

fn listed(list: &[String]) -> String {
    or_dash(Some(list.join(", ")).filter(|text| !text.is_empty()))
}

fn references(product: &CreateProduct) -> Vec<String> {
    product.options.references.iter().map(|one| format!("{}={}", one.repository, one.url)).collect()
}

fn quota(quota: Quota) -> String {
    let packages = quota.packages.map(|count| format!("{count} packages"));
    let bytes = quota.bytes.map(output::size);
    let parts: Vec<String> = packages.into_iter().chain(bytes).collect();
    or_dash(Some(parts.join(", ")).filter(|text| !text.is_empty()))
}

fn gates(product: &CreateProduct) -> String {
    Gate::ALL.map(|gate| format!("{}={}", gate.name(), gate.level(&product.gates).name())).join(", ")
}
