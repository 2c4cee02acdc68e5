use super::*;
use crate::{
    sign_in::{self, Device, Flow, Word},
    testing::Scratch,
};
use anima_types::account::CreateAccount;

async fn person(write: &mut Write, name: &str) -> Account {
    let wanted = CreateAccount { name: name.into(), title: String::new(), password: None };
    account::insert(write, &wanted, None).await.unwrap();
    account::get(write, name).await.unwrap()
}

#[tokio::test]
async fn somebody_at_a_provider_is_one_account_and_keeps_what_was_granted() {
    let scratch = Scratch::new().await;
    let mut write = scratch.write().await;
    let (ann, bob) = (person(&mut write, "ann").await, person(&mut write, "bob").await);

    let linked = insert(&mut write, &ann, "https://id.example", "7").await.unwrap();
    let granted = Granted { teams: vec!["crew".into()], rights: vec![RightId(3)] };
    signed_in(&mut write, linked.identity.id, &granted).await.unwrap();

    let found = find(&mut write, "https://id.example", "7").await.unwrap().unwrap();
    assert_eq!((found.account, &found.granted), (ann.id, &granted));
    assert_eq!(found.identity.signed_in_at, Some(write.now));
    assert_eq!(of_account(&mut write, ann.id).await.unwrap(), std::slice::from_ref(&found.identity));
    assert!(
        matches!(insert(&mut write, &bob, "https://other.example", "7").await, Ok(other) if other.account == bob.id)
    );
    delete(&mut write, &ann, &found.identity).await.unwrap();
    assert_eq!(find(&mut write, "https://id.example", "7").await.unwrap(), None);
}

#[tokio::test]
async fn nobody_at_a_provider_is_two_accounts() {
    let scratch = Scratch::new().await;
    let mut write = scratch.write().await;
    let (ann, bob) = (person(&mut write, "ann").await, person(&mut write, "bob").await);
    insert(&mut write, &ann, "https://id.example", "7").await.unwrap();

    assert!(matches!(insert(&mut write, &bob, "https://id.example", "7").await, Err(Error::Taken { .. })));
}

#[tokio::test]
async fn a_flow_ends_once_and_a_device_has_one_word() {
    let scratch = Scratch::new().await;
    let mut write = scratch.write().await;
    let ann = person(&mut write, "ann").await;
    let flow = Flow {
        browser: "b".into(),
        nonce: "n".into(),
        verifier: "v".into(),
        return_to: "/".into(),
        account: Some(ann.id),
        begun_at: write.now,
    };
    sign_in::begin(&mut write, "state", &flow).await.unwrap();
    assert_eq!(sign_in::take(&mut write, "state").await.unwrap(), Some(flow));
    assert_eq!(sign_in::take(&mut write, "state").await.unwrap(), None);

    let device = Device {
        hash: "s".into(),
        code: "c".into(),
        label: "l".into(),
        address: None,
        begun_at: write.now,
        word: Word::None,
    };
    sign_in::begin_device(&mut write, &device).await.unwrap();
    assert_eq!(sign_in::device_by_code(&mut write, "c").await.unwrap().as_ref(), Some(&device));
    assert!(sign_in::set_word(&mut write, &device, Word::Approved(ann.id)).await.unwrap());
    assert!(!sign_in::set_word(&mut write, &device, Word::Refused).await.unwrap(), "the first word counts");
    assert_eq!(sign_in::device(&mut write, "s").await.unwrap().unwrap().word, Word::Approved(ann.id));
    assert!(sign_in::end_device(&mut write, "s").await.unwrap());
    assert!(!sign_in::end_device(&mut write, "s").await.unwrap());
    sign_in::begin_device(&mut write, &device).await.unwrap();
    let later = write.now.plus_secs(1);
    assert_eq!(sign_in::drop_old(&mut write, later).await.unwrap(), 1);
}
