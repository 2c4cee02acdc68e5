//! Whose account it is that a provider speaks of, and what it has because of what the provider says.

use std::collections::BTreeSet;

use anima_db::{
    Origin, Write,
    identity::{Granted, Stored},
    right::Holder,
};
use anima_types::{
    account::{Account, CreateAccount, MAX_NAME_CHARS, check_name},
    id::{AccountId, RightId},
    right::{GivenRight, Right},
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};

use super::{MAX_TOLD_CHARS, Oidc, claims::Claims};
use crate::{
    account,
    app::App,
    auth::Caller,
    error::{ApiError, ApiResult},
    right, session,
};

/// Signs somebody in of whom the provider says this; returns the session's cookies.
pub async fn sign_in(
    app: &App,
    oidc: &Oidc,
    caller: &Caller,
    headers: &HeaderMap,
    claims: &Claims,
) -> ApiResult<[HeaderValue; 2]> {
    allowed(oidc, claims)?;
    let mut write = app.db.write(app.now(), origin("anima", caller)).await?;
    let stored = match anima_db::identity::find(&mut write, &oidc.issuer, &claims.subject).await? {
        Some(stored) => stored,
        None => create(&mut write, oidc, claims).await?,
    };
    let account = anima_db::account::by_id(&mut write, stored.account).await?;
    if account.is_disabled {
        let message = format!("account {} is disabled", account.name);
        return Err(ApiError::new(StatusCode::FORBIDDEN, "disabled", message)
            .hint("An administrator may let it be used again: `anima account enable NAME`."));
    }
    let granted = grant(app, &mut write, oidc, claims, &account, stored.granted).await?;
    anima_db::identity::signed_in(&mut write, stored.identity.id, &granted).await?;
    write.origin.actor.clone_from(&account.name);
    anima_db::account::signed_in(&mut write, &account, &format!("by {}", oidc.issuer)).await?;
    let address = caller.address.map(|address| address.to_string());
    let cookies = session::begin(app, &mut write, &account, address.as_deref(), headers).await?;
    write.commit().await?;
    Ok(cookies)
}

/// Links who the provider speaks of to the account of who has signed in.
pub async fn link(app: &App, oidc: &Oidc, caller: &Caller, account: AccountId, claims: &Claims) -> ApiResult<()> {
    allowed(oidc, claims)?;
    let mut write = app.db.write(app.now(), caller).await?;
    let account = anima_db::account::by_id(&mut write, account).await?;
    if let Some(stored) = anima_db::identity::find(&mut write, &oidc.issuer, &claims.subject).await? {
        return match stored.account == account.id {
            true => Ok(()),
            false => Err(taken(oidc)),
        };
    }
    anima_db::identity::insert(&mut write, &account, &oidc.issuer, &claims.subject).await?;
    Ok(write.commit().await?)
}

/// Says that another account is this person's.
pub fn taken(oidc: &Oidc) -> ApiError {
    ApiError::conflict("taken", format!("this person at {} has another account here", oidc.title))
        .hint("An administrator unlinks it there first: `anima account show NAME`, `anima account unlink NAME ID`.")
}

/// What is done because the provider says so is nobody's own doing.
fn origin(actor: &str, caller: &Caller) -> Origin {
    Origin {
        actor: actor.to_string(),
        via: Some("oidc".to_string()),
        address: caller.address.map(|address| address.to_string()),
        request: Some(caller.request.clone()),
    }
}

fn allowed(oidc: &Oidc, claims: &Claims) -> ApiResult<()> {
    let Some(why) = oidc.refusal(claims) else { return Ok(()) };
    Err(ApiError::new(StatusCode::FORBIDDEN, "not_allowed", why)
        .hint(format!("Who minds {} may change that, or sign in as somebody else there.", oidc.title)))
}

/// Makes an account for who is not known yet. A name that somebody has already is not given to who has it elsewhere.
async fn create(write: &mut Write, oidc: &Oidc, claims: &Claims) -> ApiResult<Stored> {
    let subject = &claims.subject;
    let unknown = |why: String| {
        ApiError::new(StatusCode::FORBIDDEN, "unknown_identity", why).hint(format!(
            "If an account here is yours, sign in with its password and link it on its page, or ask an administrator: \
             `anima account link NAME --subject {subject}`."
        ))
    };
    if !oidc.create_accounts {
        return Err(unknown(format!("nobody here is the person that {} speaks of", oidc.title)));
    }
    let wanted = claims.text(&oidc.name_claim).or_else(|| claims.text("email")).unwrap_or(subject);
    let name = plain_name(wanted);
    check_name(&name).map_err(|why| unknown(format!("no account could be made for \"{name}\": {why}")))?;
    if anima_db::account::find(write, &name).await?.is_some() {
        return Err(unknown(format!("an account \"{name}\" is there already, and is not linked to you")));
    }
    let title = claims.text("name").unwrap_or_default();
    let title = title.chars().filter(|c| !c.is_control()).take(MAX_TOLD_CHARS).collect();
    let account = account::make(write, &CreateAccount { name, title, password: None }, None).await?;
    Ok(anima_db::identity::insert(write, &account, &oidc.issuer, subject).await?)
}

