//! Methods for routes of `/api/v1`, one for each, in the order of the reference; those of a noun that has more to it are in files
//! of their own.

use std::time::Duration;

use anima_types::{
    Sha256,
    account::{Account, AccountDetail, CreateAccount, CreateTeam, SetPassword, SignIn, Team},
    artifact::Artifact,
    audit::{self, Entry},
    build::{Build, BuildDetail, CreateBuild, ListQuery},
    build_plan::{BuildPlan, CreateBuildPlan},
    enrolment::{CreateEnrolment, CreatedEnrolment, RedeemEnrolment},
    event::Event,
    id::{BuildId, EventId, IdentityId, KeyId, ReleaseId, RepositoryId, RightId, TaskId, TokenId},
    identity::{BeginDevice, Device, Identity, LinkIdentity, RedeemDevice},
    key::{CreateKey, Key, KeyDetail, RevokeKey, RotateKey},
    key_policy::Policy,
    node::{DrainNode, Node},
    package::{PackageDetail, PackageSummary},
    platform::Platform,
    product::{CreateProduct, Product},
    push::{GitChanges, Push, PushAnswer},
    release::{self, CommitRelease, CreateRelease, EditRelease, ListedRelease, Release, ScheduleRelease},
    repository::{Attachment, Repository, RepositoryPackage, Snapshot},
    repository_diff::{self, RepositoryDiff},
    retention::{Collection, Pin, RepositorySettings},
    right::{GiveRight, GivenRight},
    signature::{self, Approve, Record, SignFile},
    task::Task,
    task_log::{LogFound, LogId, LogName},
    token::{CreateToken, CreatedToken, Token, Whoami},
    why::{ReleaseWhy, Why},
};
use bytes::Bytes;
use reqwest::Method;
use serde::Serialize;

use crate::{
    error::Error,
    http::{Client, segment},
};

/// The answer to somebody who waits is this late at most after the time that they wanted to wait.
const DEVICE_ANSWER: Duration = Duration::from_secs(10);

/// Builds, and entries of the audit, that are read where nothing is said: a screen of them.
const BUILDS: u32 = 50;
const ENTRIES: u32 = 100;

/// No query.
const NONE: &[(&str, &str); 0] = &[];

/// A signature, or a text with one around it, is at most so long.
const MAX_SMALL_BYTES: u64 = 4 << 20;

/// A package's header is at most so long: RPM's own bound.
const MAX_HEADER_BYTES: u64 = 256 * 1024 * 1024;

#[derive(Serialize)]
struct RepositoryQuery<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    product: Option<&'a str>,
}

#[derive(Serialize)]
struct SearchQuery<'a> {
    q: &'a str,
    regex: bool,
    from_line: u64,
    name: LogName,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<i64>,
}

#[derive(Serialize)]
struct EventQuery {
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<EventId>,
    limit: u32,
}

/// Builds and their tasks.
impl Client {
    /// Starts a build.
    pub async fn create_build(&self, wanted: &CreateBuild) -> Result<Build, Error> {
        self.post("api/v1/builds", wanted).await
    }

    /// Returns builds, newest first.
    pub async fn builds(&self, query: &ListQuery) -> Result<Vec<Build>, Error> {
        self.list("api/v1/builds", query, Some(query.limit.unwrap_or(BUILDS))).await
    }

    /// Returns a build with its tasks.
    pub async fn build(&self, build: BuildId) -> Result<BuildDetail, Error> {
        self.get(&format!("api/v1/builds/{build}"), NONE).await
    }

    /// Stops a build.
    pub async fn cancel_build(&self, build: BuildId) -> Result<(), Error> {
        self.act(Method::POST, &format!("api/v1/builds/{build}/cancel")).await
    }

    /// Drops what a build made.
    pub async fn delete_build(&self, build: BuildId) -> Result<(), Error> {
        self.act(Method::DELETE, &format!("api/v1/builds/{build}")).await
    }

    /// Tries again what failed in a build.
    pub async fn restart_build(&self, build: BuildId) -> Result<(), Error> {
        self.act(Method::POST, &format!("api/v1/builds/{build}/restart")).await
    }

