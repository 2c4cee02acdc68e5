//! `anima elevate`: upgrades of this machine, or of another root, that can be taken back.

mod act;
mod fix;
mod fleet;
mod health;
mod inputs;
mod plan;
mod rehearse;
mod report;
mod watch;

use std::path::PathBuf;

use anima_elevate_act::{Elevation, Error};
use clap::{Args, Subcommand};

use crate::{
    args::Global,
    exit::{Exit, Failure, Result},
    output::Output,
};

/// Upgrade a machine in place: plan it, rehearse it whole, do it once, take it back
#[derive(Debug, Subcommand)]
pub enum Elevate {
    /// Write down all that is known of a root: packages, repositories, file systems, services
    Facts {
        /// The root: the running system, a container's, an image that is mounted, a backup
        #[arg(long, default_value = "/", value_name = "FOLDER")]
        root: PathBuf,
    },
    /// Look at the data of the way: package evolution events, repository maps, drivers
    #[command(subcommand)]
    Data(plan::DataCommand),
    /// Say what would become of each package, and what is in the way (exit code 5 if something blocks, 8 if edits can mend
    /// that); with the facts of many machines, which of them have equal plans
    Plan(inputs::PlanArgs),
    /// Say why a package would be kept, upgraded, replaced, removed or installed
    Why {
        /// The package's name
        package: String,
        #[command(flatten)]
        plan: inputs::PlanArgs,
    },
    Report(report::ReportCommand),
    Fix(fix::Fix),
    /// Plan many machines from their facts: groups of equal plans, outliers, and waves to go in
    Fleet(inputs::PlanArgs),
    Rehearse(rehearse::Rehearse),
    Act(act::Act),
    Health(health::Health),
    /// Say that the new system, which was started to be tried, is well, without asking any rule
    Confirm(Where),
    #[command(hide = true)]
    AtBoot(health::AtBoot),
    /// Say how the upgrade stands, and what can be done next
    Status(Where),
    /// Go on after a kill or a power cut, in the direction that it went
    Resume(Where),
    /// Give up what was rehearsed or begun, before anything of the root was replaced
    Abort(Where),
    /// Take everything back, however far it went
    Rollback(Where),
    /// Give up the way back, and free the room that it takes
    Finish(Where),
}

/// Which root, and where its upgrade is kept.
#[derive(Args, Debug)]
pub struct Where {
    /// The root to upgrade: a folder with a whole system
    #[arg(long, value_name = "FOLDER", default_value = "/")]
    root: PathBuf,
    /// Where the rehearsed layer is kept; in the root, that is in an image there
    #[arg(long, value_name = "FOLDER", default_value = "/var/lib/anima-elevate")]
    state: PathBuf,
}

impl Elevate {
    pub fn run(self, global: &Global) -> Result {
        let output = Output::new(global.json);
        match self {
            Elevate::Facts { root } => plan::facts(&root, output),
            Elevate::Data(data) => data.run(output),
            Elevate::Plan(arguments) => plan::plan(&arguments, output),
            Elevate::Why { package, plan: arguments } => plan::why(&package, &arguments, output),
            Elevate::Report(report) => report.run(output),
            Elevate::Fix(fix) => fix.run(output),
            Elevate::Fleet(arguments) => fleet::run(&arguments, output),
            Elevate::Rehearse(rehearse) => rehearse.run(output),
            Elevate::Act(act) => act.run(output),
            Elevate::Health(health) => health.run(output),
            Elevate::Confirm(place) => act::run(&place, output, |it, watch| it.confirm(watch)),
            Elevate::AtBoot(at_boot) => at_boot.run(output),
            Elevate::Status(place) => act::run(&place, output, |_, _| Ok(())),
            Elevate::Resume(place) => act::run(&place, output, |it, watch| it.resume(watch)),
            Elevate::Abort(place) => act::run(&place, output, |it, watch| it.abort(watch)),
            Elevate::Rollback(place) => act::run(&place, output, |it, watch| it.rollback(watch)),
            Elevate::Finish(place) => act::run(&place, output, |it, watch| it.finish(watch)),
        }
    }
}

impl Where {
    fn open(&self) -> Result<Elevation> {
        Elevation::open(&self.root, &self.state).map_err(failure)
    }
}

/// What the machine's owner can change is theirs; the rest is the machine's.
fn failure(error: Error) -> Failure {
    let exit = match &error {
        Error::File { .. } | Error::Sandbox(_) | Error::Rpm(_) => Exit::Internal,
        _ => Exit::User,
    };
    Failure::new(exit, format!("could not {error}"))
}
