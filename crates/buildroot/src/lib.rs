//! From a locked list to a mounted root, through cached layers.
//!
//! ```text
//!   locked list ──► base layer        installed once, named by the hash of the list
//!   more of it  ──► layer on top      the same, over the base
//!   mount       ──► overlay           both below an empty, volatile upper: a clean root in milliseconds
//! ```
//!
//! ```no_run
//! # fn main() -> Result<(), anima_buildroot::Error> {
//! use anima_buildroot::{Layers, LockInput};
//! let layers = Layers::open("/var/lib/node/roots".into(), "/usr/bin/program-with-sandbox-init".as_ref())?;
//! let (base_list, more) = (LockInput::default(), LockInput::default());
//! let base = layers.layer(&base_list, None)?; // or `find`, which makes nothing
//! let top = layers.layer(&more, Some(&base))?;
//! let root = top.mount()?; // root.path() is the tree; gone when dropped
//! root.remove()?; // the same, and tells when it could not
//! layers.sweep(std::time::SystemTime::now(), 40 << 30)?;
//! # Ok(()) }
//! ```
//!
//! A folder of layers is shared by any number of processes. Whoever needs a layer first makes it, and the others wait.
//! A layer appears by one rename when it is whole, so a maker that is killed leaves only a working folder, which
//! [`Layers::sweep`] removes. Nothing here waits for the disk: a layer that was not written out when the machine lost
//! its power is known by the boot it was made in, and made again.
//!
//! Packages are installed by the host's rpm in a sandbox of its own ([`HostRpm`]): a package's scripts see the host's
//! `/usr`, the root and nothing else. All of it blocks.
//!
//! The crate refuses to choose packages (that is the solver's), to fetch them, and to build in the root.

mod error;
mod hold;
mod host_rpm;
mod kept;
mod layers;
mod lock;
mod make;
mod marker;
mod overlay;
mod room;
mod root;
mod spread;
mod summary;
mod sweep;
mod terms;
mod tree;
mod work;

pub use error::Error;
pub use host_rpm::{Call, HostRpm};
pub use kept::Kept;
pub use layers::{Layer, Layers};
pub use lock::{LayerPackage, LockInput};
pub use overlay::{Folders, Overlay};
pub use room::{MAX_RPM_BYTES, room, room_beside};
pub use root::Root;
pub use sweep::Swept;
pub use terms::{Most, Stop, Terms, Took};