    /// Returns a task.
    pub async fn task(&self, task: TaskId) -> Result<Task, Error> {
        self.get(&format!("api/v1/tasks/{task}"), NONE).await
    }

    /// Returns the lines of one of a task's logs from `from_line` on that have a text, or fit a regular expression.
    pub async fn search_log(&self, log: LogId, text: &str, is_regex: bool, from_line: u64) -> Result<LogFound, Error> {
        let LogId { task, name, attempt } = log;
        let query = SearchQuery { q: text, regex: is_regex, from_line, name, attempt };
        self.get(&format!("api/v1/tasks/{task}/log/search"), &query).await
    }

    /// Returns why a task stands where it stands.
    pub async fn why(&self, task: TaskId) -> Result<Why, Error> {
        self.get(&format!("api/v1/tasks/{task}/why"), NONE).await
    }

    /// Returns what a build would do.
    pub async fn plan_build(&self, wanted: &CreateBuildPlan) -> Result<BuildPlan, Error> {
        self.post("api/v1/build-plans", wanted).await
    }

    /// Stops a task.
    pub async fn cancel_task(&self, task: TaskId) -> Result<(), Error> {
        self.act(Method::POST, &format!("api/v1/tasks/{task}/cancel")).await
    }

    /// Tries a task again.
    pub async fn restart_task(&self, task: TaskId) -> Result<(), Error> {
        self.act(Method::POST, &format!("api/v1/tasks/{task}/restart")).await
    }

    /// Returns a package's header, which is what is signed.
    pub async fn artifact_header(&self, sha256: Sha256) -> Result<Bytes, Error> {
        let call = self.call(Method::GET, &format!("api/v1/artifacts/{sha256}/header"));
        let what = call.what.clone();
        let response = self.send(call).await?;
        self.read(&what, response, MAX_HEADER_BYTES).await
    }

    /// Returns a small artifact.
    pub async fn artifact(&self, sha256: Sha256) -> Result<Bytes, Error> {
        let call = self.call(Method::GET, &format!("api/v1/artifacts/{sha256}"));
        let what = call.what.clone();
        let response = self.send(call).await?;
        self.read(&what, response, MAX_SMALL_BYTES).await
    }

    /// Returns the whole address of an artifact.
    pub fn artifact_url(&self, artifact: &Artifact) -> String {
        format!("{}api/v1/artifacts/{}", self.base_url(), artifact.sha256)
    }

    /// Returns what happened after an event, at most `limit` of it.
    pub async fn events_after(&self, after: Option<EventId>, limit: u32) -> Result<Vec<Event>, Error> {
        self.list("api/v1/events/list", &EventQuery { after, limit }, Some(limit)).await
    }
}

/// What is built, and for whom.
impl Client {
    /// Returns all platforms.
    pub async fn platforms(&self) -> Result<Vec<Platform>, Error> {
        self.get("api/v1/platforms", NONE).await
    }

    /// Returns a platform.
    pub async fn platform(&self, name: &str) -> Result<Platform, Error> {
        self.get(&format!("api/v1/platforms/{}", segment(name)), NONE).await
    }

    /// Returns all products.
    pub async fn products(&self) -> Result<Vec<Product>, Error> {
        self.list("api/v1/products", NONE, None).await
    }

    /// Returns a product.
    pub async fn product(&self, name: &str) -> Result<Product, Error> {
        self.get(&format!("api/v1/products/{}", segment(name)), NONE).await
    }

    /// Makes a product with its repositories.
    pub async fn create_product(&self, wanted: &CreateProduct) -> Result<Product, Error> {
        self.post("api/v1/products", wanted).await
    }

    /// Changes what a product says of itself.
    pub async fn change_product(&self, wanted: &CreateProduct) -> Result<Product, Error> {
        self.put_json(&format!("api/v1/products/{}", segment(&wanted.name)), wanted).await
    }

    /// Returns the repositories of one product, or of all.
    pub async fn repositories(&self, product: Option<&str>) -> Result<Vec<Repository>, Error> {
        self.list("api/v1/repositories", &RepositoryQuery { product }, None).await
    }

    /// Returns a repository.
    pub async fn repository(&self, repository: RepositoryId) -> Result<Repository, Error> {
        self.get(&format!("api/v1/repositories/{repository}"), NONE).await
    }

