//! What `dnf` reads: the released repositories of products, and the results of builds.

mod build_repository;
mod copr;
mod metalink;
mod product_repository;

pub use build_repository::Indices;

use crate::route::Route;

/// The routes.
pub fn routes() -> Vec<Route> {
    let mut routes = product_repository::routes();
    routes.extend(build_repository::routes());
    routes.extend(copr::routes());
    routes
}
