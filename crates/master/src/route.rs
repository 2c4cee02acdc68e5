//! The table of routes: each says who may use it, and there is no other way in. What is not in the table is denied.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use anima_types::permission::{Permission, Role};
use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, DefaultBodyLimit, MatchedPath, RawPathParams, Request, State},
    handler::Handler,
    http::{Method, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{MethodFilter, MethodRouter, on},
};
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use crate::{
    app::App,
    auth::{self, Caller, Known, Unchecked, Via},
    conditional,
    error::{ApiError, ApiResult, without_nul},
    idempotency, limit, metrics, openapi, page, session, target,
};

/// A body that is read into memory at most: the plan of a release of some 10,000 packages is below it. Artifacts are not
/// read into memory.
const MAX_BODY_BYTES: usize = 64 << 20;
/// The same of somebody who is nobody in particular: what they may send is small.
const MAX_ANONYMOUS_BODY_BYTES: usize = 1 << 20;
/// A form of a page at most.
const MAX_FORM_BYTES: usize = 64 << 10;

/// One line of the table.
pub struct Route {
    /// The method.
    pub method: Method,
    /// The address, in axum's form.
    pub path: &'static str,
    /// What a caller has to have.
    pub permission: Permission,
    /// How it is known what a request is about.
    pub about: About,
    /// It takes a page's form, which has to come from that page whoever sends it.
    pub is_form: bool,
    /// It waits for something on behalf of its client, and is of no use once that is gone.
    pub ends_with_client: bool,
    handler: MethodRouter<App>,
}

/// How it is known what a request is about, and so for what its caller needs a right.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum About {
    /// The variable parts of the address say it; where none of them is anything that rights can be for, the whole system.
    Address,
    /// The body says it: the handler gets [`Unchecked`], with which it can do nothing before it has asked.
    Body,
}

impl Route {
    fn new<H: Handler<T, App>, T: 'static>(
        (method, filter): (Method, MethodFilter),
        path: &'static str,
        permission: Permission,
        handler: H,
    ) -> Route {
        let handler = on(filter, handler);
        Route { method, path, permission, about: About::Address, is_form: false, ends_with_client: false, handler }
    }

    /// Returns a route that reads.
    pub fn get<H: Handler<T, App>, T: 'static>(path: &'static str, permission: Permission, handler: H) -> Route {
        Route::new((Method::GET, MethodFilter::GET), path, permission, handler)
    }

    /// Returns a route that does something.
    pub fn post<H: Handler<T, App>, T: 'static>(path: &'static str, permission: Permission, handler: H) -> Route {
        Route::new((Method::POST, MethodFilter::POST), path, permission, handler)
    }

    /// Returns a route that puts something at an address.
    pub fn put<H: Handler<T, App>, T: 'static>(path: &'static str, permission: Permission, handler: H) -> Route {
        Route::new((Method::PUT, MethodFilter::PUT), path, permission, handler)
    }

    /// Returns a route that takes something away.
    pub fn delete<H: Handler<T, App>, T: 'static>(path: &'static str, permission: Permission, handler: H) -> Route {
        Route::new((Method::DELETE, MethodFilter::DELETE), path, permission, handler)
    }

    /// Returns a route that takes a page's form.
    pub fn form<H: Handler<T, App>, T: 'static>(path: &'static str, permission: Permission, handler: H) -> Route {
        Route { is_form: true, ..Route::post(path, permission, handler) }
    }

    /// It waits on behalf of its client: see [`to_the_end`].
    pub fn waiting(self) -> Route {
        Route { ends_with_client: true, ..self }
    }

    /// What it is about stands in the body.
    pub fn about_body(self) -> Route {
        Route { about: About::Body, ..self }
    }
}