    /// Returns a repository's snapshots.
    pub async fn snapshots(&self, repository: RepositoryId) -> Result<Vec<Snapshot>, Error> {
        self.list(&format!("api/v1/repositories/{repository}/snapshots"), NONE, None).await
    }

    /// Compares two snapshots.
    pub async fn repository_diff(&self, wanted: &repository_diff::Query) -> Result<RepositoryDiff, Error> {
        self.get("api/v1/repository-diff", wanted).await
    }

    /// Returns how a repository is kept.
    pub async fn repository_settings(&self, repository: RepositoryId) -> Result<RepositorySettings, Error> {
        self.get(&format!("api/v1/repositories/{repository}/settings"), NONE).await
    }

    /// Says how a repository's metadata is packed and which of its snapshots stay.
    pub async fn set_repository(
        &self,
        repository: RepositoryId,
        wanted: &RepositorySettings,
    ) -> Result<RepositorySettings, Error> {
        let call = self.call(Method::PUT, &format!("api/v1/repositories/{repository}/settings"));
        self.json(call.json(wanted)).await
    }

    /// Lets a snapshot stay whatever the rule says.
    pub async fn pin(&self, repository: RepositoryId, number: i64, reason: &str) -> Result<(), Error> {
        let call = self.call(Method::PUT, &format!("api/v1/repositories/{repository}/snapshots/{number}/pin"));
        self.send(call.json(&Pin { reason: reason.to_string() })).await.map(drop)
    }

    /// Lets a snapshot go when its rule says so.
    pub async fn unpin(&self, repository: RepositoryId, number: i64) -> Result<(), Error> {
        self.act(Method::DELETE, &format!("api/v1/repositories/{repository}/snapshots/{number}/pin")).await
    }

    /// Returns what a repository has beside the metadata of its packages.
    pub async fn attachments(&self, repository: RepositoryId) -> Result<Vec<Attachment>, Error> {
        self.get(&format!("api/v1/repositories/{repository}/attachments"), NONE).await
    }

    /// Gives a repository metadata of a kind from its next snapshot on: an open file and its name.
    pub async fn attach(
        &self,
        repository: RepositoryId,
        kind: &str,
        name: &str,
        content: Vec<u8>,
    ) -> Result<Attachment, Error> {
        let path = format!("api/v1/repositories/{repository}/attachments/{}", segment(kind));
        self.json(self.call(Method::PUT, &path).query(&[("name", name)]).body(content)).await
    }

    /// Takes such metadata away from the next snapshot on.
    pub async fn detach(&self, repository: RepositoryId, kind: &str) -> Result<(), Error> {
        self.act(Method::DELETE, &format!("api/v1/repositories/{repository}/attachments/{}", segment(kind))).await
    }

    /// Says what would be dropped, and why.
    pub async fn garbage(&self) -> Result<Collection, Error> {
        self.get("api/v1/store/garbage", NONE).await
    }

    /// Drops what nothing names.
    pub async fn collect(&self) -> Result<Collection, Error> {
        self.json(self.call(Method::POST, "api/v1/store/collect")).await
    }

    /// Returns the packages that users see in a repository.
    pub async fn repository_packages(&self, repository: RepositoryId) -> Result<Vec<RepositoryPackage>, Error> {
        self.list(&format!("api/v1/repositories/{repository}/packages"), NONE, None).await
    }

    /// Returns all packages that were ever pushed or built.
    pub async fn packages(&self) -> Result<Vec<PackageSummary>, Error> {
        self.list("api/v1/packages", NONE, None).await
    }

    /// Returns a package with its builds.
    pub async fn package(&self, name: &str) -> Result<PackageDetail, Error> {
        self.get(&format!("api/v1/packages/{}", segment(name)), NONE).await
    }

    /// Tells of a push. It is safe to tell twice.
    pub async fn report_push(&self, push: &Push) -> Result<PushAnswer, Error> {
        self.post("api/v1/pushes", push).await
    }

    /// Tells of what else somebody changed in the Git Service.
    pub async fn report_git_changes(&self, changes: &GitChanges) -> Result<(), Error> {
        self.tell("api/v1/git-changes", changes).await
    }
}

