//! The API's description by [OpenAPI 3.1](https://spec.openapis.org/oas/v3.1.0), and the same as a page for people
//! (`docs/API.md`), both from the table of routes.

mod operation;
mod operations;
mod people;

use anima_types::error::CODES;
use anima_types::{
    account, artifact, audit, build, build_plan, enrolment, error, event, identity, key, key_policy, lease,
    maintenance, node, node_load, package, permission::Permission, platform, product, push, rebuild, release,
    repository, repository_diff, retention, right, search, signature, splice, task, task_list, task_log, token,
    webhook, why,
};
use axum::http::Method;
use serde_json::{Map, Value, json};
use utoipa::OpenApi as _;

use crate::{
    error::{ApiError, ApiResult, Json},
    idempotency,
    route::Route,
};
use operation::{BYTES, Kind, Operation, Parameter};

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
    build::Circle,
    build::CreateBuild,
    build::Priority,
    build_plan::BuildPlan,
    build_plan::CreateBuildPlan,
    build_plan::PlannedArch,
    build_plan::Basis,
    build_plan::PlannedCircle,
    build_plan::PlannedExclusion,
    build_plan::PlannedNode,
    build_plan::PlannedPackage,
    build_plan::PlannedTask,
    why::Fact,
    why::ReleaseWhy,
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
    node_load::LoadSample,
    package::PackageDetail,
    package::PackageSummary,
    platform::Platform,
    product::CreateProduct,
    product::Product,
    push::GitChange,
    push::GitChanges,
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
    release::ListedRelease,
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
    search::Everything,
    search::Search,
    task::Task,
    task_list::ListedTask,
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
    webhook::Message,
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

/// Returns whether a route takes `If-Match`.
pub fn is_conditional(method: &Method, path: &str) -> bool {
    operations().any(|one| one.is_conditional && one.path == path && one.method == method.as_str())
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
    let codes: Vec<&str> = CODES.iter().map(|(code, _)| *code).collect();
    components["schemas"]["ErrorBody"]["properties"]["code"]["enum"] = json!(codes);
    components["securitySchemes"] = json!({ "token": { "type": "http", "scheme": "bearer" } });
    let refusals = REFUSALS.iter().map(|(status, words)| {
        let mut answer = json!({ "description": words, "content": content("ErrorBody") });
        if *status == 429 {
            answer["headers"] =
                json!({ "Retry-After": { "description": "Seconds.", "schema": { "type": "integer" } } });
        }
        (status.to_string(), answer)
    });
    components["parameters"] = json!({ "Cursor": {
        "name": "cursor", "in": "query", "required": false,
        "description": "Where a page begins: from the link to the next page of an answer.",
        "schema": { "type": "string" },
    }, "Limit": {
        "name": "limit", "in": "query", "required": false,
        "description": "How many things a page has at most.",
        "schema": { "type": "integer", "minimum": 0, "maximum": u32::MAX },
    }, "IfMatch": {
        "name": "If-Match", "in": "header", "required": false,
        "description": "The `ETag` with which it was read: what was changed since then is not changed (412).",
        "schema": { "type": "string", "pattern": "^(\\*|\"[0-9a-f]{32}\")$" },
    }, "IdempotencyKey": {
        "name": "Idempotency-Key", "in": "header", "required": false,
        "description": "Whoever sends a request again with the same key gets the same answer for a day, and it is done once.",
        "schema": { "type": "string", "pattern": "^[!-~]{8,128}$", "minLength": 8, "maxLength": 128 },
    } });
    components["responses"] = refusals.collect::<Map<_, _>>().into();
    Ok(json!({
        "openapi": "3.1.0",
        "info": { "title": "Anima", "version": env!("CARGO_PKG_VERSION") },
        "paths": paths,
        "webhooks": { "event": { "post": told() } },
        "components": components,
    }))
}

/// Returns what a webhook's receiver is sent.
fn told() -> Value {
    let header = |name: &str, words: &str, schema: Value| json!({ "name": name, "in": "header", "required": true, "description": words, "schema": schema });
    json!({
        "operationId": "webhook_event",
        "summary": "Something happened that the webhook is told of, in the form of Standard Webhooks.",
        "description": "It is sent again later where the answer is none of 2xx, in all for some days; 410 stops the webhook. A message may come twice, and late: `webhook-id` is the same then.",
        "parameters": [
            header("webhook-id", "The message's own name, the same each time that it is sent.", json!({ "type": "string" })),
            header("webhook-timestamp", "When it was sent, in seconds since 1970: what is old is nobody's who may send.", json!({ "type": "integer" })),
            header("webhook-signature", "`v1,` and the base64 of HMAC-SHA256 of `ID.TIMESTAMP.BODY` by the webhook's secret.", json!({ "type": "string", "pattern": "^v1,.+$" })),
        ],
        "requestBody": { "required": true, "content": content("WebhookMessage") },
        "responses": { "2XX": { "description": "It is taken." }, "410": { "description": "Nobody wants any more of these." } },
    })
}

