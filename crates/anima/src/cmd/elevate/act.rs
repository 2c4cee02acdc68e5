//! The verbs that do one thing to an upgrade, and then say how it stands.

use anima_elevate_act::{Elevation, Error, Watch};

use super::{Where, failure, watch::Bar};
use crate::{
    exit::Result,
    output::{Output, fields, or_dash},
};

/// Does a verb.
pub fn run(
    place: &Where,
    output: Output,
    verb: impl FnOnce(&Elevation, &mut dyn Watch) -> std::result::Result<(), Error>,
) -> Result {
    let elevation = place.open()?;
    verb(&elevation, &mut Bar::new()).map_err(failure)?;
    let status = elevation.status().map_err(failure)?;
    output.show(&status, |status| {
        fields(&[
            ("phase", or_dash(status.phase.map(|phase| phase.name()))),
            ("rehearsed", if status.is_rehearsed { "yes" } else { "no" }.to_owned()),
            ("changes", status.change_count.to_string()),
            ("next", status.hint.clone()),
        ])
    })
}
