//! How far a run has come, for whoever watches it.

/// One step of a run with the share of the whole that it takes, measured on two cores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Resolving what the seed consists of.
    Resolve,
    /// Fetching Debian packages.
    Download,
    /// Converting them.
    Convert,
    /// Building our own four packages.
    Own,
    /// Writing repository metadata.
    Index,
    /// Checking that every requirement is met.
    Check,
}

impl Step {
    /// Returns the percents of the whole at which the step begins and ends.
    fn range(self) -> (f64, f64) {
        match self {
            Step::Resolve => (0.0, 2.0),
            Step::Download => (2.0, 10.0),
            Step::Convert => (10.0, 93.0),
            Step::Own => (93.0, 95.0),
            Step::Index => (95.0, 99.0),
            Step::Check => (99.0, 100.0),
        }
    }
}

/// One line of progress.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Progress {
    /// What is being done.
    pub step: Step,
    /// How much of the whole run is done.
    pub percent: f64,
    /// With what.
    pub message: String,
}

impl Progress {
    /// Returns the progress of a run whose step is done to the given share, between 0 and 1.
    pub fn of(step: Step, share: f64, message: impl Into<String>) -> Progress {
        let (start, end) = step.range();
        Progress { step, percent: start + (end - start) * share.clamp(0.0, 1.0), message: message.into() }
    }
}

/// Is told about progress, from any thread.
pub type Report<'a> = &'a (dyn Fn(Progress) + Sync);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_follow_one_another_without_a_gap() {
        let steps = [Step::Resolve, Step::Download, Step::Convert, Step::Own, Step::Index, Step::Check];

        assert_eq!((steps[0].range().0, steps[5].range().1), (0.0, 100.0));
        for pair in steps.windows(2) {
            assert_eq!(pair[0].range().1, pair[1].range().0);
        }
    }

    #[test]
    fn a_share_is_placed_within_its_step() {
        assert_eq!(Progress::of(Step::Convert, 0.0, "").percent, 10.0);
        assert_eq!(Progress::of(Step::Check, 2.0, "").percent, 100.0);
    }
}
