//! The Master Service through its own router.

mod attachments;
mod dispatch;
mod dnf_loop;
mod emulation;
mod enrolment;
mod files;
mod forgotten_nodes;
mod garbage;
mod gates;
mod gone_clients;
mod health;
mod hostile_clients;
mod idempotency;
mod keys;
mod killed_release;
mod leases;
mod lists;
mod logs;
mod maintenance;
mod master;
mod metrics;
mod noarch;
mod oidc;
mod one_switch;
mod order;
mod pages;
mod people;
mod placing;
mod plans;
mod presses;
mod queue;
mod rebuild;
mod resign;
mod retention;
mod routes;
#[path = "../../../rpm-file/tests/support/mod.rs"]
mod rpm;
mod search;
mod secrets;
mod sessions;
mod shares;
mod signatures;
mod subscription;
mod upkeep;
mod webhooks;

#[test]
fn all_this_holds_on_postgresql_too() {
    anima_testkit::again_on_object_store(true);
}
