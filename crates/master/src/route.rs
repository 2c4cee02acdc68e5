//! The table of routes: each says who may use it, and there is no other way in. What is not in the table is denied.

use anima_types::permission::Permission;
use axum::{
    Router,
    extract::{DefaultBodyLimit, RawPathParams, Request, State},
    handler::Handler,
    http::Method,
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{MethodFilter, MethodRouter, on},
};

use crate::{
    app::App,
    auth::{self, Caller},
    error::ApiError,
    metrics, page,
};

/// A body that is read into memory at most: the plan of a release of some 10,000 packages is below it. Artifacts are not
/// read into memory.
const MAX_BODY_BYTES: usize = 64 << 20;

/// One line of the table.
pub struct Route {
    /// The method.
    pub method: Method,
    /// The address, in axum's form.
    pub path: &'static str,
    /// What a caller has to have.
    pub permission: Permission,
    handler: MethodRouter<App>,
}

impl Route {
    /// Returns a route that reads.
    pub fn get<H: Handler<T, App>, T: 'static>(path: &'static str, permission: Permission, handler: H) -> Route {
        Route { method: Method::GET, path, permission, handler: on(MethodFilter::GET, handler) }
    }

    /// Returns a route that does something.
    pub fn post<H: Handler<T, App>, T: 'static>(path: &'static str, permission: Permission, handler: H) -> Route {
        Route { method: Method::POST, path, permission, handler: on(MethodFilter::POST, handler) }
    }

    /// Returns a route that puts something at an address.
    pub fn put<H: Handler<T, App>, T: 'static>(path: &'static str, permission: Permission, handler: H) -> Route {
        Route { method: Method::PUT, path, permission, handler: on(MethodFilter::PUT, handler) }
    }

    /// Returns a route that takes something away.
    pub fn delete<H: Handler<T, App>, T: 'static>(path: &'static str, permission: Permission, handler: H) -> Route {
        Route { method: Method::DELETE, path, permission, handler: on(MethodFilter::DELETE, handler) }
    }
}

/// Returns a service of these routes.
pub fn router(app: &App, routes: Vec<Route>) -> Router {
    let mut router = Router::new();
    for Route { path, permission, handler, .. } in routes {
        let check = middleware::from_fn_with_state((app.clone(), permission), admit);
        let count = middleware::from_fn_with_state((app.clone(), path), metrics::count);
        router = router.route(path, handler.route_layer(check).route_layer(count));
    }
    router.fallback(nothing).layer(DefaultBodyLimit::max(MAX_BODY_BYTES)).with_state(app.clone())
}

async fn nothing(request: Request) -> Response {
    let path = request.uri().path();
    let api = || ApiError::not_found(format!("there is nothing at {path}")).into_response();
    page::nothing(path, request.headers()).unwrap_or_else(api)
}

/// The one place where permission is checked.
async fn admit(
    State((app, permission)): State<(App, Permission)>,
    params: RawPathParams,
    mut request: Request,
    next: Next,
) -> Response {
    let caller = match auth::caller(&app, request.headers()).await {
        Ok(caller) => caller,
        Err(error) => return error.into_response(),
    };
    let task = params.iter().find(|(name, _)| *name == "task").map(|(_, value)| value);
    if let Err(error) = auth::check(&caller, permission, task) {
        return error.into_response();
    }
    request.extensions_mut().insert::<Caller>(caller);
    next.run(request).await
}
