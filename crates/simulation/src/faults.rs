//! How much goes wrong in a world, and for how long.

use crate::random::Random;

/// Chances are in thousandths: of a message, or of a step of the world, which is some seconds.
#[derive(Clone, Copy, Debug)]
pub struct Faults {
    /// A request or an answer never arrives.
    pub lost: u32,
    /// A request arrives a second time, later.
    pub doubled: u32,
    /// A message takes up to a minute and a half, which is longer than a lease.
    pub late: u32,
    /// The master is killed while it answers a request, or while it moves something on.
    pub master_killed: u32,
    /// Whoever asks goes away while the answer is being made, and the master goes on.
    pub client_gone: u32,
    /// A node is killed, in a step.
    pub node_killed: u32,
    /// A node cannot reach the master for a while, from a step on.
    pub node_cut_off: u32,
    /// A node says nothing for a while although it works, from a step on.
    pub node_stands_still: u32,
    /// The master's clock jumps, in a step.
    pub clock_jumps: u32,
    /// A node cannot do its task and says so.
    pub work_fails: u32,
    /// A node cannot do its task for a reason of its own, and gives it back.
    pub work_given_back: u32,
    /// A person cancels, restarts, commits or takes back something, in a step.
    pub person_acts: u32,
    /// So long things go wrong; then nothing does any more.
    pub secs: i64,
    /// Whether the master looks now and then for what it should know to be due. In half of the worlds it does not: there, what it
    /// forgets stands still, and is seen.
    pub looks: bool,
    /// How many tasks of the team that all packages are of may be under way at once; in half of the worlds as many as there are.
    pub team_tasks: Option<u32>,
}

impl Faults {
    /// Returns a world in which nothing goes wrong.
    pub const fn none() -> Faults {
        Faults {
            lost: 0,
            doubled: 0,
            late: 0,
            master_killed: 0,
            client_gone: 0,
            node_killed: 0,
            node_cut_off: 0,
            node_stands_still: 0,
            clock_jumps: 0,
            work_fails: 0,
            work_given_back: 0,
            person_acts: 0,
            secs: 0,
            looks: false,
            team_tasks: None,
        }
    }

    /// Returns a world of its own for each seed: some have much of one fault, some a little of all, some none of most.
    pub fn of(random: &mut Random) -> Faults {
        let mut chance = |most: i64| match random.between(0, 2) {
            0 => 0,
            1 => random.between(0, most / 4) as u32,
            _ => random.between(0, most) as u32,
        };
        Faults {
            lost: chance(200),
            doubled: chance(200),
            late: chance(100),
            master_killed: chance(40),
            client_gone: chance(100),
            node_killed: chance(80),
            node_cut_off: chance(50),
            node_stands_still: chance(50),
            clock_jumps: chance(60),
            work_fails: chance(150),
            work_given_back: chance(100),
            person_acts: chance(120),
            secs: random.between(30, 240),
            looks: random.thousandths(500),
            team_tasks: random.thousandths(500).then(|| random.between(1, 4) as u32),
        }
    }
}
