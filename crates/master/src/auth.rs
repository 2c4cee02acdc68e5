//! Who calls, and whether they may. Secrets are known by their SHA-256 only.
//!
//! A caller is known by a token, a lease's secret or a session's cookie, in this order; with none they are nobody in
//! particular. What they may is rights (data), narrowed by their token's scopes; [`Caller::check`] is the one question.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
};

use anima_db::{Connection, Origin, lease::Lease, token::Stored};
use anima_types::{
    account::TEAM_ROLES,
    id::{AccountId, SessionId, TokenId},
    permission::{Permission, Role},
    right::{self, Right, Target, Thing},
    token::Scopes,
};
use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, StatusCode, header::AUTHORIZATION, request::Parts},
};
use rand::Rng as _;
use sha2::{Digest as _, Sha256};

use crate::{
    app::App,
    error::{ApiError, ApiResult},
    session,
};

/// Bits that nobody guesses.
const SECRET_BYTES: usize = 32;
/// When a token was used last is known to the hour: who asks each second does not write each second.
const TOUCH_TOKEN_SECS: f64 = 3_600.0;

/// Tokens of parts of the system that are remembered at most: one for each node of a large installation.
const MAX_SERVICE_TOKENS: usize = 10_000;

/// Who calls.
#[derive(Clone, Debug, PartialEq)]
pub struct Caller {
    /// The account's name, the token's, or the node's.
    pub name: String,
    /// What they are; a person's rights are in `rights`.
    pub role: Role,
    /// What they may, and where.
    pub rights: Vec<Right>,
    /// To what their token is narrowed.
    pub scopes: Scopes,
    /// The account of a person.
    pub account: Option<AccountId>,
    /// Through what they call.
    pub via: Via,
    /// Their token is good for the node of its name only.
    pub is_of_node: bool,
    /// From where.
    pub address: Option<IpAddr>,
    /// What they ask for: method and path.
    pub request: String,
    /// The lease whose secret was sent, whether it still holds or not.
    pub lease: Option<Lease>,
}

/// Through what somebody calls.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Via {
    /// Nothing was sent.
    Nothing,
    /// A lease's secret.
    Lease,
    /// A token.
    Token(TokenId),
    /// A session's cookie.
    Session(SessionId),
}

impl Caller {
    /// Returns nobody in particular.
    pub fn anonymous() -> Caller {
        Caller::of_role(Role::Anonymous, "anonymous".to_string(), Via::Nothing)
    }

    fn of_role(role: Role, name: String, via: Via) -> Caller {
        Caller {
            name,
            role,
            rights: vec![Right::everywhere(role)],
            scopes: Scopes::default(),
            account: None,
            via,
            is_of_node: false,
            address: None,
            request: String::new(),
            lease: None,
        }
    }

    /// Decides whether the caller may do something with all of these things; with none, with the system as a whole.
    pub fn check(&self, permission: Permission, targets: &[Target]) -> ApiResult<()> {
        if !right::allow(&self.rights, permission, targets) {
            return Err(self.denied(permission, targets));
        }
        if !self.scopes.cover(permission, targets) {
            return Err(self.too_narrow(permission));
        }
        Ok(())
    }

    /// Decides whether there is anything with which the caller may do it: who may nowhere learns nothing of what is there.
    pub fn check_somewhere(&self, permission: Permission) -> ApiResult<()> {
        if !right::allow_somewhere(&self.rights, permission) {
            return Err(self.denied(permission, &[]));
        }
        if !self.scopes.has(permission) {
            return Err(self.too_narrow(permission));
        }
        Ok(())
    }

    /// Returns whether the caller may do it with everything, so that nobody has to look what it is about.
    pub fn may_everywhere(&self, permission: Permission) -> bool {
        self.check(permission, &[]).is_ok()
    }

    /// Returns the account of a person; nobody else has anything of their own.
    pub fn person(&self) -> ApiResult<AccountId> {
        self.account.ok_or_else(|| {
            ApiError::new(StatusCode::FORBIDDEN, "no_person", format!("{} is no person with an account", self.name))
                .hint("Sign in, or send the token of an account.")
        })
    }