/// Answers of 400 and above that more than one operation has, and what they mean.
const REFUSALS: [(u16, &str); 14] = [
    (400, "The request cannot be read."),
    (401, "Somebody has to sign in, or the token is not known."),
    (403, "The caller may not."),
    (404, "There is no such thing."),
    (409, "It cannot be now: something else is so already."),
    (412, "It was changed since it was read: `If-Match`."),
    (413, "It is too long."),
    (415, "The body is not JSON."),
    (416, "There is no such part."),
    (422, "It was understood, and cannot be."),
    (429, "This was asked too often."),
    (500, "Something is wrong with the service."),
    (503, "The database or the store does not answer."),
    (507, "The disk is full."),
];

/// Returns the statuses of 400 and above that an operation may answer with.
fn refusals(operation: &Operation) -> impl Iterator<Item = u16> {
    let (is_change, takes, media) = (operation.method != "GET", operation.takes, operation.media);
    let has_query = !operation.query.is_empty();
    let operation = *operation;
    REFUSALS.iter().map(|(status, _)| *status).filter(move |status| match status {
        409 | 507 => is_change,
        412 => operation.is_conditional,
        413 => takes.is_some(),
        415 => takes.is_some_and(|schema| schema != BYTES),
        416 => media.is_some(),
        422 => is_change || has_query || operation.is_paged,
        _ => true,
    })
}

fn described(operation: &Operation) -> Value {
    let mut parameters: Vec<Value> = parameters(operation.path).map(in_path).collect();
    parameters.extend(operation.query.iter().map(in_query));
    if operation.is_conditional {
        parameters.push(json!({ "$ref": "#/components/parameters/IfMatch" }));
    }
    if operation.is_paged {
        parameters.push(json!({ "$ref": "#/components/parameters/Cursor" }));
        parameters.push(json!({ "$ref": "#/components/parameters/Limit" }));
    }
    if permission(operation).is_some_and(|permission| is_keyed(operation, permission)) {
        parameters.push(json!({ "$ref": "#/components/parameters/IdempotencyKey" }));
    }
    let mut answers = Map::new();
    let is_tagged = operation.method == "GET" && operation.gives.is_some();
    let or = operation.or.iter().copied().chain(is_tagged.then_some(304));
    for status in std::iter::once(operation.status).chain(or) {
        answers.insert(status.to_string(), answer(operation, status));
    }
    for status in refusals(operation) {
        let reference = format!("#/components/responses/{status}");
        answers.entry(status.to_string()).or_insert(json!({ "$ref": reference }));
    }
    let mut described = json!({
        "operationId": operation_id(operation),
        "tags": [operation.path.split('/').nth(3).unwrap_or_default()],
        "summary": operation.summary,
        "parameters": parameters,
        "responses": answers,
    });
    if let Some(schema) = operation.takes {
        let content =
            if schema == BYTES { json!({ "application/octet-stream": { "schema": {} } }) } else { content(schema) };
        described["requestBody"] = json!({ "required": !operation.is_body_optional, "content": content });
    }
    if permission(operation) != Some(Permission::Read) {
        described["security"] = json!([{ "token": [] }]);
    }
    described
}

fn is_keyed(operation: &Operation, permission: Permission) -> bool {
    let method = Method::from_bytes(operation.method.as_bytes());
    method.is_ok_and(|method| idempotency::is_taken(&method, operation.path, permission))
}

fn answer(operation: &Operation, status: u16) -> Value {
    let words = match status {
        201 => "It is made.",
        204 => "There is nothing.",
        304 => "It is the same still.",
        206 => "The part that was asked for.",
        _ => "It is done.",
    };
    let mut answer = json!({ "description": words });
    if matches!(status, 204 | 304) {
        return answer;
    }
    if operation.is_paged {
        let link = "`<ADDRESS>; rel=\"next\"`: the next page. The last has none.";
        answer["headers"]["Link"] = json!({ "description": link, "schema": { "type": "string" } });
    }
    if operation.method == "GET" && operation.gives.is_some() {
        let tag = "What `If-None-Match` and `If-Match` take: it is another when the answer is.";
        answer["headers"]["ETag"] = json!({ "description": tag, "schema": { "type": "string" } });
    }
    if let Some(schema) = operation.gives {
        answer["content"] = content(schema);
    } else if let Some(media) = operation.media {
        answer["content"] = json!({ media: { "schema": {} } });
    }
    answer
}

