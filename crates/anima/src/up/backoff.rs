//! How long to wait before a role that ended is started again.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(500);
/// Long enough not to fill the log, short enough that nobody has to restart by hand after the cause is gone.
const LONGEST: Duration = Duration::from_secs(30);
/// A role that ran so long was well: its next wait is the first again. What cannot start ends within a second or two.
const WELL: Duration = Duration::from_secs(5);

/// Doubles from one early end to the next.
#[derive(Debug, Default)]
pub struct Backoff {
    ends: u32,
}

impl Backoff {
    /// Returns how long to wait after an end that came `uptime` after the start.
    pub fn after(&mut self, uptime: Duration) -> Duration {
        if uptime >= WELL {
            self.ends = 0;
        }
        let wait = FIRST.saturating_mul(2_u32.saturating_pow(self.ends)).min(LONGEST);
        self.ends = self.ends.saturating_add(1);
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound() {
        let mut backoff = Backoff::default();

        let waits: Vec<u64> = (0..9).map(|_| backoff.after(Duration::ZERO).as_millis() as u64).collect();

        assert_eq!(waits, [500, 1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000]);
    }

    #[test]
    fn a_role_that_ran_well_is_started_again_soon() {
        let mut backoff = Backoff::default();
        (0..9).for_each(|_| {
            backoff.after(Duration::ZERO);
        });

        assert_eq!(backoff.after(WELL), FIRST);
    }
}
