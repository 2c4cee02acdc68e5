//! What this crate's tests start and kill. `HELPER VERB ROOT STATE KILL_AT` does one verb, and kills itself with SIGKILL
//! before the step of that number (0: never); it then prints how many steps there were.

use std::path::Path;

use anima_elevate_act::{Elevation, Watch};

/// Counts steps, and dies before one of them.
struct Killer {
    kill_at: u64,
    count: u64,
}

impl Watch for Killer {
    fn step(&mut self) {
        self.count += 1;
        if self.count == self.kill_at {
            let own = rustix::process::getpid();
            rustix::process::kill_process(own, rustix::process::Signal::KILL).expect("a process may kill itself");
        }
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.get(1).is_some_and(|argument| argument == anima_sandbox::HELPER_ARGUMENT) {
        anima_sandbox::init_main();
    }
    let [_, verb, root, state, kill_at] = arguments.as_slice() else { panic!("VERB ROOT STATE KILL_AT") };
    let elevation = Elevation::open(Path::new(root), Path::new(state)).expect("opens");
    let mut killer = Killer { kill_at: kill_at.parse().expect("a number"), count: 0 };
    let done = match verb.as_str() {
        "act" => elevation.act(&mut killer),
        "resume" => elevation.resume(&mut killer),
        "rollback" => elevation.rollback(&mut killer),
        "abort" => elevation.abort(&mut killer),
        other => panic!("{other} is no verb"),
    };
    match done {
        Ok(()) => println!("{}", killer.count),
        Err(error) => {
            eprintln!("could not {error}");
            std::process::exit(1);
        }
    }
}
