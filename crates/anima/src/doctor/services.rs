//! The services of this machine, where systemd runs it.

use std::process::Command;

use super::Check;

const NAME: &str = "services";
/// All roles on this machine; each role as a service of its own is the other way.
const WHOLE: &str = "anima.service";

/// Which of Anima's services systemd starts.
pub fn check() -> Check {
    if !sd_notify::booted().unwrap_or(false) {
        return Check::ok(NAME, "no systemd runs this machine: `anima up` keeps its roles by itself");
    }
    let list = Command::new("systemctl").args(["list-unit-files", "--no-legend", "--plain", "anima*.service"]).output();
    match list {
        Ok(output) => judge(&String::from_utf8_lossy(&output.stdout)),
        Err(error) => Check::warning(NAME, format!("systemctl does not answer: {error}"), "see that systemd is well"),
    }
}

/// Reads lines such as `anima-master.service enabled enabled`.
fn judge(list: &str) -> Check {
    let units = list.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        Some((words.next()?, words.next()?))
    });
    let units: Vec<_> = units.collect();
    let enabled: Vec<_> = units.iter().filter(|(_, state)| *state == "enabled").map(|(name, _)| *name).collect();
    match (units.is_empty(), enabled.contains(&WHOLE), enabled.len()) {
        (true, _, _) => Check::ok(NAME, "none is installed; `anima up` keeps its roles by itself"),
        (_, _, 0) => Check::warning(
            NAME,
            "installed, and none is enabled",
            format!("systemctl enable --now {WHOLE}, or the roles that this machine is for"),
        ),
        (_, true, 1) => Check::ok(NAME, format!("{WHOLE}: all roles on this machine")),
        (_, true, _) => Check::warning(
            NAME,
            format!("{} are enabled, and {WHOLE} is all of them", enabled.join(", ")),
            format!("systemctl disable {WHOLE}, or all others"),
        ),
        (_, false, _) => Check::ok(NAME, enabled.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::State;

    #[test]
    fn all_roles_as_one_service_and_each_as_its_own_do_not_go_together() {
        let whole = "anima.service enabled enabled\nanima-master.service disabled enabled\n";
        let both = "anima.service enabled enabled\nanima-master.service enabled enabled\n";
        let roles = "anima.service disabled enabled\nanima-master.service enabled enabled\nanima-build-once@.service static -\n";

        assert_eq!(judge(whole).state, State::Ok);
        assert_eq!(judge(both).state, State::Warning);
        assert_eq!(judge(roles), Check::ok(NAME, "anima-master.service"));
        assert_eq!(judge("").state, State::Ok);
        assert_eq!(judge("anima.service disabled enabled\n").state, State::Warning);
    }
}