/// Returns a service of these routes.
pub fn router(app: &App, routes: Vec<Route>) -> Router {
    let mut router = Router::new();
    for Route { method, path, permission, about, is_form, handler, .. } in routes {
        let is_conditional = openapi::is_conditional(&method, path);
        let gate = Gate { permission, about, is_form, is_conditional };
        let check = middleware::from_fn_with_state((app.clone(), gate), admit);
        let count = middleware::from_fn_with_state((app.clone(), path), metrics::count);
        let mut handler = handler.route_layer(check);
        if method == Method::GET && path.starts_with("/api/") {
            handler = handler.route_layer(middleware::from_fn(conditional::tagged));
        }
        router = router.route(path, handler.route_layer(count));
    }
    let visit = middleware::from_fn_with_state(app.clone(), visit_nothing);
    let nothing = Router::new().fallback(nothing).layer(visit);
    let router = router.method_not_allowed_fallback(other_method);
    router.fallback_service(nothing).layer(DefaultBodyLimit::max(MAX_BODY_BYTES)).with_state(app.clone())
}

/// Lets what changes something go on to its end when its client goes away, which ends what is done for it wherever it stands.
/// Half of a change would be left: its rows hold as soon as the database has heard of the commit, and what follows from it (who
/// listens is told, what waits for it is looked at) would never be. Who only waits is not kept: a task would be given to nobody.
pub fn to_the_end(router: Router, routes: &[Route], under_way: TaskTracker) -> Router {
    let waiting: BTreeSet<_> = routes.iter().filter(|route| route.ends_with_client).map(|route| route.path).collect();
    router.layer(middleware::from_fn_with_state((under_way, Arc::new(waiting)), go_on))
}

async fn go_on(
    State((under_way, waiting)): State<(TaskTracker, Arc<BTreeSet<&'static str>>)>,
    request: Request,
    next: Next,
) -> Response {
    let path = request.extensions().get::<MatchedPath>();
    if request.method().is_safe() || path.is_none_or(|path| waiting.contains(path.as_str())) {
        return next.run(request).await;
    }
    match under_way.spawn(next.run(request).in_current_span()).await {
        Ok(answer) => answer,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(error) => ApiError::internal(error).into_response(),
        },
    }
}

async fn nothing(request: Request) -> Response {
    let path = request.uri().path();
    let api = || ApiError::not_found(format!("there is nothing at {path}")).into_response();
    page::nothing(path, request.headers()).unwrap_or_else(api)
}

async fn other_method(request: Request) -> ApiError {
    let message = format!("{} does not take {}", request.uri().path(), request.method());
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "bad_method", message)
        .hint("The header `Allow` has those that it takes.")
}

/// Where nothing is, a person is still shown who they are.
async fn visit_nothing(State(app): State<App>, request: Request, next: Next) -> Response {
    match session::caller(&app, request.headers()).await {
        Ok(known) => page::visit(&known, next.run(request)).await,
        Err(_) => next.run(request).await,
    }
}

/// What one route asks for.
#[derive(Clone, Copy)]
struct Gate {
    permission: Permission,
    about: About,
    is_form: bool,
    /// It takes `If-Match`.
    is_conditional: bool,
}

/// The one place where permission is checked.
async fn admit(
    State((app, gate)): State<(App, Gate)>,
    params: RawPathParams,
    mut request: Request,
    next: Next,
) -> Response {
    let params: Vec<(String, String)> =
        params.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    let address = address_of(&app, &request);
    let known = match auth::caller(&app, request.headers()).await {
        Ok(known) => known,
        Err(error) => return refuse_secret(&app, address, error).into_response(),
    };
    let known = Known { caller: Caller { address, request: asked_for(&request), ..known.caller }, ..known };
    if let Err(error) = check(&app, gate, &params, &known, &mut request).await {
        let refusal = page::refused(&request, error);
        return page::visit(&known, async { refusal.into_response() }).await;
    }
    let limit = if known.caller.role == Role::Anonymous { MAX_ANONYMOUS_BODY_BYTES } else { MAX_BODY_BYTES };
    DefaultBodyLimit::max(limit).apply(&mut request);
    match gate.about {
        About::Address => request.extensions_mut().insert::<Caller>(known.caller.clone()).map(drop),
        About::Body => {
            let unchecked = Unchecked::new(known.caller.clone(), gate.permission);
            request.extensions_mut().insert::<Unchecked>(unchecked).map(drop)
        }
    };
    let key = match idempotency::is_taken(request.method(), request.uri().path(), gate.permission) {
        true => idempotency::key(request.headers()),
        false => Ok(None),
    };
    match key {
        Ok(None) => page::visit(&known, next.run(request)).await,
        Ok(Some(key)) => idempotency::once(app, &known.caller, &key, request, next).await,
        Err(error) => error.into_response(),
    }
}