/// Returns a name for generated clients: `get_builds_by_build`.
fn operation_id(operation: &Operation) -> String {
    let mut name = operation.method.to_lowercase();
    for part in operation.path.trim_start_matches("/api/v1/").split('/') {
        match part.strip_prefix('{') {
            Some(variable) => name += &format!("_by_{}", variable.trim_end_matches('}')),
            None => name += &format!("_{}", part.replace(['-', '.'], "_")),
        }
    }
    name
}

fn in_path(name: &str) -> Value {
    let schema = match name {
        "build" | "task" | "release" | "repository" | "key" | "session" | "right" | "webhook" | "delivery"
        | "identity" | "token" | "number" => json!({ "type": "integer", "format": "int64" }),
        "sha256" => json!({ "type": "string", "pattern": "^[0-9a-f]{64}$" }),
        _ => json!({ "type": "string", "minLength": 1 }),
    };
    json!({ "name": name, "in": "path", "required": true, "schema": schema })
}

fn in_query(parameter: &Parameter) -> Value {
    let schema = match parameter.kind {
        Kind::Number => json!({ "type": "integer", "format": "int64", "minimum": i64::MIN, "maximum": i64::MAX }),
        Kind::Offset => json!({ "type": "integer", "format": "int64", "minimum": 0, "maximum": i64::MAX }),
        Kind::Text => json!({ "type": "string" }),
        Kind::Flag => json!({ "type": "boolean" }),
        Kind::Words(words) => json!({ "type": "string", "enum": words }),
        Kind::Moment => json!({ "type": "string", "format": "date-time" }),
    };
    json!({ "name": parameter.name, "in": "query", "required": parameter.is_required, "schema": schema })
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

    #[test]
    fn the_words_that_may_be_asked_for_are_those_that_there_are() {
        fn names<T: Copy>(all: &[T], name: fn(T) -> &'static str) -> Vec<&'static str> {
            all.iter().map(|one| name(*one)).collect()
        }
        assert_eq!(names(&task_log::LogName::ALL, task_log::LogName::name), operations::LOG_NAMES);
        assert_eq!(names(&artifact::Kind::ALL, artifact::Kind::name), operations::ARTIFACT_KINDS);
        assert_eq!(names(&build::Status::ALL, build::Status::name), operations::BUILD_STATUSES);
        assert_eq!(names(&release::Status::ALL, release::Status::name), operations::RELEASE_STATUSES);
        assert_eq!(names(&task::Status::ALL, task::Status::name), operations::TASK_STATUSES);
        assert_eq!(names(&task::Kind::ALL, task::Kind::name), operations::TASK_KINDS);
        assert_eq!(names(&anima_types::Arch::ALL, anima_types::Arch::name), operations::ARCHITECTURES);
    }

    #[test]
    fn what_webhooks_are_sent_is_described() {
        let described = description().unwrap();

        let body = &described["webhooks"]["event"]["post"]["requestBody"]["content"]["application/json"]["schema"];
        assert_eq!(body["$ref"], "#/components/schemas/WebhookMessage");
        let properties = described["components"]["schemas"]["WebhookMessage"]["properties"].as_object().unwrap();
        assert_eq!(properties.keys().collect::<Vec<_>>(), ["data", "text", "timestamp", "type"]);
    }

    #[test]
    fn each_operation_has_a_name_of_its_own() {
        let names: Vec<String> = operations().map(operation_id).collect();
        let distinct: BTreeSet<&String> = names.iter().collect();

        assert_eq!(distinct.len(), names.len());
        assert!(distinct.contains(&"get_builds_by_build".to_string()));
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
             is known. The words are [below](#codes); newer masters add to them.\n\n\
             **Repeating.** Reading, reports, pieces of a log, artifacts and pushes may be sent again with the same effect as once. Every other POST that needs a permission takes an\n\
             `Idempotency-Key` of 8 to 128 signs (a random UUID): sent again with the same key and the same body it is done once, and answered as before, with `Idempotency-Replayed: true`, for\n\
             24 h. With another body it is 422 `key_reused`; while it is being done 409 `in_progress`; 409 `outcome_unknown` where the master was stopped in the middle. A key is its caller's own.\n\n\
             **Pages.** Lists that grow take `limit` and `cursor`; where there is more, the answer's `Link: <…>; rel=\"next\"` is the address of the next page.\n\n\
             **Conditions.** JSON answers have an `ETag`; `If-None-Match` is answered with 304 where nothing changed. Changes that say so in the description take `If-Match`, and are 412\n\
             `changed_meanwhile` where somebody else was faster; others with it are not done (400 `no_condition`).\n\n\
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
        page += "\n## Codes\n\n| code | what it means |\n|---|---|\n";
        for (code, sentence) in CODES {
            page += &format!("| `{code}` | {sentence} |\n");
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
