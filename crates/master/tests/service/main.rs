//! The Master Service through its own router.

mod leases;
mod master;
mod pages;
mod routes;
