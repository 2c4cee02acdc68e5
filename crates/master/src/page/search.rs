//! The search over everything: what was found, by its kind.

use anima_types::search::{Everything, EverythingQuery, FoundBuild, FoundKind, FoundRpm};
use askama::Template;
use axum::extract::{Query, State as Extract};
use serde::Deserialize;

use super::{
    answer::{Frame, PageResult, page},
    words::{State, When, address_part, count},
};
use crate::{app::App, auth::Caller, error::ApiError, search::everywhere::everything};

/// What is searched for; it stays in the address.
#[derive(Debug, Default, Deserialize)]
pub struct SearchQuery {
    #[serde(default)]
    q: String,
}

#[derive(Template)]
#[template(path = "search.html")]
struct SearchPage {
    frame: Frame,
    answer: String,
    builds: Vec<BuildRow>,
    /// Names, their addresses, and their newest builds.
    packages: Vec<(String, String, String)>,
    rpms: Vec<RpmRow>,
    /// Names, their addresses, and names for people.
    accounts: Vec<(String, String, String)>,
    is_more: bool,
    narrower: String,
}

struct BuildRow {
    found: FoundBuild,
    state: State,
    created: When,
}

struct RpmRow {
    found: FoundRpm,
    /// What is searched for in the repository's own search to see it there.
    name: String,
}

/// `/search`
pub async fn show(
    Extract(app): Extract<App>,
    caller: Caller,
    query: Result<Query<SearchQuery>, axum::extract::rejection::QueryRejection>,
) -> PageResult {
    let Query(SearchQuery { q }) = query.map_err(ApiError::from)?;
    let text = q.trim().to_string();
    let found = match text.is_empty() {
        true => Everything::default(),
        false => everything(&app, &caller, &EverythingQuery { q: text.clone(), limit: None }).await?,
    };
    let answer = if text.is_empty() {
        "Search for a build's number, who asked for it or its commit; a package, a NEVRA, what a package is for or provides; \
         a path that begins with /; a person."
            .to_string()
    } else {
        answer(&text, &found)
    };
    let api = format!("/api/v1/search?q={}", address_part(&text));
    let title = if text.is_empty() { "Search".to_string() } else { format!("{text} · Search") };
    let Everything { builds, packages, rpms, accounts, more } = found;
    page(&SearchPage {
        answer,
        builds: builds
            .into_iter()
            .map(|found| BuildRow {
                state: found.status.into(),
                created: When::new(found.created_at, app.now()),
                found,
            })
            .collect(),
        packages: packages
            .into_iter()
            .map(|one| (address_part(&one.name), one.last_build.to_string(), one.name))
            .map(|(address, build, name)| (name, address, build))
            .collect(),
        rpms: rpms.into_iter().map(|found| RpmRow { name: address_part(name_of(&found.nevra)), found }).collect(),
        accounts: accounts.into_iter().map(|one| (address_part(&one.name), one)).map(account_row).collect(),
        is_more: !more.is_empty(),
        narrower: more.into_iter().map(kind_name).collect::<Vec<_>>().join(", "),
        frame: Frame { search: text, ..Frame::new(title, "search", api) },
    })
}

fn account_row((address, one): (String, anima_types::search::FoundAccount)) -> (String, String, String) {
    (one.name, address, one.title)
}

/// Returns a NEVRA's name: all before its last two hyphens.
fn name_of(nevra: &str) -> &str {
    nevra.rsplitn(3, '-').nth(2).unwrap_or(nevra)
}

fn kind_name(kind: FoundKind) -> &'static str {
    match kind {
        FoundKind::Builds => "builds",
        FoundKind::Packages => "source packages",
        FoundKind::Rpms => "packages in repositories",
        FoundKind::Accounts => "people",
    }
}

/// Says in words how much there is of what.
fn answer(text: &str, found: &Everything) -> String {
    let counts = [
        (found.builds.len(), "build", FoundKind::Builds),
        (found.packages.len(), "source package", FoundKind::Packages),
        (found.rpms.len(), "NEVRA", FoundKind::Rpms),
        (found.accounts.len(), "account", FoundKind::Accounts),
    ];
    let words: Vec<String> = counts
        .into_iter()
        .filter(|(number, ..)| *number > 0)
        .map(|(number, one, kind)| {
            let words = count(number, one);
            if found.more.contains(&kind) { format!("{words} and more") } else { words }
        })
        .collect();
    match words.is_empty() {
        true => format!("Nothing has \"{text}\"."),
        false => format!("{}.", words.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_what_stands_before_version_and_release() {
        assert_eq!(name_of("gcc-c++-14.2-1.el10.x86_64"), "gcc-c++");
        assert_eq!(name_of("odd"), "odd");
    }

    #[test]
    fn the_answer_says_how_much_there_is_of_what() {
        let mut found = Everything::default();
        assert_eq!(answer("jq", &found), "Nothing has \"jq\".");
        found.accounts = vec![Default::default(), Default::default()];
        found.more = vec![FoundKind::Accounts];
        assert_eq!(answer("jq", &found), "2 accounts and more.");
    }
}
