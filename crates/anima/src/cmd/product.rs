//! `anima product`: the named sets of repositories that are given to users.

use anima_types::{
    Arch,
    gate::{Gate, Level},
    product::{self, CreateProduct},
};
use clap::{Args, Subcommand};

use super::Ask;
use crate::{
    exit::Result,
    output::{self, or_dash},
};

/// Make and look at products: named sets of repositories for users
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
    /// Gates: duplicate, downgrade, missing-source, missing-debug, placement; levels: tell, ask, block
    #[arg(long = "gate", value_name = "GATE=LEVEL", value_parser = gate_level)]
    gates: Vec<(Gate, Level)>,
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
        ("gates", gates(&product.product)),
        ("key", or_dash(product.key)),
    ])
}

fn gates(product: &CreateProduct) -> String {
    Gate::ALL.map(|gate| format!("{}={}", gate.name(), gate.level(&product.gates).name())).join(", ")
}