/// Returns a name as accounts have it: `Ann@example.org` is `ann`.
fn plain_name(name: &str) -> String {
    let local = name.split('@').next().unwrap_or_default().to_lowercase();
    local.chars().filter(|c| c.is_ascii_alphanumeric() || "-._".contains(*c)).take(MAX_NAME_CHARS).collect()
}

/// Lets an account be in the teams and have the rights that the configuration gives to such people, and no longer in those
/// that it had for that reason before. What people gave stays.
async fn grant(
    app: &App,
    write: &mut Write,
    oidc: &Oidc,
    claims: &Claims,
    account: &Account,
    before: Granted,
) -> ApiResult<Granted> {
    let (mut teams, mut rights) = (BTreeSet::new(), Vec::<Right>::new());
    for grant in oidc.grants(claims) {
        teams.extend(grant.teams.iter().cloned());
        for right in &grant.rights {
            if !rights.contains(right) {
                rights.push(right.clone());
            }
        }
    }
    let teams = grant_teams(write, account, &before, &teams).await?;
    let rights = grant_rights(app, write, account, &before, &rights).await?;
    Ok(Granted { teams, rights })
}

/// Takes away what an account has because of a provider.
pub async fn take_grants(write: &mut Write, account: &Account, before: &Granted) -> ApiResult<()> {
    grant_teams(write, account, before, &BTreeSet::new()).await?;
    take_rights(write, account, before, &[]).await.map(drop)
}

async fn grant_teams(
    write: &mut Write,
    account: &Account,
    before: &Granted,
    wanted: &BTreeSet<String>,
) -> ApiResult<Vec<String>> {
    let there = anima_db::team::of_account(write, account.id).await?;
    for team in before.teams.iter().filter(|team| there.contains(team) && !wanted.contains(*team)) {
        anima_db::team::remove(write, team, account.id, &account.name).await?;
    }
    let known = anima_db::team::list(write).await?;
    let mut granted = Vec::new();
    for team in wanted {
        if !known.contains(team) {
            tracing::warn!("the configuration puts {} into team {team}, which is not there", account.name);
            continue;
        }
        if !there.contains(team) {
            anima_db::team::add(write, team, account.id, &account.name).await?;
        } else if !before.teams.contains(team) {
            // People have put them there.
            continue;
        }
        granted.push(team.clone());
    }
    Ok(granted)
}

async fn grant_rights(
    app: &App,
    write: &mut Write,
    account: &Account,
    before: &Granted,
    wanted: &[Right],
) -> ApiResult<Vec<RightId>> {
    let own = take_rights(write, account, before, wanted).await?;
    let mut granted = Vec::new();
    for right in wanted {
        match own.iter().find(|given| given.right == *right) {
            Some(given) if before.rights.contains(&given.id) => granted.push(given.id),
            // People have given it.
            Some(_) => {}
            None => match right::check(app, write, right).await {
                Ok(()) => {
                    let holder = Holder::Account(account.id, account.name.clone());
                    granted.push(anima_db::right::insert(write, &holder, right).await?);
                }
                Err(error) => {
                    tracing::warn!("the configuration makes {} {right}: {}", account.name, error.body.message);
                }
            },
        }
    }
    Ok(granted)
}

/// Takes away what was granted and is not wanted any more; returns all rights that the account itself had.
async fn take_rights(
    write: &mut Write,
    account: &Account,
    before: &Granted,
    wanted: &[Right],
) -> ApiResult<Vec<GivenRight>> {
    let there = anima_db::right::of_account(write, account.id).await?;
    let own: Vec<_> = there.into_iter().filter(|given| given.account.is_some()).collect();
    for given in own.iter().filter(|given| before.rights.contains(&given.id) && !wanted.contains(&given.right)) {
        anima_db::right::delete(write, given.id).await?;
    }
    Ok(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_elsewhere_becomes_one_as_accounts_have_it() {
        for (elsewhere, here) in
            [("Ann@example.org", "ann"), ("j.doe", "j.doe"), ("Ann Example", "annexample"), ("é", "")]
        {
            assert_eq!(plain_name(elsewhere), here);
        }
        assert_eq!(plain_name(&"a".repeat(99)).len(), MAX_NAME_CHARS);
    }
}
