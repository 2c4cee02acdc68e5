//! What people subscribe to or show elsewhere: feeds in the form of [Atom](https://www.rfc-editor.org/rfc/rfc4287), of builds
//! of a package, on a platform or of all, and of the releases of a product; and badges with the state of a package.

use anima_types::{
    Timestamp,
    build::{Build, ListQuery},
    permission::Permission,
};
use askama::Template;
use atom_syndication::{Content, Entry, Feed, FixedDateTime, Link, Person, Text};
use axum::{
    extract::State,
    http::header::{CACHE_CONTROL, CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use serde::Deserialize;

use crate::{
    app::App,
    build::newest,
    error::{ApiError, ApiResult, Path, Query},
    page::{State as Shown, address_part},
    route::Route,
};

/// Entries of a feed: some days of a busy platform; readers come more often.
const ENTRIES: u32 = 50;
/// Packages that an entry names.
const NAMED: usize = 20;
/// Readers and proxies ask again after this.
const FRESH: &str = "max-age=60";
/// The width of a letter on a badge, in pixels: that of the widest common sans-serif at 11 px, so that no text is cut off.
const LETTER: usize = 7;

/// The routes.
pub fn routes() -> Vec<Route> {
    vec![
        Route::get("/feed.atom", Permission::Read, all),
        Route::get("/packages/{package}/feed.atom", Permission::Read, of_package),
        Route::get("/platforms/{platform}/feed.atom", Permission::Read, of_platform),
        Route::get("/products/{product}/feed.atom", Permission::Read, of_product),
        Route::get("/packages/{package}/badge.svg", Permission::Read, badge),
    ]
}

async fn all(State(app): State<App>) -> ApiResult<Response> {
    let page = "builds";
    builds(&app, "feed.atom", page, "Builds".to_string(), ListQuery::default()).await
}

async fn of_package(State(app): State<App>, Path(package): Path<String>) -> ApiResult<Response> {
    let page = format!("packages/{}", address_part(&package));
    let query = ListQuery { package: Some(package.clone()), ..ListQuery::default() };
    builds(&app, &format!("{page}/feed.atom"), &page, format!("Builds of {package}"), query).await
}

async fn of_platform(State(app): State<App>, Path(platform): Path<String>) -> ApiResult<Response> {
    if app.platform(&platform).is_none() {
        return Err(ApiError::not_found(format!("no platform \"{platform}\" is configured")));
    }
    let address = format!("platforms/{}/feed.atom", address_part(&platform));
    let query = ListQuery { platform: Some(platform.clone()), ..ListQuery::default() };
    builds(&app, &address, "builds", format!("Builds on {platform}"), query).await
}

async fn builds(app: &App, address: &str, page: &str, title: String, query: ListQuery) -> ApiResult<Response> {
    let builds = newest(app, ListQuery { limit: Some(ENTRIES), ..query }).await?;
    let entries = builds.into_iter().map(|build| of_build(app, build)).collect();
    answer(app, address, page, title, entries)
}

fn of_build(app: &App, build: Build) -> Entry {
    let mut named =
        build.sources.iter().take(NAMED).map(|source| source.package.as_str()).collect::<Vec<_>>().join(", ");
    if build.sources.len() > NAMED {
        named += &format!(" and {} more", build.sources.len() - NAMED);
    }
    let title = format!("{named} on {}: {}", build.platforms.join(", "), build.status.name());
    let changed = build.ended_at.unwrap_or(build.created_at);
    let author = build.owner.clone();
    entry(app, &format!("builds/{}", build.id), title, (build.created_at, changed), author, build.summary)
}

async fn of_product(State(app): State<App>, Path(product): Path<String>) -> ApiResult<Response> {
    let mut read = app.db.read().await?;
    anima_db::product::get(&mut read, &product).await?;
    let releases = anima_db::release::list_released(&mut read, &product, ENTRIES).await?;
    drop(read);
    let entries = releases.into_iter().map(|release| {
        let names = release.plan.iter().take(NAMED).map(|entry| entry.nevra.to_string()).collect::<Vec<_>>();
        let more = release.plan.len().saturating_sub(NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let title = format!("Release {} to {}: {}", release.id, release.product, release.status.name());
        let text = format!("{} {}{more}", release.summary, names.join(", "));
        let released = release.released_at.unwrap_or(release.created_at);
        let author = release.committed_by.unwrap_or_else(|| "anima".to_string());
        entry(&app, &format!("releases/{}", release.id), title, (release.created_at, released), author, text)
    });
    let entries = entries.collect();
    let address = format!("products/{}/feed.atom", address_part(&product));
    answer(&app, &address, "releases", format!("Releases to {product}"), entries)
}

fn entry(
    app: &App,
    page: &str,
    title: String,
    (made, changed): (Timestamp, Timestamp),
    author: String,
    text: String,
) -> Entry {
    let url = app.url(page);
    Entry {
        title: Text::plain(title),
        // The address of a page is for ever, so it is the name that a feed asks for.
        id: url.clone(),
        published: Some(moment(made)),
        updated: moment(changed),
        authors: vec![Person { name: author, ..Person::default() }],
        links: vec![Link { href: url, rel: "alternate".to_string(), ..Link::default() }],
        content: Some(Content { value: Some(text), content_type: Some("text".to_string()), ..Content::default() }),
        ..Entry::default()
    }
}

fn answer(app: &App, address: &str, page: &str, title: String, entries: Vec<Entry>) -> ApiResult<Response> {
    let link = |address: &str, rel: &str| Link { href: app.url(address), rel: rel.to_string(), ..Link::default() };
    let newest = entries.iter().map(|entry| entry.updated).max();
    let feed = Feed {
        title: Text::plain(title),
        id: app.url(address),
        updated: newest.unwrap_or_else(|| moment(Timestamp(0))),
        links: vec![link(address, "self"), link(page, "alternate")],
        authors: vec![Person { name: "Anima".to_string(), ..Person::default() }],
        entries,
        ..Feed::default()
    };
    let headers = [(CONTENT_TYPE, "application/atom+xml; charset=utf-8"), (CACHE_CONTROL, FRESH)];
    Ok((headers, feed.to_string()).into_response())
}

fn moment(at: Timestamp) -> FixedDateTime {
    at.to_string().parse().unwrap_or_default()
}

#[derive(Deserialize)]
struct BadgeQuery {
    platform: Option<String>,
}

#[derive(Template)]
#[template(path = "badge.svg", escape = "html")]
struct Badge {
    label: String,
    word: &'static str,
    glyph: &'static str,
    colour: &'static str,
    label_width: usize,
    word_width: usize,
    width: usize,
}

/// The state of the newest build of a package, on one platform or on any.
async fn badge(
    State(app): State<App>,
    Path(package): Path<String>,
    Query(query): Query<BadgeQuery>,
) -> ApiResult<Response> {
    let label = match &query.platform {
        Some(platform) => format!("{package} on {platform}"),
        None => package.clone(),
    };
    let query = ListQuery { package: Some(package), platform: query.platform, limit: Some(1), ..ListQuery::default() };
    let state = newest(&app, query).await?.first().map_or(crate::page::NOTHING, |build| Shown::from(build.status));
    let (label_width, word_width) = (width(&label), width(state.word) + 2 * LETTER);
    let badge = Badge {
        label,
        word: state.word,
        glyph: state.glyph,
        colour: colour(state.class),
        label_width,
        word_width,
        width: label_width + word_width,
    };
    let svg = badge.render().map_err(ApiError::internal)?;
    Ok(([(CONTENT_TYPE, "image/svg+xml"), (CACHE_CONTROL, FRESH)], svg).into_response())
}

fn width(text: &str) -> usize {
    (text.chars().count() + 2) * LETTER
}

/// Each has a contrast of at least 4.5 to white, which is what the text on it is.
fn colour(class: &str) -> &'static str {
    match class {
        "good" => "#1a7f37",
        "bad" => "#c0232c",
        "run" => "#0b63c5",
        _ => "#57606a",
    }
}
