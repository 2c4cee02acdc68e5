//! The verbs that do one thing to an upgrade, and then say how it stands.

use anima_elevate_act::{Backend, Elevation, Error, How, Offer, Status, Watch};
use anyhow::Context;
use clap::Args;

use super::{Where, failure, watch::Bar};
use crate::{
    exit::Result,
    output::{Output, fields, or_dash},
};

/// Make the rehearsed system the real one
#[derive(Args, Debug)]
pub struct Act {
    #[command(flatten)]
    place: Where,
    /// How: `btrfs` and `lvm` upgrade a clone of the root, `layer` the root in place [default: the best that is there]
    #[arg(long, value_name = "BACKEND")]
    backend: Option<Backend>,
    /// Leave the boot loader alone: the new system simply is the one that starts
    #[arg(long)]
    no_trial: bool,
}

impl Act {
    pub fn run(self, output: Output) -> Result {
        let program = std::env::current_exe().context("could not find this program")?.display().to_string();
        let returner = ["elevate", "at-boot", "--root"].map(str::to_owned);
        let returner = (!self.no_trial).then(|| [program].into_iter().chain(returner).collect());
        let how = How { backend: self.backend, returner };
        run(&self.place, output, |elevation, watch| elevation.act(&how, watch))
    }
}

/// Does a verb.
pub fn run(
    place: &Where,
    output: Output,
    verb: impl FnOnce(&Elevation, &mut dyn Watch) -> std::result::Result<(), Error>,
) -> Result {
    let elevation = place.open()?;
    verb(&elevation, &mut Bar::new(output)).map_err(failure)?;
    show(&elevation, output)
}

/// Says how it stands.
pub fn show(elevation: &Elevation, output: Output) -> Result {
    output.show(&elevation.status().map_err(failure)?, text)
}

fn text(status: &Status) -> String {
    let mut lines = vec![
        ("phase", or_dash(status.phase.map(|phase| phase.name()))),
        ("backend", or_dash(status.backend.map(Backend::name))),
        ("rehearsed", if status.is_rehearsed { "yes" } else { "no" }.to_owned()),
        ("changes", status.change_count.to_string()),
        ("next", status.hint.clone()),
    ];
    if status.phase.is_none() {
        let mut is_first = true;
        lines.extend(status.offers.iter().map(|offer| ("possible", describe(offer, &mut is_first))));
    }
    fields(&lines)
}

/// The first that can be used is the one that is.
fn describe(offer: &Offer, is_first: &mut bool) -> String {
    let name = offer.backend.name();
    match &offer.obstacle {
        Some(obstacle) => format!("not {name}: {obstacle}"),
        None if std::mem::take(is_first) => format!("{name}, the best one here"),
        None => name.to_owned(),
    }
}
