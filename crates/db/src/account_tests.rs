use super::*;
use crate::{
    audit, enrolment,
    right::{self, Holder},
    session, team,
    testing::Scratch,
    token,
};
use anima_types::{
    Timestamp,
    account::CreateTeam,
    audit::Filter,
    permission::Role,
    right::{Right, Thing},
};

async fn ann(write: &mut Write) -> Account {
    let wanted = CreateAccount { name: "ann".into(), title: "Ann".into(), password: None };
    insert(write, &wanted, Some("hash")).await.unwrap();
    get(write, "ann").await.unwrap()
}

#[tokio::test]
async fn an_account_is_what_was_said_of_it_and_there_is_one_of_a_name() {
    let scratch = Scratch::new().await;
    let mut write = scratch.write().await;
    let account = ann(&mut write).await;

    set_password(&mut write, &account, "other").await.unwrap();
    set_disabled(&mut write, &account, true).await.unwrap();
    signed_in(&mut write, &account, "here").await.unwrap();

    let stored = find(&mut write, "ann").await.unwrap().unwrap();
    assert_eq!(stored.password.as_deref(), Some("other"));
    assert!(stored.account.is_disabled && stored.account.has_password);
    assert_eq!(stored.account.signed_in_at, Some(write.now));
    assert_eq!(by_id(&mut write, account.id).await.unwrap(), stored.account);
    assert!(matches!(get(&mut write, "eve").await, Err(Error::Missing { .. })));
    let again = CreateAccount { name: "ann".into(), title: String::new(), password: None };
    assert!(matches!(insert(&mut write, &again, None).await, Err(Error::Taken { .. })));
}

#[tokio::test]
async fn rights_come_from_the_account_and_from_its_teams() {
    let scratch = Scratch::new().await;
    let mut write = scratch.write().await;
    let account = ann(&mut write).await;
    team::insert(&mut write, &CreateTeam { name: "crew".into(), title: String::new() }).await.unwrap();
    let own = Right { role: Role::Signer, on: Some(Thing::Product("p".into())) };
    let holder = Holder::Account(account.id, "ann".into());
    let id = right::insert(&mut write, &holder, &own).await.unwrap();
    right::insert(&mut write, &Holder::Team("crew".into()), &Right::everywhere(Role::Observer)).await.unwrap();
    assert_eq!(right::insert(&mut write, &holder, &own).await.unwrap(), id, "it is not given twice");
    assert_eq!(right::of_account(&mut write, account.id).await.unwrap().len(), 1);

    team::add(&mut write, "crew", account.id, "ann").await.unwrap();
    team::add(&mut write, "crew", account.id, "ann").await.unwrap();

    let rights = right::of_account(&mut write, account.id).await.unwrap();
    let seen: Vec<_> =
        rights.iter().map(|given| (given.account.as_deref(), given.team.as_deref(), &given.right)).collect();
    assert_eq!(seen, [(Some("ann"), None, &own), (None, Some("crew"), &Right::everywhere(Role::Observer))]);
    assert_eq!(team::members(&mut write, "crew").await.unwrap(), ["ann"]);
    team::delete(&mut write, "crew").await.unwrap();
    right::delete(&mut write, id).await.unwrap();
    assert_eq!(right::of_account(&mut write, account.id).await.unwrap(), []);
}

