//! The API's description by [OpenAPI 3.1](https://spec.openapis.org/oas/v3.1.0), and the same as a page for people
//! (`docs/API.md`), both from the table of routes.

mod operations;
mod people;

use anima_types::{
    account, artifact, audit, build, build_plan, enrolment, error, event, identity, key, key_policy, lease,
    maintenance, node, package, permission::Permission, platform, product, push, rebuild, release, repository,
    repository_diff, retention, right, search, signature, splice, task, task_log, token, webhook, why,
};
use serde_json::{Map, Value, json};
use utoipa::OpenApi as _;

use crate::{
    error::{ApiError, ApiResult, Json},
    route::Route,
};
use operations::Operation;

/// Everything that the API takes and gives.
#[derive(utoipa::OpenApi)]
#[openapi(components(schemas(
    account::Account,
    account::AccountDetail,
    account::CreateAccount,
    account::CreateTeam,
    account::Session,
    account::SetPassword,
    account::SignIn,
    account::Team,
    artifact::Artifact,
    audit::Entry,
    build::Build,
    build::BuildDetail,
    build::CreateBuild,
    build::Priority,
    build_plan::BuildPlan,
    build_plan::CreateBuildPlan,
    build_plan::PlannedArch,
    build_plan::PlannedCircle,
    build_plan::PlannedPackage,
    why::Fact,
    why::Why,
    enrolment::CreateEnrolment,
    enrolment::CreatedEnrolment,
    enrolment::RedeemEnrolment,
    error::ErrorBody,
    event::Event,
    identity::BeginDevice,
    identity::Device,
    identity::Identity,
    identity::LinkIdentity,
    identity::RedeemDevice,
    key::CreateKey,
    key::Key,
    key::KeyDetail,
    key::RevokeKey,
    key::RotateKey,
    key_policy::Policy,
    signature::Approve,
    signature::Record,
    signature::SignFile,
    lease::Claim,
    lease::Heartbeat,
    lease::Lease,
    lease::LogSize,
    lease::Report,
    maintenance::BeginMaintenance,
    maintenance::Maintenance,
    maintenance::MaintenanceState,
    node::DrainNode,
    node::Node,
    package::PackageDetail,
    package::PackageSummary,
    platform::Platform,
    product::CreateProduct,
    product::Product,
    push::Push,
    push::PushAnswer,
    rebuild::CreateRebuild,
    rebuild::FailedTask,
    rebuild::LeaveOut,
    rebuild::LimitRebuild,
    rebuild::Progress,
    rebuild::Rebuild,
    rebuild::RebuildReleases,
    release::CommitRelease,
    release::CreateRelease,
    release::EditRelease,
    release::ScheduleRelease,
    release::Release,
    repository::Attachment,
    repository::Repository,
    repository::RepositoryPackage,
    repository::Snapshot,
    repository_diff::RepositoryDiff,
    retention::Collection,
    retention::Pin,
    retention::RepositorySettings,
    right::GiveRight,
    right::GivenRight,
    right::Right,
    splice::Splice,
    search::Search,
    task::Task,
    task_log::LogFound,
    token::CreateToken,
    token::CreatedToken,
    token::Pushes,
    token::Scopes,
    token::Token,
    token::Whoami,
    webhook::CreateWebhook,
    webhook::CreatedWebhook,
    webhook::Delivery,
    webhook::Webhook,
)))]
struct Schemas;

/// The routes.
pub fn routes() -> Vec<Route> {
    vec![Route::get("/api/v1/openapi.json", Permission::Read, show)]
}

/// Returns all operations, in the order of the reference.
fn operations() -> impl Iterator<Item = &'static Operation> {
    operations::OPERATIONS.iter().chain(people::OPERATIONS)
}

async fn show() -> ApiResult<Json<Value>> {
    Ok(Json(description()?))
}