/// Releases.
impl Client {
    /// Begins to plan a release.
    pub async fn create_release(&self, wanted: &CreateRelease) -> Result<Release, Error> {
        self.post("api/v1/releases", wanted).await
    }

    /// Returns all releases, newest first.
    pub async fn releases(&self, query: &release::ListQuery, limit: u32) -> Result<Vec<ListedRelease>, Error> {
        self.list("api/v1/releases", query, Some(limit)).await
    }

    /// Returns a release with its plan.
    pub async fn release(&self, release: ReleaseId) -> Result<Release, Error> {
        self.get(&format!("api/v1/releases/{release}"), NONE).await
    }

    /// Returns why a release stands where it stands.
    pub async fn release_why(&self, release: ReleaseId) -> Result<ReleaseWhy, Error> {
        self.get(&format!("api/v1/releases/{release}/why"), NONE).await
    }

    /// Returns the tasks of a release.
    pub async fn release_tasks(&self, release: ReleaseId) -> Result<Vec<Task>, Error> {
        self.list(&format!("api/v1/releases/{release}/tasks"), NONE, None).await
    }

    /// Decides that a planned release goes to users.
    pub async fn commit_release(&self, release: ReleaseId, said: &CommitRelease) -> Result<Release, Error> {
        self.post(&format!("api/v1/releases/{release}/commit"), said).await
    }

    /// Decides that a planned release goes to users although a gate blocks it.
    pub async fn force_release(&self, release: ReleaseId, said: &CommitRelease) -> Result<Release, Error> {
        self.post(&format!("api/v1/releases/{release}/force"), said).await
    }

    /// Lets packages of a plan go elsewhere.
    pub async fn edit_release(&self, release: ReleaseId, wanted: &EditRelease) -> Result<Release, Error> {
        self.post(&format!("api/v1/releases/{release}/edit"), wanted).await
    }

    /// Says that a plan is good.
    pub async fn approve_release(&self, release: ReleaseId, said: &CommitRelease) -> Result<Release, Error> {
        self.post(&format!("api/v1/releases/{release}/approve"), said).await
    }

    /// Decides that a planned release goes to users at a time.
    pub async fn schedule_release(&self, release: ReleaseId, wanted: &ScheduleRelease) -> Result<Release, Error> {
        self.post(&format!("api/v1/releases/{release}/schedule"), wanted).await
    }

    /// Takes that time back.
    pub async fn unschedule_release(&self, release: ReleaseId) -> Result<(), Error> {
        self.act(Method::POST, &format!("api/v1/releases/{release}/unschedule")).await
    }

    /// Throws a plan away.
    pub async fn abandon_release(&self, release: ReleaseId) -> Result<(), Error> {
        self.act(Method::POST, &format!("api/v1/releases/{release}/abandon")).await
    }

    /// Takes a release back.
    pub async fn revert_release(&self, release: ReleaseId) -> Result<(), Error> {
        self.act(Method::POST, &format!("api/v1/releases/{release}/revert")).await
    }

    /// Plans a release anew.
    pub async fn replan_release(&self, release: ReleaseId) -> Result<(), Error> {
        self.act(Method::POST, &format!("api/v1/releases/{release}/replan")).await
    }
}

/// Nodes, keys and tokens.
impl Client {
    /// Returns all nodes.
    pub async fn nodes(&self) -> Result<Vec<Node>, Error> {
        self.list("api/v1/nodes", NONE, None).await
    }

    /// Lets a node take no more tasks.
    pub async fn drain_node(&self, node: &str, wanted: &DrainNode) -> Result<Node, Error> {
        self.post(&format!("api/v1/nodes/{node}/drain"), wanted).await
    }

    /// Lets a node take tasks again.
    pub async fn undrain_node(&self, node: &str) -> Result<Node, Error> {
        self.post(&format!("api/v1/nodes/{node}/undrain"), &()).await
    }

    /// Returns all keys.
    pub async fn keys(&self) -> Result<Vec<Key>, Error> {
        self.list("api/v1/keys", NONE, None).await
    }