async fn check(
    app: &App,
    gate: Gate,
    params: &[(String, String)],
    known: &Known,
    request: &mut Request,
) -> ApiResult<()> {
    let caller = &known.caller;
    without_nul(request.uri())?;
    app.limits.change(caller, request.method())?;
    let is_by_cookie = matches!(caller.via, Via::Session(_));
    if gate.is_form || (is_by_cookie && !request.method().is_safe()) {
        let word = word_of_form(request).await?;
        session::check_form(request.headers(), known.form_secret.as_deref(), word.as_deref())?;
    }
    // What somebody wants done under a condition is not done without it.
    let has_condition = request.headers().contains_key(header::IF_MATCH) && !request.method().is_safe();
    if has_condition && !gate.is_conditional {
        let message = format!("{} does not take If-Match", caller.request);
        return Err(ApiError::new(StatusCode::BAD_REQUEST, "no_condition", message).hint("Send it without."));
    }
    // Who may it nowhere is refused before anything is looked up, and so learns nothing of what is there.
    caller.check_somewhere(gate.permission)?;
    if gate.permission == Permission::HoldLease {
        let task = params.iter().find(|(name, _)| name == "task").map(|(_, value)| value.as_str());
        return auth::check_lease(caller, task);
    }
    if gate.about == About::Body || caller.may_everywhere(gate.permission) {
        return Ok(());
    }
    caller.check(gate.permission, &target::of_address(app, gate.permission, params).await?)
}

/// A wrong secret is counted, so that who sends many is told to stop. A right one is taken all the same: 256 bits are not
/// guessed, and one program with an old token must not keep out all others of its address.
fn refuse_secret(app: &App, address: Option<IpAddr>, error: ApiError) -> ApiError {
    match error.status {
        StatusCode::UNAUTHORIZED => app.limits.wrong_secret(address).err().unwrap_or(error),
        _ => error,
    }
}

fn address_of(app: &App, request: &Request) -> Option<IpAddr> {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip());
    limit::address(peer, request.headers(), &app.config.proxies)
}

fn asked_for(request: &Request) -> String {
    format!("{} {}", request.method(), request.uri().path())
}

/// Returns the word that protects a change: of the header, or of the form, which is small and is read here.
async fn word_of_form(request: &mut Request) -> ApiResult<Option<String>> {
    if let Some(word) = request.headers().get("x-form-word") {
        return Ok(word.to_str().ok().map(String::from));
    }
    let is_form = request.headers().get(header::CONTENT_TYPE);
    let is_form = is_form.is_some_and(|kind| kind.as_bytes().starts_with(b"application/x-www-form-urlencoded"));
    if !is_form {
        return Ok(None);
    }
    let body = std::mem::replace(request.body_mut(), Body::empty());
    let bytes = axum::body::to_bytes(body, MAX_FORM_BYTES).await.map_err(|_| {
        let message = format!("a form has at most {} KiB", MAX_FORM_BYTES >> 10);
        ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_long", message)
    })?;
    let word = form_urlencoded::parse(&bytes).find(|(name, _)| name == "word").map(|(_, value)| value.into_owned());
    *request.body_mut() = Body::from(bytes);
    Ok(word)
}
