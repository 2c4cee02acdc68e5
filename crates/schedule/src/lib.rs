//! In which order packages are built, and how long that takes.
//!
//! [`Graph::new`] reads what each source package needs and what it provides, and knows then who waits for whom.
//! [`Graph::circles`] finds packages that wait for one another, with a way out; [`Graph::waves`] and
//! [`Graph::critical_path`] say what can be built at once and what cannot be hurried; [`simulate`] says when what
//! would run on so many slots; [`Graph::dependants`] says what would have to be built again.
//!
//! It refuses to know anything of databases, nodes and time: costs are numbers that the caller estimated, and the same
//! question has the same answer.

mod circle;
mod dependency;
mod graph;
mod simulate;

pub use circle::Circle;
pub use dependency::names;
pub use graph::{Graph, Source};
pub use simulate::{Pool, Run, Schedule, simulate, simulate_in_pools};
