use super::*;
use crate::{
    artifact, key, node, package, product, task,
    testing::{self, Scratch},
    token,
};
use anima_types::{
    Arch, Sha256,
    artifact::Kind,
    gate::{Answer, Finding, Gate, Level},
    key::Algorithm,
    lease::{Claim, Condition},
    permission::Role,
    product::{CreateProduct, Options},
    release::Edit,
    task::Kind as TaskKind,
};

async fn key(write: &mut Write) -> anima_types::id::KeyId {
    let key = testing::key("seed-1", Algorithm::Rsa4096);
    key::insert(write, &key, &Default::default()).await.unwrap()
}

fn a_product() -> CreateProduct {
    CreateProduct {
        name: "seed-1".into(),
        title: "Seed".into(),
        repositories: vec!["BaseOS".into()],
        architectures: vec![Arch::X86_64],
        automatic: false,
        gates: [(Gate::Downgrade, Level::Block)].into(),
        options: Options { team: Some("core".into()), approvals: 2, ..Options::default() },
    }
}

async fn release(write: &mut Write) -> ReleaseId {
    let key = key(write).await;
    let product = a_product();
    product::insert(write, &product, key).await.unwrap();
    assert_eq!(product::get(write, "seed-1").await.unwrap().product, product);
    let build = testing::build(write).await;
    insert(write, "seed-1", build, "Planned.").await.unwrap()
}

#[tokio::test]
async fn a_product_is_made_once() {
    let scratch = Scratch::new().await;
    let mut write = scratch.write().await;
    let key = key(&mut write).await;
    product::insert(&mut write, &a_product(), key).await.unwrap();

    assert!(matches!(product::insert(&mut write, &a_product(), key).await, Err(Error::Taken { .. })));
}

#[tokio::test]
async fn every_step_of_the_table_is_taken_and_every_other_pair_is_refused() {
    let scratch = Scratch::new().await;
    let mut write = scratch.write().await;
    let id = release(&mut write).await;

    for status in Status::ALL {
        for event in Event::ALL {
            sqlx::query("UPDATE release_plan SET status = $1").bind(status.name()).execute(&mut *write).await.unwrap();
            let release = get(&mut write, id).await.unwrap();
            match (next(status, event), apply(&mut write, &release, event, "why").await) {
                (Some(wanted), Ok(got)) => assert_eq!(wanted, got),
                (None, Err(Error::Transition { .. })) => {}
                (wanted, got) => panic!("{status:?} {event:?}: {wanted:?} {got:?}"),
            }
        }
    }
}

