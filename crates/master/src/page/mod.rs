//! The pages: what people look at. Each is whole without scripts; with them it follows the events and the log.
//!
//! A page asks the same functions as the API, puts their answers into words ([`words`]), and gives them to its template
//! (`templates/`), which escapes all that it is given. What a page's form sends is done by the same functions, too.

mod access;
mod account;
mod act;
mod answer;
mod asset;
mod build;
mod device;
mod feed;
mod finding;
mod key;
mod load;
mod log;
mod matrix;
mod node;
mod oidc;
mod package;
mod people;
mod plan_grid;
mod press;
mod queue;
mod rebuild;
mod release;
mod repository;
mod search;
mod sign_in;
mod strip;
mod task;
mod visitor;
mod words;

pub use log::plain_line;

use anima_types::permission::Permission;

use crate::route::Route;

pub use answer::{nothing, refused};
pub use visitor::visit;
pub use words::{NOTHING, State, address_part};

/// The routes.
pub fn routes() -> Vec<Route> {
    looks().into_iter().chain(access::routes()).chain(press::routes()).collect()
}

fn looks() -> Vec<Route> {
    vec![
        Route::get("/", Permission::Read, feed::show),
        Route::get("/builds", Permission::Read, feed::show),
        Route::get("/builds/{build}", Permission::Read, build::show),
        Route::get("/rebuilds", Permission::Read, rebuild::list),
        Route::get("/rebuilds/{build}", Permission::Read, rebuild::show),
        Route::get("/tasks/{task}", Permission::Read, task::show),
        Route::get("/queue", Permission::Read, queue::show),
        Route::get("/search", Permission::Read, search::show),
        Route::get("/packages", Permission::Read, package::list),
        Route::get("/packages/{package}", Permission::Read, package::show),
        Route::get("/repositories", Permission::Read, repository::list),
        Route::get("/repositories/{repository}", Permission::Read, repository::show),
        Route::get("/repositories/{repository}/diff", Permission::Read, repository::diff),
        Route::get("/releases", Permission::Read, release::list),
        Route::get("/releases/{release}", Permission::Read, release::show),
        Route::get("/nodes", Permission::Read, node::list),
        Route::get("/nodes/{node}", Permission::Read, node::show),
        Route::get("/keys", Permission::Read, key::list),
        Route::get("/keys/{key}", Permission::Read, key::show),
        Route::get("/sign-in", Permission::Read, sign_in::show),
        Route::form("/sign-in", Permission::Read, sign_in::send),
        Route::form("/sign-in/oidc", Permission::Read, oidc::begin),
        Route::get(crate::oidc::CALLBACK, Permission::Read, oidc::end),
        Route::get("/device", Permission::Own, device::show),
        Route::form("/device", Permission::Own, device::send),
        Route::form("/sign-out", Permission::Read, sign_in::out),
        Route::get("/mine", Permission::Own, people::mine),
        Route::get("/teams", Permission::Own, people::teams),
        Route::get("/audit", Permission::Audit, people::audit),
        Route::get("/account", Permission::Own, account::show),
        Route::form("/account/password", Permission::Own, account::set_password),
        Route::form("/account/tokens", Permission::Own, account::make_token),
        Route::form("/account/tokens/{token}/revoke", Permission::Own, account::revoke_token),
        Route::form("/account/sessions/{session}/end", Permission::Own, account::end_session),
        Route::form("/account/identities", Permission::Own, oidc::begin_link),
        Route::form("/account/identities/{identity}/unlink", Permission::Own, oidc::unlink),
        Route::get("/assets/anima.css", Permission::Read, asset::css),
        Route::get("/assets/anima.js", Permission::Read, asset::js),
        Route::get("/assets/favicon.svg", Permission::Read, asset::favicon),
    ]
}