    /// Returns a key with what it is used for.
    pub async fn key(&self, key: KeyId) -> Result<KeyDetail, Error> {
        self.get(&format!("api/v1/keys/{key}"), NONE).await
    }

    /// Returns the public key that files of packages are signed by, as PEM.
    pub async fn file_key(&self, key: KeyId) -> Result<String, Error> {
        let call = self.call(Method::GET, &format!("api/v1/keys/{key}/files.pem"));
        let what = call.what.clone();
        let response = self.send(call).await?;
        let bytes = self.read(&what, response, MAX_SMALL_BYTES).await?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Gives a product another key.
    pub async fn rotate_key(&self, product: &str, wanted: &RotateKey) -> Result<Key, Error> {
        self.post(&format!("api/v1/products/{}/key", segment(product)), wanted).await
    }

    /// Takes a key out of trust.
    pub async fn revoke_key(&self, key: KeyId, wanted: &RevokeKey) -> Result<Key, Error> {
        self.post(&format!("api/v1/keys/{key}/revoke"), wanted).await
    }

    /// Says what a key may sign.
    pub async fn set_key_policy(&self, key: KeyId, policy: &Policy) -> Result<Key, Error> {
        self.put_json(&format!("api/v1/keys/{key}/policy"), policy).await
    }

    /// Returns signatures by a key after a number, in the order in which they came; none where there are no more.
    pub async fn key_signatures(&self, key: KeyId, after: i64) -> Result<Vec<Record>, Error> {
        self.list(&format!("api/v1/keys/{key}/signatures"), &signature::ListQuery { after }, None).await
    }

    /// Asks for a small file to be signed with a product's key.
    pub async fn sign_file(&self, product: &str, wanted: &SignFile) -> Result<Task, Error> {
        self.post(&format!("api/v1/products/{}/signed-files", segment(product)), wanted).await
    }

    /// Approves that a sign task signs.
    pub async fn approve_task(&self, task: TaskId, said: &Approve) -> Result<Task, Error> {
        self.post(&format!("api/v1/tasks/{task}/approve"), said).await
    }

    /// Asks the Sign Server for a key.
    pub async fn create_key(&self, wanted: &CreateKey) -> Result<Key, Error> {
        self.post("api/v1/keys", wanted).await
    }

    /// Returns all tokens, without their secrets.
    pub async fn tokens(&self) -> Result<Vec<Token>, Error> {
        self.list("api/v1/tokens", NONE, None).await
    }

    /// Makes a token.
    pub async fn create_token(&self, wanted: &CreateToken) -> Result<CreatedToken, Error> {
        self.post("api/v1/tokens", wanted).await
    }

    /// Revokes a token.
    pub async fn delete_token(&self, token: TokenId) -> Result<(), Error> {
        self.act(Method::DELETE, &format!("api/v1/tokens/{token}")).await
    }

    /// Makes a code with which one node gets its token.
    pub async fn create_enrolment(&self, wanted: &CreateEnrolment) -> Result<CreatedEnrolment, Error> {
        self.post("api/v1/enrolments", wanted).await
    }

    /// Returns a node's token for a code, once.
    pub async fn redeem_enrolment(&self, wanted: &RedeemEnrolment) -> Result<CreatedToken, Error> {
        self.post_as_nobody("api/v1/enrolments/redeem", wanted).await
    }

    /// Signs in with a name and a password, and returns a token. The client needs none.
    pub async fn sign_in(&self, wanted: &SignIn) -> Result<CreatedToken, Error> {
        self.post_as_nobody("api/v1/sign-in", wanted).await
    }

    /// Begins a sign-in with a code that a person types on a page. The client needs no token.
    pub async fn begin_device(&self, wanted: &BeginDevice) -> Result<Device, Error> {
        self.post_as_nobody("api/v1/sign-in/devices", wanted).await
    }

    /// Returns the token, or nothing where the person has said nothing yet.
    pub async fn redeem_device(&self, wanted: &RedeemDevice) -> Result<Option<CreatedToken>, Error> {
        let limit = DEVICE_ANSWER + Duration::from_secs(wanted.wait_secs);
        self.post_waiting("api/v1/sign-in/devices/redeem", wanted, limit).await
    }

    /// Revokes the token that this client has.
    pub async fn revoke_own_token(&self) -> Result<(), Error> {
        self.act(Method::DELETE, "api/v1/tokens/own").await
    }

    /// Returns whose token this client has.
    pub async fn whoami(&self) -> Result<Whoami, Error> {
        self.get("api/v1/tokens/whoami", NONE).await
    }
}

/// People: accounts, teams, rights, and what they did.
impl Client {
    /// Returns all accounts.
    pub async fn accounts(&self) -> Result<Vec<Account>, Error> {
        self.list("api/v1/accounts", NONE, None).await
    }