#[tokio::test]
async fn a_release_keeps_its_plan_its_base_and_who_decided() {
    let scratch = Scratch::new().await;
    let mut write = scratch.write().await;
    let id = release(&mut write).await;
    let base = [(RepositoryId(1), 4)].into();

    let found = Finding { text: "jq-1.6-1.x86_64 would replace jq-1.7-1.x86_64".into(), ..Finding::default() };
    let gates = [Answer::new(Gate::Downgrade, Level::Ask, vec![found])];

    set_plan(&mut write, id, &[], &gates, &base).await.unwrap();
    set_committed_by(&mut write, id, Some("ada"), Some("1.7 eats files")).await.unwrap();
    set_published(&mut write, id, Some(&PublishOutcome { repositories: vec![] })).await.unwrap();

    let release = get(&mut write, id).await.unwrap();
    assert_eq!((release.base, release.committed_by.as_deref()), (base, Some("ada")));
    assert_eq!((release.gates, release.reason.as_deref()), (gates.to_vec(), Some("1.7 eats files")));
    assert!(release.published.is_some());
    assert_eq!(of_build(&mut write, release.build.unwrap()).await.unwrap(), [(id, "seed-1".to_string())]);
    assert_eq!(list_open(&mut write).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_list_has_the_releases_that_are_asked_for_and_how_much_each_carries() {
    let scratch = Scratch::new().await;
    let mut write = scratch.write().await;
    let first = release(&mut write).await;
    let removal = Content::Removal { remove: vec!["jq".into()], from: Vec::new() };
    let second = insert(&mut write, "seed-1", removal.clone(), "Planned.").await.unwrap();
    let gone = |name: &str| PlanRemoval {
        nevra: format!("{name}-1-1.x86_64").parse().unwrap(),
        repository: RepositoryId(1),
        repository_path: "BaseOS/x86_64".into(),
        reason: "ann wants it gone".into(),
    };
    let outcome = PlanOutcome { removals: vec![gone("jq"), gone("oniguruma")], ..PlanOutcome::default() };
    set_outcome(&mut write, second, &outcome, &BTreeMap::new()).await.unwrap();
    let row = get(&mut write, second).await.unwrap();
    apply(&mut write, &row, Event::PlanMade, "why").await.unwrap();
    let mut found = async |filter: Filter, limit| {
        let rows = list(&mut write, &filter, limit).await.unwrap();
        rows.iter().map(|row| row.id).collect::<Vec<_>>()
    };

    assert_eq!(found(Filter::default(), 9).await, [second, first]);
    assert_eq!(found(Filter::default(), 1).await, [second]);
    assert_eq!(found(Filter { before: Some(second), ..Filter::default() }, 9).await, [first]);
    assert_eq!(found(Filter { status: Some(Status::Planned), ..Filter::default() }, 9).await, [second]);
    assert_eq!(found(Filter { product: Some("seed-1".into()), ..Filter::default() }, 9).await, [second, first]);
    assert_eq!(found(Filter { product: Some("seed".into()), ..Filter::default() }, 9).await, []);
    let listed = &list(&mut write, &Filter::default(), 1).await.unwrap()[0];
    assert_eq!((listed.package_count, listed.removal_count, listed.left_out_count), (0, 2, 0));
    assert_eq!((&listed.content, listed.status, listed.build), (&removal, Status::Planned, None));
}

#[tokio::test]
async fn what_failed_may_still_go_and_what_is_over_may_not() {
    let scratch = Scratch::new().await;
    let mut write = scratch.write().await;
    let id = release(&mut write).await;

    for status in Status::ALL {
        sqlx::query("UPDATE release_plan SET status = $1").bind(status.name()).execute(&mut *write).await.unwrap();
        let may_go = list_that_may_go(&mut write).await.unwrap().iter().any(|row| row.id == id);
        let is_over = Event::ALL.iter().all(|&event| matches!(next(status, event), None | Some(Status::Reverted)));
        assert_eq!(may_go, !is_over, "{}", status.name());
    }
}

#[tokio::test]
async fn a_release_keeps_what_people_said_and_is_due_when_its_time_has_come() {
    let scratch = Scratch::new().await;
    let mut write = scratch.write().await;
    release(&mut write).await;
    let content = Content::Copy { copy: vec!["beta/BaseOS/x86_64@3".into()], only: Vec::new(), exact: true };
    let id = insert(&mut write, "seed-1", content.clone(), "Planned.").await.unwrap();
    let edit = Edit { package: "jq".into(), to: vec!["AppStream".into()] };
    let edits = [MadeEdit { edit, who: "ada".into(), reason: "it is basic".into(), at: Timestamp(5) }];
    let approvals = [Approval { who: "bob".into(), reason: None, at: Timestamp(6) }];

    set_edits(&mut write, id, &edits).await.unwrap();
    set_approvals(&mut write, id, &approvals).await.unwrap();
    set_scheduled_at(&mut write, id, Some(Timestamp(70))).await.unwrap();
    for event in [Event::PlanMade, Event::Scheduled] {
        let row = get(&mut write, id).await.unwrap();
        apply(&mut write, &row, event, "why").await.unwrap();
    }

    let row = get(&mut write, id).await.unwrap();
    assert_eq!((row.content, row.build, row.scheduled_at), (content, None, Some(Timestamp(70))));
    assert_eq!((row.edits, row.approvals), (edits.to_vec(), approvals.to_vec()));
    assert_eq!(list_due(&mut write, Timestamp(69)).await.unwrap().len(), 0);
    assert_eq!(list_due(&mut write, Timestamp(70)).await.unwrap()[0].id, id);
    assert_eq!(list_open(&mut write).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_package_leads_to_what_it_was_signed_from_and_to_who_built_it() {
    let scratch = Scratch::new().await;
    let mut write = scratch.write().await;
    let key = key(&mut write).await;
    let build = testing::build(&mut write).await;
    let task = testing::build_task(&mut write, build, "jq", Arch::X86_64).await;
    let (plain, signed) = (Sha256([1; 32]), Sha256([2; 32]));
    for sha256 in [plain, signed] {
        artifact::insert(&mut write, sha256, 7).await.unwrap();
        let package = package::Package {
            sha256,
            nevra: "jq-1.7-1.x86_64".parse().unwrap(),
            file_name: "jq-1.7-1.x86_64.rpm".into(),
            source: "jq".into(),
            is_source: false,
            xml: "{}".into(),
            header_sha256: plain,
        };
        package::insert(&mut write, &package).await.unwrap();
    }
    artifact::link(&mut write, task, plain, Kind::Rpm, "jq-1.7-1.x86_64.rpm").await.unwrap();
    package::insert_signed(&mut write, plain, key, signed).await.unwrap();

    assert_eq!(package::original(&mut write, signed).await.unwrap(), plain);
    assert_eq!(package::original(&mut write, plain).await.unwrap(), plain);
    assert_eq!(package::signed(&mut write, plain, key).await.unwrap(), Some(signed));
    assert_eq!(package::signed(&mut write, signed, key).await.unwrap(), None);
    let both = [plain, signed].into();
    assert_eq!(package::builds(&mut write, &both).await.unwrap(), [(plain, [build].into())].into());
    assert_eq!(package::signed_of(&mut write, &both, key).await.unwrap(), [(plain, signed)].into());
    assert!(package::makers(&mut write, &both).await.unwrap().is_empty(), "the task has not ended");
    assert_eq!(package::of_task(&mut write, task).await.unwrap()[0].sha256, plain);
}

#[tokio::test]
async fn a_key_is_made_once() {
    let scratch = Scratch::new().await;
    let mut write = scratch.write().await;
    let id = key(&mut write).await;

    let made = |fingerprint: &str| key::Made {
        fingerprint: fingerprint.into(),
        public_key: "armour".into(),
        file_key: None,
        expires_at: None,
    };
    key::made(&mut write, id, &made("ABCD")).await.unwrap();

    assert_eq!(key::get(&mut write, id).await.unwrap().fingerprint.as_deref(), Some("ABCD"));
    assert_eq!(key::find(&mut write, "seed-1").await.unwrap().unwrap().id, id);
    assert!(matches!(key::made(&mut write, id, &made("EF01")).await, Err(Error::Transition { .. })));
}

#[tokio::test]
async fn an_artifact_is_listed_with_its_signed_form() {
    let scratch = Scratch::new().await;
    let mut write = scratch.write().await;
    let key = key(&mut write).await;
    let build = testing::build(&mut write).await;
    let task = testing::build_task(&mut write, build, "jq", Arch::X86_64).await;
    let (plain, signed) = (Sha256([1; 32]), Sha256([2; 32]));
    for sha256 in [plain, signed] {
        for _ in 0..2 {
            artifact::insert(&mut write, sha256, 7).await.unwrap();
        }
        let package = package::Package {
            sha256,
            nevra: "jq-libs-1.7-1.x86_64".parse().unwrap(),
            file_name: "jq-libs-1.7-1.x86_64.rpm".into(),
            source: "jq".into(),
            is_source: false,
            xml: "{}".into(),
            header_sha256: plain,
        };
        package::insert(&mut write, &package).await.unwrap();
    }

    artifact::link(&mut write, task, plain, Kind::Rpm, "jq-libs-1.7-1.x86_64.rpm").await.unwrap();
    let unsigned = package::unsigned_of_build(&mut write, build, key, 10).await.unwrap();
    assert_eq!(unsigned.iter().map(|package| package.artifact).collect::<Vec<_>>(), [plain]);
    package::insert_signed(&mut write, plain, key, signed).await.unwrap();

    let made = artifact::of_task(&mut write, task).await.unwrap();
    assert_eq!(made.len(), 1);
    assert_eq!((made[0].size_bytes, made[0].signed), (7, Some(signed)));
    assert_eq!(artifact::of_build(&mut write, build).await.unwrap()[&task], made);
    assert_eq!(package::unsigned_of_build(&mut write, build, key, 10).await.unwrap(), []);
    assert_eq!(package::xml_of(&mut write, &[plain, signed].into()).await.unwrap().len(), 2);
    assert_eq!(package::of_build(&mut write, build).await.unwrap()[0].1.artifact, plain);
    assert_eq!(package::names_of_source(&mut write, "jq").await.unwrap(), ["jq-libs"]);
    assert_eq!(artifact::size(&mut write, signed).await.unwrap(), Some(7));
    assert_eq!(artifact::find(&mut write, plain).await.unwrap().unwrap().kind, Kind::Rpm);
    artifact::unlink_all(&mut write, task).await.unwrap();
    assert_eq!(artifact::of_task(&mut write, task).await.unwrap(), []);
    assert!(matches!(task::get(&mut write, anima_types::id::TaskId(99)).await, Err(Error::Missing { .. })));
}

#[tokio::test]
async fn a_token_is_found_by_its_hash_until_it_is_revoked() {
    let scratch = Scratch::new().await;
    let mut write = scratch.write().await;
    let wanted = token::NewToken {
        name: "ada".into(),
        role: Role::Contributor,
        account: None,
        scopes: Default::default(),
        expires_at: None,
        is_of_node: false,
    };

    let id = token::insert(&mut write, &wanted, "hash").await.unwrap();

    let found = token::find(&mut write, "hash").await.unwrap().unwrap();
    assert_eq!((found.token.id, found.token.role), (id, Role::Contributor));
    assert_eq!(token::list(&mut write).await.unwrap().len(), 1);
    token::delete(&mut write, id).await.unwrap();
    assert!(token::find(&mut write, "hash").await.unwrap().is_none());
    assert!(matches!(token::delete(&mut write, id).await, Err(Error::Missing { .. })));
}

#[tokio::test]
async fn a_node_is_what_it_last_said_of_itself() {
    let scratch = Scratch::new().await;
    let mut write = scratch.write_at(5).await;
    let mut claim = Claim {
        node: "n1".into(),
        kinds: vec![TaskKind::Build],
        architectures: vec![Arch::X86_64],
        emulated: Vec::new(),
        slots: 1,
        version: "0.1.0".into(),
        instance: String::new(),
        started_at: None,
        wait_secs: 0,
        condition: Condition::default(),
    };
    node::seen(&mut write, &claim).await.unwrap();
    claim.slots = 4;
    node::seen(&mut write, &claim).await.unwrap();
    write.commit().await.unwrap();

    let mut write = scratch.write_at(8).await;
    let now = write.now;
    node::touch_all(&mut write, &["n1"], now).await.unwrap();

    let nodes = node::list(&mut write).await.unwrap();
    assert_eq!((nodes.len(), nodes[0].slots, nodes[0].seen_at), (1, 4, write.now));
}