    /// Decides whether the caller may change what lets them in: password, tokens, sessions, identities. A token that is
    /// narrowed to something may not, whatever it is: with a password it would be the whole account.
    pub fn check_unnarrowed(&self) -> ApiResult<()> {
        if self.scopes.is_all() {
            return Ok(());
        }
        let message =
            format!("this token of {} is narrowed, and changes nothing that lets {} in", self.name, self.name);
        Err(ApiError::new(StatusCode::FORBIDDEN, "out_of_scope", message).hint("Sign in, and do it there."))
    }

    fn too_narrow(&self, permission: Permission) -> ApiError {
        let message = format!("this token of {} is narrowed, and not for \"{}\" here", self.name, permission.name());
        ApiError::new(StatusCode::FORBIDDEN, "out_of_scope", message).hint("Use another token, or sign in.")
    }

    fn denied(&self, permission: Permission, targets: &[Target]) -> ApiError {
        let what = permission.name();
        if self.role == Role::Anonymous {
            return ApiError::new(
                StatusCode::UNAUTHORIZED,
                "token_needed",
                format!("this needs somebody who may \"{what}\""),
            )
            .hint("Sign in, or send `Authorization: Bearer TOKEN`; on the command line, `anima login`, --token or ANIMA_TOKEN.");
        }
        let about = targets.iter().filter_map(|target| target.first()).map(Thing::to_string).collect::<Vec<_>>();
        let about = if about.is_empty() { String::new() } else { format!(" with {}", about.join(", ")) };
        let who = match self.role {
            Role::Person => self.name.clone(),
            role => format!("{} is a {} and", self.name, role.name()),
        };
        ApiError::new(StatusCode::FORBIDDEN, "forbidden", format!("{who} may not \"{what}\"{about}"))
    }
}

impl From<&Caller> for Origin {
    fn from(caller: &Caller) -> Origin {
        let is_service = caller.role.is_of_service();
        let via = match caller.via {
            // What nodes and other parts do stands in the events of their tasks.
            _ if is_service => None,
            Via::Nothing => Some("nothing".to_string()),
            Via::Lease => None,
            Via::Token(id) => Some(format!("token:{id}")),
            Via::Session(id) => Some(format!("session:{id}")),
        };
        Origin {
            actor: caller.name.clone(),
            address: via.as_ref().and(caller.address).map(|address| address.to_string()),
            request: via.as_ref().map(|_| caller.request.clone()),
            via,
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Caller, ApiError> {
        // The route's check has put it there; without that check nobody comes so far.
        parts.extensions.get::<Caller>().cloned().ok_or_else(|| ApiError::internal("a route is without a check"))
    }
}

/// A caller of a route whose body says what it is about: before that was checked, they can do nothing.
#[derive(Clone, Debug)]
pub struct Unchecked {
    caller: Caller,
    permission: Permission,
}

impl Unchecked {
    pub(crate) const fn new(caller: Caller, permission: Permission) -> Unchecked {
        Unchecked { caller, permission }
    }

    /// Decides whether they may do with these things what the route is for.
    pub fn about(self, targets: &[Target]) -> ApiResult<Caller> {
        self.caller.check(self.permission, targets)?;
        Ok(self.caller)
    }
}

impl<S: Sync> FromRequestParts<S> for Unchecked {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Unchecked, ApiError> {
        parts.extensions.get::<Unchecked>().cloned().ok_or_else(|| ApiError::internal("a route is without a check"))
    }
}

/// Who sent a request, and the secret of their session, where they have one.
#[derive(Debug)]
pub struct Known {
    /// Who.
    pub caller: Caller,
    /// What forms are protected with.
    pub form_secret: Option<String>,
}

/// Returns who sent the request. A token that nobody has is refused, so that a typing error is not taken for a guest; a
/// cookie that is over is not, as browsers send it for long.
pub async fn caller(app: &App, headers: &HeaderMap) -> ApiResult<Known> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else { return session::caller(app, headers).await };
    let secret = value.to_str().ok().and_then(bearer).filter(|_| values.next().is_none());
    let secret = secret.ok_or_else(|| {
        ApiError::new(StatusCode::UNAUTHORIZED, "bad_token", "the Authorization header is not one \"Bearer TOKEN\"")
    })?;
    let caller = of_secret(app, secret.trim()).await?;
    Ok(Known { caller, form_secret: None })
}

/// Returns the token of a header's value. The word before it is written in whatever case
/// ([RFC 9110, 11.1](https://www.rfc-editor.org/rfc/rfc9110#section-11.1)).
fn bearer(value: &str) -> Option<&str> {
    value.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("Bearer")).map(|(_, token)| token)
}

