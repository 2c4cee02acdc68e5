//! `anima elevate health`: whether a system that was started to be tried is well; and what an initramfs asks before a system
//! starts.

use std::{
    fs,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use anima_elevate_act::{Backend, Elevation, Phase, Verdict};
use anyhow::Context;
use clap::Args;

use super::{Where, act, failure, watch::Bar};
use crate::{
    exit::{Exit, Failure, Result},
    output::Output,
};

/// A service that starts slowly is asked again so often.
const ASK_AGAIN: Duration = Duration::from_secs(2);

/// Say whether the system that runs is well, by the rules of /etc/anima-elevate/health.toml (exit code 5 if it is not)
#[derive(Args, Debug)]
pub struct Health {
    #[command(flatten)]
    place: Where,
    /// Keep the new system if it is well, and take it back if it is not
    #[arg(long)]
    act: bool,
    /// Restart the machine after what is not well was taken back
    #[arg(long, requires = "act")]
    restart: bool,
    /// How long what is not well may become so
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    wait: u64,
}

/// Take back what was cut off or is not well, before the system starts
#[derive(Args, Debug)]
pub struct AtBoot {
    #[command(flatten)]
    place: Where,
}

impl Health {
    pub fn run(self, output: Output) -> Result {
        let elevation = self.place.open()?;
        let phase = elevation.status().map_err(failure)?.phase;
        if self.act && phase != Some(Phase::Trying) {
            return act::show(&elevation, output);
        }
        let verdicts = self.ask(&elevation)?;
        output.show(&verdicts, |verdicts| text(verdicts))?;
        match (verdicts.iter().all(is_well), self.act) {
            (true, false) => Ok(()),
            (true, true) => elevation.confirm(&mut Bar::new(output)).map_err(failure),
            (false, false) => Err(Failure::new(Exit::Unsuccessful, "the system is not well")),
            (false, true) => self.take_back(&elevation, output),
        }
    }

    fn ask(&self, elevation: &Elevation) -> Result<Vec<Verdict>> {
        let until = Instant::now() + Duration::from_secs(self.wait);
        loop {
            let verdicts = elevation.health_once().map_err(failure)?;
            if verdicts.iter().all(is_well) || Instant::now() >= until {
                return Ok(verdicts);
            }
            std::thread::sleep(ASK_AGAIN.min(until.saturating_duration_since(Instant::now())));
        }
    }

    /// A clone runs, and cannot be taken away from under itself: the boot loader's next start is the old system, which does
    /// the rest.
    fn take_back(&self, elevation: &Elevation, output: Output) -> Result {
        let status = elevation.status().map_err(failure)?;
        if status.backend == Some(Backend::Layer) {
            elevation.rollback(&mut Bar::new(output)).map_err(failure)?;
        }
        if self.restart {
            let status = Command::new("systemctl").arg("reboot").status().context("could not run systemctl")?;
            if !status.success() {
                return Err(Failure::new(Exit::Internal, format!("could not restart: systemctl ended with {status}")));
            }
        }
        Err(Failure::new(Exit::Unsuccessful, "the new system is not well")
            .hint("the next start is the old one: restart"))
    }
}

impl AtBoot {
    pub fn run(self, output: Output) -> Result {
        let options = fs::read_to_string("/proc/cmdline").context("could not read /proc/cmdline")?;
        let elevation = self.place.open()?;
        let was_taken_back = elevation.at_boot(&options, &mut Bar::new(output)).map_err(failure)?;
        output.show(&was_taken_back, |it| {
            if *it { "the upgrade is taken back" } else { "nothing to take back" }.to_owned()
        })
    }
}

impl Where {
    /// What the new system of a running machine starts to find out whether it is well.
    pub fn asker(&self, program: &std::path::Path) -> Option<Vec<String>> {
        let words = [program.to_owned(), "elevate".into(), "health".into(), "--act".into(), "--restart".into()];
        let place: [PathBuf; 2] = ["--state".into(), self.state.clone()];
        let is_running = self.root == std::path::Path::new("/");
        is_running.then(|| words.into_iter().chain(place).map(|word| word.display().to_string()).collect())
    }
}

fn is_well(verdict: &Verdict) -> bool {
    verdict.complaint.is_none()
}

fn text(verdicts: &[Verdict]) -> String {
    let line = |it: &Verdict| format!("{}: {}", it.what, it.complaint.as_deref().unwrap_or("well"));
    verdicts.iter().map(line).collect::<Vec<_>>().join("\n")
}
