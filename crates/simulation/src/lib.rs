//! Development only: the Master Service with its planner, scheduler and leases, and the Release System's rules, in a world
//! where everything goes wrong.
//!
//! The master is the real one, spoken to through its own router, on a database and a store of its own. What is simulated is
//! what is around it: the clock, the network between it and the nodes, the nodes' lives, the moments at which a process is
//! killed, and the people. One seed is one such world; the same seed is the same world again. See [`world::run`].
//!
//! What has to hold whatever happens is in [`invariants`]. Nodes' own programs are not simulated: the stories kill those.

pub mod faults;
pub mod invariants;
mod master;
mod node;
mod package;
mod people;
mod random;
mod work;
pub mod world;

pub use faults::Faults;
pub use master::config;
pub use random::Random;
pub use world::{Broken, Summary, run, run_on_one_core};