    /// Makes an account.
    pub async fn create_account(&self, wanted: &CreateAccount) -> Result<Account, Error> {
        self.post("api/v1/accounts", wanted).await
    }

    /// Returns an account with its teams and rights.
    pub async fn account(&self, name: &str) -> Result<AccountDetail, Error> {
        self.get(&format!("api/v1/accounts/{}", segment(name)), NONE).await
    }

    /// Lets who somebody is at a provider sign in as an account.
    pub async fn link_identity(&self, account: &str, wanted: &LinkIdentity) -> Result<Identity, Error> {
        self.post(&format!("api/v1/accounts/{}/identities", segment(account)), wanted).await
    }

    /// Takes an identity away from an account.
    pub async fn unlink_identity(&self, account: &str, identity: IdentityId) -> Result<(), Error> {
        self.act(Method::DELETE, &format!("api/v1/accounts/{}/identities/{identity}", segment(account))).await
    }

    /// Gives an account another password.
    pub async fn set_password(&self, account: &str, wanted: &SetPassword) -> Result<(), Error> {
        let call = self.call(Method::PUT, &format!("api/v1/accounts/{}/password", segment(account)));
        self.send(call.json(wanted)).await.map(drop)
    }

    /// Says whether an account may be used.
    pub async fn set_account_disabled(&self, account: &str, is_disabled: bool) -> Result<Account, Error> {
        let verb = if is_disabled { "disable" } else { "enable" };
        self.post(&format!("api/v1/accounts/{}/{verb}", segment(account)), &()).await
    }

    /// Returns all teams.
    pub async fn teams(&self) -> Result<Vec<Team>, Error> {
        self.list("api/v1/teams", NONE, None).await
    }

    /// Makes a team.
    pub async fn create_team(&self, wanted: &CreateTeam) -> Result<Team, Error> {
        self.post("api/v1/teams", wanted).await
    }

    /// Returns a team.
    pub async fn team(&self, name: &str) -> Result<Team, Error> {
        self.get(&format!("api/v1/teams/{}", segment(name)), NONE).await
    }

    /// Takes a team away.
    pub async fn delete_team(&self, name: &str) -> Result<(), Error> {
        self.act(Method::DELETE, &format!("api/v1/teams/{}", segment(name))).await
    }

    /// Puts an account into a team.
    pub async fn add_member(&self, team: &str, account: &str) -> Result<Team, Error> {
        self.put_json(&format!("api/v1/teams/{}/members/{}", segment(team), segment(account)), &()).await
    }

    /// Takes an account out of a team.
    pub async fn remove_member(&self, team: &str, account: &str) -> Result<(), Error> {
        self.act(Method::DELETE, &format!("api/v1/teams/{}/members/{}", segment(team), segment(account))).await
    }

    /// Returns all rights that were given.
    pub async fn rights(&self) -> Result<Vec<GivenRight>, Error> {
        self.list("api/v1/rights", NONE, None).await
    }

    /// Gives a right.
    pub async fn give_right(&self, wanted: &GiveRight) -> Result<GivenRight, Error> {
        self.post("api/v1/rights", wanted).await
    }

    /// Takes a right away.
    pub async fn take_right(&self, right: RightId) -> Result<(), Error> {
        self.act(Method::DELETE, &format!("api/v1/rights/{right}")).await
    }

    /// Returns who did what, the newest first.
    pub async fn audit(&self, query: &audit::ListQuery) -> Result<Vec<Entry>, Error> {
        self.list("api/v1/audit", query, Some(query.limit.unwrap_or(ENTRIES))).await
    }
}
