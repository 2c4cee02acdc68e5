//! (being written)

use crate::route::Route;

/// The routes.
pub fn routes() -> Vec<Route> {
    Vec::new()
}
