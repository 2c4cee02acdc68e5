use super::*;
use crate::{
    lease, task_dependency, task_queue,
    testing::{Scratch, build, build_task},
};
use anima_types::{id::EventId, work::SrcOutcome};

async fn ready_task(write: &mut Write, package: &str, arch: Arch) -> Task {
    let build = build(write).await;
    let id = build_task(write, build, package, arch).await;
    let task = get(write, id).await.unwrap();
    apply(write, &task, Event::DependenciesMet, "Ready.").await.unwrap();
    get(write, id).await.unwrap()
}

#[tokio::test]
async fn every_step_of_the_table_is_taken_and_every_other_pair_is_refused() {
    let scratch = Scratch::new().await;
    let mut write = scratch.write().await;
    let id = ready_task(&mut write, "jq", Arch::X86_64).await.id;

    for status in Status::ALL {
        for event in Event::ALL {
            sqlx::query("UPDATE task SET status = $1").bind(status.name()).execute(&mut *write).await.unwrap();
            let task = get(&mut write, id).await.unwrap();
            match (next(status, event), apply(&mut write, &task, event, "why").await) {
                (Some(wanted), Ok(got)) => assert_eq!(wanted, got),
                (None, Err(Error::Transition { .. })) => {}
                (wanted, got) => panic!("{status:?} {event:?}: {wanted:?} {got:?}"),
            }
        }
    }
}

#[tokio::test]
async fn a_change_writes_its_event_in_the_same_transaction() {
    let scratch = Scratch::new().await;
    let mut write = scratch.write().await;
    let task = ready_task(&mut write, "jq", Arch::X86_64).await;

    let events = event::list(&mut write, EventId(0), task.about.build, 10).await.unwrap();

    let told: Vec<_> = events.iter().map(|event| (event.noun.as_str(), event.verb.as_str())).collect();
    assert_eq!(told, [("build", "created"), ("task", "created"), ("task", "dependencies_met")]);
    assert_eq!(events[2].status.as_deref(), Some("ready"));
    assert_eq!(events[2].actor, "tester");
}

#[tokio::test]
async fn a_change_from_a_status_that_was_left_is_a_conflict_and_leaves_no_event() {
    let scratch = Scratch::new().await;
    let mut write = scratch.write().await;
    let task = ready_task(&mut write, "jq", Arch::X86_64).await;
    apply(&mut write, &task, Event::Cancelled, "Stopped.").await.unwrap();
    let before = event::newest(&mut write).await.unwrap();

    let late = claim(&mut write, &task, "n1", Timestamp(9), "Taken.").await;

    assert!(matches!(late, Err(Error::Conflict { noun: "task", .. })));
    assert_eq!(event::newest(&mut write).await.unwrap(), before);
}

#[tokio::test]
async fn a_claim_counts_and_an_older_lease_cannot_end_the_task() {
    let scratch = Scratch::new().await;
    let mut write = scratch.write_at(100).await;
    let task = ready_task(&mut write, "jq", Arch::X86_64).await;
    assert_eq!(claim(&mut write, &task, "n1", Timestamp(200), "n1 has it.").await.unwrap(), 1);
    let first = get(&mut write, task.id).await.unwrap();
    apply(&mut write, &first, Event::LeaseExpired, "n1 is gone.").await.unwrap();
    let again = get(&mut write, task.id).await.unwrap();
    assert_eq!(claim(&mut write, &again, "n2", Timestamp(300), "n2 has it.").await.unwrap(), 2);

    let ended = Ended { phases: vec![], failure: None, result: None, report_hash: None };
    let late = end(&mut write, &first, Event::Succeeded, "Done.", &ended).await;

    assert!(matches!(late, Err(Error::Conflict { .. })));
    let both = [(task.id, 1), (task.id, 2)];
    let extended = task_lease::extend_all(&mut write, &both, Timestamp(400)).await.unwrap();
    assert_eq!(extended, [(task.id, 2)].into());
    let task = get(&mut write, task.id).await.unwrap();
    assert_eq!((task.attempts, task.node.as_deref()), (2, Some("n2")));
    assert_eq!(task.lease_expires_at, Some(Timestamp(400)));
}