fn description() -> ApiResult<Value> {
    let schemas = serde_json::to_value(Schemas::openapi()).map_err(ApiError::internal)?;
    let mut paths = Map::new();
    for operation in operations() {
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        path[operation.method.to_lowercase()] = described(operation);
    }
    let mut components = schemas["components"].clone();
    components["securitySchemes"] = json!({ "token": { "type": "http", "scheme": "bearer" } });
    Ok(json!({
        "openapi": "3.1.0",
        "info": { "title": "Anima", "version": env!("CARGO_PKG_VERSION") },
        "paths": paths,
        "components": components,
    }))
}

fn described(operation: &Operation) -> Value {
    let parameters = parameters(operation.path)
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }));
    let mut described = json!({
        "summary": operation.summary,
        "parameters": parameters.collect::<Vec<_>>(),
        "responses": {
            "200": { "description": "It is done." },
            "default": { "description": "Why not.", "content": content("ErrorBody") },
        },
    });
    if let Some(schema) = operation.gives {
        described["responses"]["200"]["content"] = content(schema);
    }
    if let Some(schema) = operation.takes {
        described["requestBody"] = json!({ "required": true, "content": content(schema) });
    }
    if permission(operation) != Some(Permission::Read) {
        described["security"] = json!([{ "token": [] }]);
    }
    described
}

fn parameters(path: &str) -> impl Iterator<Item = &str> {
    path.split('{').skip(1).filter_map(|rest| rest.split('}').next())
}

fn content(schema: &str) -> Value {
    let name = schema.trim_matches(['[', ']']);
    let one = json!({ "$ref": format!("#/components/schemas/{name}") });
    let schema = if schema.starts_with('[') { json!({ "type": "array", "items": one }) } else { one };
    json!({ "application/json": { "schema": schema } })
}