/// Tokens of parts of the system by their hashes: a node asks often, and need not be looked up each time. They are forgotten
/// when any token is made or revoked; what another master revokes counts here as soon as its event is heard of.
#[derive(Debug, Default)]
pub struct ServiceTokens(Mutex<(u64, HashMap<String, Stored>)>);

impl ServiceTokens {
    fn get(&self, changes: u64, hash: &str) -> Option<Stored> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.0 != changes {
            *known = (changes, HashMap::new());
        }
        known.1.get(hash).cloned()
    }

    /// Keeps what was found after there had been so many changes.
    fn put(&self, changes: u64, hash: &str, found: &Stored) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.0 == changes && known.1.len() < MAX_SERVICE_TOKENS {
            known.1.insert(hash.to_string(), found.clone());
        }
    }
}

async fn of_secret(app: &App, secret: &str) -> ApiResult<Caller> {
    let hash = hash(secret);
    let changes = app.db.token_changes();
    if let Some(found) = app.service_tokens.get(changes, &hash) {
        return of_token(app, found).await;
    }
    let mut read = app.db.read().await?;
    let Some(found) = anima_db::token::find(&mut read, &hash).await? else {
        let lease = anima_db::lease::find(&mut read, &hash).await?.ok_or_else(unknown)?;
        let caller = Caller::of_role(Role::Lease, lease.node.clone(), Via::Lease);
        return Ok(Caller { lease: Some(lease), ..caller });
    };
    drop(read);
    if found.account.is_none() {
        app.service_tokens.put(changes, &hash, &found);
    }
    of_token(app, found).await
}

async fn of_token(app: &App, found: Stored) -> ApiResult<Caller> {
    let token = found.token;
    if token.expires_at.is_some_and(|at| at <= app.now()) {
        return Err(ApiError::new(StatusCode::UNAUTHORIZED, "token_expired", "this token's time is over")
            .hint("Make another with `anima token create`, or sign in with `anima login`."));
    }
    let caller = match found.account {
        None => Caller::of_role(token.role, token.name, Via::Token(token.id)),
        Some(account) => {
            let mut read = app.db.read().await?;
            person(&mut read, account, Via::Token(token.id)).await?.ok_or_else(unknown)?
        }
    };
    if caller.account.is_some() && token.used_at.is_none_or(|used_at| app.now().secs_since(used_at) >= TOUCH_TOKEN_SECS)
    {
        let mut write = app.db.write(app.now(), "anima").await?;
        anima_db::token::touch(&mut write, token.id).await?;
        write.commit().await?;
    }
    Ok(Caller { scopes: token.scopes, is_of_node: found.is_of_node, ..caller })
}

fn unknown() -> ApiError {
    ApiError::new(StatusCode::UNAUTHORIZED, "bad_token", "this token is not known here")
        .hint("It was revoked, or belongs to another installation; make one with `anima token create`.")
}

/// Returns a person as a caller, or nothing where the account is disabled.
pub async fn person(read: &mut Connection, id: AccountId, via: Via) -> ApiResult<Option<Caller>> {
    let account = anima_db::account::by_id(read, id).await?;
    if account.is_disabled {
        return Ok(None);
    }
    let rights = rights_of(read, id).await?;
    let caller = Caller::of_role(Role::Person, account.name, via);
    Ok(Some(Caller { rights, account: Some(id), ..caller }))
}

/// Returns what an account may: what everybody with one may, what it and its teams were given, and what its teams may
/// with their own products.
pub async fn rights_of(read: &mut Connection, account: AccountId) -> ApiResult<Vec<Right>> {
    let mut rights = vec![Right::everywhere(Role::Person)];
    rights.extend(anima_db::right::of_account(read, account).await?.into_iter().map(|given| given.right));
    let teams = anima_db::team::of_account(read, account).await?;
    for (_, product) in anima_db::team::products(read, &teams).await? {
        rights.extend(TEAM_ROLES.map(|role| Right { role, on: Some(Thing::Product(product.clone())) }));
    }
    Ok(rights)
}