#[tokio::test]
async fn each_kind_and_architecture_has_a_queue() {
    let scratch = Scratch::new().await;
    let mut write = scratch.write().await;
    let arm = ready_task(&mut write, "jq", Arch::Aarch64).await;
    let intel = ready_task(&mut write, "xz", Arch::X86_64).await;
    let mut key = About::new(Kind::Sign);
    key.subject = Some(Subject::Key);
    let sign = insert(&mut write, &key, "Waits.").await.unwrap();
    let sign = get(&mut write, sign).await.unwrap();
    apply(&mut write, &sign, Event::DependenciesMet, "Ready.").await.unwrap();

    let mut found = async |kind: Kind, arch: Option<Arch>| {
        let first = crate::task_queue::behind(&mut write, (kind, arch), crate::task_queue::FRONT, 1).await.unwrap();
        first.first().map(|task| task.id)
    };

    assert_eq!(found(Kind::Build, Some(Arch::Aarch64)).await, Some(arm.id));
    assert_eq!(found(Kind::Build, Some(Arch::X86_64)).await, Some(intel.id));
    assert_eq!(found(Kind::Test, Some(Arch::X86_64)).await, None);
    assert_eq!(found(Kind::Sign, None).await, Some(sign.id));
    assert_eq!(found(Kind::Build, None).await, None);
}

#[tokio::test]
async fn a_restart_forgets_what_the_last_try_gave() {
    let scratch = Scratch::new().await;
    let mut write = scratch.write().await;
    let task = ready_task(&mut write, "jq", Arch::X86_64).await;
    claim(&mut write, &task, "n1", Timestamp(200), "n1 has it.").await.unwrap();
    let outcome = SrcOutcome {
        nevra: "jq-1.7-1.src".parse().unwrap(),
        srpm: anima_types::Sha256([1; 32]),
        build_requires: vec![],
        provides: vec![],
        exclusive_arch: vec![],
        exclude_arch: vec![],
        is_noarch: false,
    };
    let ended = Ended {
        phases: vec![PhaseTime { name: "build".into(), secs: 1.5, ..PhaseTime::default() }],
        failure: Some(Failure { log_line: Some(3), ..Failure::new("spec", "no") }),
        result: Some(Outcome::Src(outcome)),
        report_hash: Some("ab".into()),
    };
    let leased = get(&mut write, task.id).await.unwrap();
    end(&mut write, &leased, Event::Failed, "No.", &ended).await.unwrap();
    let failed = get(&mut write, task.id).await.unwrap();
    assert_eq!((failed.phases.clone(), failed.failure.clone()), (ended.phases, ended.failure));
    assert_eq!((failed.result.clone(), failed.report_hash.clone()), (ended.result, ended.report_hash));
    assert_eq!(failed.ended_at, Some(write.now));

    apply(&mut write, &failed, Event::Restarted, "Again.").await.unwrap();

    let task = get(&mut write, task.id).await.unwrap();
    assert_eq!((task.status, task.attempts, task.ended_at), (Status::Waiting, 0, None));
    assert_eq!((task.failure, task.result, task.report_hash, task.phases.len()), (None, None, None, 0));
    assert_eq!(task.lease_number, 1, "the count of claims goes on");
}