#[tokio::test]
async fn sessions_are_found_by_their_hash_and_dropped_when_they_are_old() {
    let scratch = Scratch::new().await;
    let mut write = scratch.write_at(100).await;
    let account = ann(&mut write).await;
    let old = session::insert(&mut write, account.id, "old", Some("192.0.2.1"), None).await.unwrap();
    write.commit().await.unwrap();
    let mut write = scratch.write_at(200).await;
    let new = session::insert(&mut write, account.id, "new", None, Some("Browser")).await.unwrap();

    assert_eq!(session::find(&mut write, "old").await.unwrap().unwrap().account, account.id);
    assert_eq!(
        session::of_account(&mut write, account.id).await.unwrap().iter().map(|one| one.id).collect::<Vec<_>>(),
        [new, old]
    );
    assert_eq!(session::drop_old(&mut write, Timestamp(0).plus_secs(150), Timestamp(0)).await.unwrap(), 1);
    assert!(session::find(&mut write, "old").await.unwrap().is_none());
    assert_eq!(session::delete_others(&mut write, account.id, Some(new)).await.unwrap(), 0);
    assert_eq!(session::delete_others(&mut write, account.id, None).await.unwrap(), 1);
    assert!(matches!(session::delete(&mut write, account.id, new).await, Err(Error::Missing { .. })));
}

#[tokio::test]
async fn the_audit_has_what_people_did_with_through_what_and_nothing_else() {
    let scratch = Scratch::new().await;
    let mut write = scratch.write().await;
    ann(&mut write).await;
    write.commit().await.unwrap();
    let origin = crate::Origin {
        actor: "ann".into(),
        via: Some("token:7".into()),
        address: Some("192.0.2.1".into()),
        request: Some("PUT /x".into()),
    };
    // It changes something that no event tells of.
    scratch.db.write(Timestamp(5), origin).await.unwrap().commit().await.unwrap();

    let mut read = scratch.db.read().await.unwrap();
    let entries = audit::list(&mut read, &Filter::default(), None, 10).await.unwrap();

    assert_eq!(entries.len(), 1, "{entries:?}");
    assert_eq!((entries[0].event.message.as_str(), entries[0].via.as_str()), ("ann asked for PUT /x.", "token:7"));
    let nobodys = Filter { who: Some("eve".into()), ..Filter::default() };
    assert_eq!(audit::list(&mut read, &nobodys, None, 10).await.unwrap(), []);
    assert_eq!(audit::list(&mut read, &Filter::default(), Some(entries[0].event.id), 10).await.unwrap(), []);
    let public = event::list(&mut read, anima_types::id::EventId(0), None, 10).await.unwrap();
    assert_eq!(public, [], "what is about people is not for everybody");
}

#[tokio::test]
async fn a_code_is_taken_once() {
    let scratch = Scratch::new().await;
    let mut write = scratch.write().await;
    let wanted = enrolment::Enrolment { node: "n1".into(), role: Role::BuildNode, expires_at: write.now.plus_secs(60) };
    enrolment::insert(&mut write, "hash", &wanted).await.unwrap();

    assert_eq!(enrolment::take(&mut write, "hash").await.unwrap(), Some(wanted));
    assert_eq!(enrolment::take(&mut write, "hash").await.unwrap(), None);
}

#[tokio::test]
async fn a_token_of_a_person_says_whose_it_is() {
    let scratch = Scratch::new().await;
    let mut write = scratch.write().await;
    let account = ann(&mut write).await;
    let wanted = token::NewToken {
        name: "ci".into(),
        role: Role::Person,
        account: Some((account.id, "ann".into())),
        scopes: anima_types::token::Scopes { products: ["p".to_string()].into(), ..Default::default() },
        expires_at: Some(write.now.plus_secs(60)),
        is_of_node: false,
    };

    let id = token::insert(&mut write, &wanted, "hash").await.unwrap();
    token::touch(&mut write, id).await.unwrap();

    let found = token::get(&mut write, id).await.unwrap();
    assert_eq!((found.account, found.token.account.as_deref()), (Some(account.id), Some("ann")));
    assert_eq!((&found.token.scopes, found.token.expires_at), (&wanted.scopes, wanted.expires_at));
    assert_eq!(found.token.used_at, Some(write.now));
    assert_eq!(token::of_account(&mut write, account.id).await.unwrap(), [found.token]);
    assert!(!token::is_name_of_none(&mut write, "ci").await.unwrap());
}