/// Returns what the table of routes asks for.
fn permission(operation: &Operation) -> Option<Permission> {
    let routes = crate::routes();
    let route =
        routes.iter().find(|route| route.path == operation.path && route.method.as_str() == operation.method)?;
    Some(route.permission)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, path::Path};

    use super::*;

    #[test]
    fn every_route_of_the_api_is_described_and_nothing_else() {
        let routes = crate::routes();
        let api = routes.iter().filter(|route| route.path.starts_with("/api/"));
        let api: BTreeSet<(&str, &str)> = api.map(|route| (route.path, route.method.as_str())).collect();

        let described: BTreeSet<(&str, &str)> =
            operations().map(|operation| (operation.path, operation.method)).collect();

        assert_eq!(api, described);
    }

    #[test]
    fn every_schema_that_is_named_is_there() {
        let description = description().unwrap();
        let schemas = description["components"]["schemas"].as_object().unwrap();

        let text = description.to_string();
        for reference in text.split("\"#/components/schemas/").skip(1) {
            let name = reference.split('"').next().unwrap();
            assert!(schemas.contains_key(name), "{name}");
        }
    }

    /// `ANIMA_UPDATE=1 cargo test -p anima-master` writes the page anew.
    #[test]
    fn the_page_for_people_is_fresh() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/API.md");
        let fresh = page();
        if std::env::var_os("ANIMA_UPDATE").is_some() {
            std::fs::write(&path, &fresh).unwrap();
        }

        assert!(std::fs::read_to_string(&path).unwrap_or_default() == fresh, "docs/API.md is not what the routes say");
    }

    fn page() -> String {
        let mut page = String::from(
            "# API\n\nThe Master Service's API is at `/api/v1`; bodies and answers are JSON, and `/api/v1/openapi.json` describes each field. This page is made\n\
             from the table of routes by a test (`ANIMA_UPDATE=1 cargo test -p anima-master the_page_for_people`).\n\n\
             **Who may what.** Reading needs nothing; everything else needs somebody who has the permission in the table, for the thing that the request is about.\n\
             People have rights: a role (`admin`, `manager`, `product-maintainer`, `release-manager`, `signer`, `contributor`, `observer`) everywhere, or for one platform,\n\
             product or key. A token (`Authorization: Bearer TOKEN`) belongs to a person and may what they may, within its scopes; or it has a role of its own, as those\n\
             of nodes. A lease's secret is a token for its own task and nothing else. A session's cookie does for reading; a change by a cookie needs the session's word,\n\
             too (`X-Form-Word`, or the form's field `word`).\n\n\
             **Limits.** Who asks too often gets 429 `too_often` with `Retry-After`.\n\n\
             **Errors.** Every answer of 400 and above is `{\"code\": …, \"message\": …, \"hint\": …}`: a stable word, one sentence, and what to do about it where that\n\
             is known.\n\n\
             **Repeating.** Reading, reports, pieces of a log, artifacts and pushes may be sent again with the same effect as once.\n\n\
             | route | permission | what it does | takes | gives |\n|---|---|---|---|---|\n",
        );
        for operation in operations() {
            let permission = permission(operation).and_then(|permission| serde_json::to_value(permission).ok());
            let permission = permission.and_then(|value| value.as_str().map(str::to_string)).unwrap_or_default();
            page += &format!(
                "| `{} {}` | {permission} | {} | {} | {} |\n",
                operation.method,
                operation.path,
                operation.summary,
                operation.takes.unwrap_or_default(),
                operation.gives.unwrap_or_default(),
            );
        }
        page + OUTSIDE
    }

    const OUTSIDE: &str = "\n## Outside of `/api/v1`\n\n\
        | address | what is there |\n|---|---|\n\
        | `/` and the nouns below it | pages for people |\n\
        | `/repos/PRODUCT/PRODUCT.repo`, `/repos/PRODUCT/RPM-GPG-KEY` | a product's configuration for dnf, and its public keys: that which signs now, and those before it |\n\
        | `/repos/PRODUCT/RPM-GPG-KEY-revoked` | keys that a product had and that are not to be trusted any more |\n\
        | `/repos/PRODUCT/REPOSITORY/ARCH/…` | what users see now |\n\
        | `/repos/PRODUCT/REPOSITORY/ARCH@N/…` | snapshot N, for ever; `ARCH/@N/…` is the same |\n\
        | `/repos/PRODUCT/REPOSITORY/ARCH/metalink.xml`, `mirrorlist` | the address of the snapshot that users see now, and the hash of its index |\n\
        | `/coprs/anima/PRODUCT/repo/CHROOT/dnf.repo?arch=ARCH`, `/api_3/project/search`, `/api_3/project/list` | what `dnf copr` asks for |\n\
        | `/builds/BUILD/repo/PLATFORM/ARCH/…` | what a build has made so far, unsigned |\n\
        | `/mirror/NAME/…` | folders of packages that the configuration names |\n\
        | `/feed.atom`, `/packages/PACKAGE/feed.atom`, `/platforms/PLATFORM/feed.atom`, `/products/PRODUCT/feed.atom` | builds and releases as feeds |\n\
        | `/packages/PACKAGE/badge.svg?platform=PLATFORM` | where the newest build of a package stands, as a picture |\n\
        | `/metrics` | numbers for Prometheus: queues, nodes, builds, releases, times of steps, requests |\n\
        | `/healthz` | `ok` when the database answers |\n\
        | `/readyz` | whether the master can work, and which part keeps it from that: `database`, `store`, `disk`, `clock`; each is `good`, `away`, `full`, `read_only`, `wrong_clock` or `faulty`. 200, or 503 |\n\n\
        ## The Git Service\n\n\
        | address | what is there |\n|---|---|\n\
        | `/NAME.git` | a package's repository; everybody clones, who pushes gives a token as the password |\n\
        | `GET /api/git/v1/repositories` | the names of all repositories |\n\
        | `GET /api/git/v1/repositories/NAME` | a repository with its branches; `/branches`, `/commits?branch=`, `/resolve?reference=` below it |\n\
        | `PUT`, `GET /lookaside/PACKAGE/FILE/ALGORITHM/HASH/FILE` | a large source; uploading needs a token |\n\
        | `GET /lookaside/by-hash/ALGORITHM/HASH` | the same by its hash alone |\n";
}