#[tokio::test]
async fn many_tasks_get_what_they_wait_for_and_how_long_they_take_together() {
    let scratch = Scratch::new().await;
    let mut write = scratch.write().await;
    let build = build(&mut write).await;
    let about = |number: usize| {
        let package = Some(format!("package-{number}"));
        (About { build: Some(build), package, arch: Some(Arch::X86_64), ..About::new(Kind::Build) }, None)
    };
    let tasks: Vec<_> = (0..300).map(about).collect();

    let ids = task_queue::insert_all(&mut write, &tasks, ("Waits.", "Waits.")).await.unwrap();
    let needs: Vec<_> = ids.windows(2).map(|pair| (pair[1], pair[0])).collect();
    task_dependency::insert_all(&mut write, &needs).await.unwrap();
    let estimates: Vec<_> = ids.iter().map(|id| (*id, (id.0 % 2 == 0).then_some(id.0), 2 * id.0)).collect();
    set_estimates(&mut write, &estimates).await.unwrap();

    let made = of_build(&mut write, build).await.unwrap();
    assert!(made.iter().zip(&ids).zip(&tasks).all(|((task, id), about)| task.id == *id && task.about == about.0));
    let said = made.iter().map(|task| (task.id, task.estimate_secs, task.chain_secs));
    assert_eq!(said.collect::<Vec<_>>(), estimates);
    let waits = task_dependency::of_build(&mut write, build).await.unwrap();
    assert_eq!((waits.len(), &waits[&ids[299]]), (299, &vec![ids[298]]));
    let (first, why) = (ids[0], "Not for this one.".to_string());
    apply_to_waiting(&mut write, &[(first, &tasks[0].0, why.clone())], Event::Excluded).await.unwrap();
    let left_out = get(&mut write, first).await.unwrap();
    assert_eq!((left_out.status, left_out.why, left_out.ended_at), (Status::Excluded, why.clone(), Some(write.now)));
    let again = apply_to_waiting(&mut write, &[(first, &tasks[0].0, why)], Event::Excluded).await;
    assert!(matches!(again, Err(Error::Conflict { .. })));
    assert!(!has_built(&mut write, build).await.unwrap());
    assert_eq!(built_state(&mut write, build, "p1").await.unwrap(), BuiltState::default());
}

#[tokio::test]
async fn dependencies_are_replaced_as_a_whole() {
    let scratch = Scratch::new().await;
    let mut write = scratch.write().await;
    let build = build(&mut write).await;
    let mut tasks = Vec::new();
    for package in ["a", "b", "c"] {
        tasks.push(build_task(&mut write, build, package, Arch::X86_64).await);
    }

    task_dependency::replace(&mut write, tasks[2], &tasks[..2]).await.unwrap();
    task_dependency::replace(&mut write, tasks[2], &tasks[1..2]).await.unwrap();

    let needs = task_dependency::of_build(&mut write, build).await.unwrap();
    assert_eq!(needs, [(tasks[2], vec![tasks[1]])].into());
    assert_eq!(task_dependency::of_task(&mut write, tasks[2]).await.unwrap(), vec![tasks[1]]);
}

#[tokio::test]
async fn a_lease_is_known_by_the_hash_of_its_secret_even_when_it_is_over() {
    let scratch = Scratch::new().await;
    let mut write = scratch.write().await;
    let task = ready_task(&mut write, "jq", Arch::X86_64).await;
    let row = lease::Lease { task: task.id, number: 1, node: "n1".into() };

    lease::insert_all(&mut write, &[("hash".to_string(), row.clone())]).await.unwrap();

    assert_eq!(lease::find(&mut write, "hash").await.unwrap(), Some(row));
    assert_eq!(lease::find(&mut write, "other").await.unwrap(), None);
}

#[tokio::test]
async fn the_newest_builds_of_packages_say_how_long_they_took() {
    let scratch = Scratch::new().await;
    let mut write = scratch.write().await;
    for package in ["a", "a", "a", "b"] {
        let task = ready_task(&mut write, package, Arch::X86_64).await;
        claim(&mut write, &task, "n1", Timestamp(200), "n1 has it.").await.unwrap();
        let leased = get(&mut write, task.id).await.unwrap();
        let ended = Ended { phases: vec![], failure: None, result: None, report_hash: None };
        end(&mut write, &leased, Event::Succeeded, "Done.", &ended).await.unwrap();
        let ended_at = write.now.plus_secs(task.id.0);
        let query = sqlx::query("UPDATE task SET ended_at = $2 WHERE id = $1").bind(task.id.0).bind(ended_at.0);
        query.execute(&mut *write).await.unwrap();
    }

    let took = newest_durations(&mut write, &["a", "b", "c"], "seed-1", Arch::X86_64, 2).await.unwrap();

    let mut of_a = took["a"].clone();
    of_a.sort_by(f64::total_cmp);
    assert_eq!((took.len(), of_a, &took["b"]), (2, vec![2.0, 3.0], &vec![4.0]));
    assert!(newest_durations(&mut write, &["a"], "seed-1", Arch::Aarch64, 2).await.unwrap().is_empty());
}