/// Decides whether a lease's holder asks for the lease's own task; `task` is the one in the address.
pub fn check_lease(caller: &Caller, task: Option<&str>) -> ApiResult<()> {
    // A lease is good for its own task only.
    let is_own = |lease: &Lease| task.is_some_and(|task| task == lease.task.to_string());
    match caller.lease.as_ref().is_some_and(is_own) {
        true => Ok(()),
        false => Err(ApiError::new(StatusCode::FORBIDDEN, "forbidden", "this lease is for another task")),
    }
}

/// Returns a new secret and its hash.
pub fn new_secret() -> (String, String) {
    let mut bytes = [0; SECRET_BYTES];
    rand::rng().fill_bytes(&mut bytes);
    let secret = hex::encode(bytes);
    let hash = hash(&secret);
    (secret, hash)
}

/// Returns what a secret is known by.
pub fn hash(secret: &str) -> String {
    hex::encode(Sha256::digest(secret.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use anima_types::id::TaskId;

    fn caller(role: Role) -> Caller {
        Caller::of_role(role, "x".into(), Via::Nothing)
    }

    #[test]
    fn a_lease_is_good_for_its_own_task_and_nothing_else() {
        let lease = Lease { task: TaskId(7), number: 1, node: "n".into() };
        let holder = Caller { lease: Some(lease), ..caller(Role::Lease) };

        assert!(holder.check(Permission::HoldLease, &[]).is_ok());
        assert!(check_lease(&holder, Some("7")).is_ok());
        assert!(check_lease(&holder, Some("8")).is_err());
        assert!(check_lease(&holder, Some("07")).is_err());
        assert!(check_lease(&holder, None).is_err());
        assert!(holder.check(Permission::Build, &[]).is_err());
    }

    #[test]
    fn who_sent_no_token_is_told_that_one_is_needed_and_who_sent_a_wrong_one_that_it_may_not() {
        assert_eq!(caller(Role::Anonymous).check(Permission::Build, &[]).unwrap_err().status, StatusCode::UNAUTHORIZED);
        assert_eq!(caller(Role::TestNode).check(Permission::Build, &[]).unwrap_err().status, StatusCode::FORBIDDEN);
    }

    #[test]
    fn scopes_narrow_what_rights_allow_and_never_widen_it() {
        let scopes = Scopes { permissions: [Permission::Build, Permission::Configure].into(), ..Scopes::default() };
        let narrowed = Caller { scopes, ..caller(Role::Contributor) };

        assert!(narrowed.check(Permission::Build, &[]).is_ok());
        assert_eq!(narrowed.check(Permission::Push, &[]).unwrap_err().body.code, "out_of_scope");
        assert_eq!(narrowed.check(Permission::Configure, &[]).unwrap_err().body.code, "forbidden");
    }

    #[test]
    fn what_is_about_something_cannot_be_done_before_that_was_checked() {
        let rights = vec![Right { role: Role::Contributor, on: Some(Thing::Platform("a".into())) }];
        let unchecked = Unchecked::new(Caller { rights, ..caller(Role::Person) }, Permission::Build);

        assert!(unchecked.clone().about(&[vec![Thing::Platform("a".into())]]).is_ok());
        assert!(unchecked.clone().about(&[vec![Thing::Platform("b".into())]]).is_err());
        assert!(unchecked.about(&[]).is_err());
    }

    #[test]
    fn a_token_is_remembered_until_any_is_made_or_revoked() {
        let found = Stored {
            token: anima_types::token::Token {
                id: TokenId(1),
                name: "n1".into(),
                role: Role::BuildNode,
                account: None,
                scopes: Scopes::default(),
                created_at: anima_types::Timestamp(0),
                expires_at: None,
                used_at: None,
            },
            account: None,
            is_of_node: true,
        };
        let known = ServiceTokens::default();
        assert!(known.get(7, "a").is_none());
        known.put(7, "a", &found);

        assert!(known.get(7, "a").is_some() && known.get(7, "b").is_none());
        assert!(known.get(8, "a").is_none(), "something changed");
        known.put(7, "a", &found);
        assert!(known.get(8, "a").is_none(), "it was found before the change");
    }

    #[test]
    fn secrets_differ() {
        assert_ne!(new_secret().0, new_secret().0);
        assert_eq!(new_secret().0.len(), SECRET_BYTES * 2);
    }
}
