//! A node and its master.

use std::{sync::Arc, time::Duration};

use crate::common::{BOUND, Do, Master, claim, lease};
use anima_client::{
    Error,
    lease::{Cancel, Context, Once, Runner, Stop},
};
use anima_types::{
    artifact::Kind,
    lease::{Claim, End},
    work::{Failure, MASTER_DISK_FULL, NODE_DISK_FULL, NODE_LAYER_DAMAGED, NODE_STOPS},
};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Far more than one piece of a file's stream.
const LARGE_BYTES: usize = 3 << 20;

/// A handler's way to tell the test that it is at some place, and the test's way to let it go on.
#[derive(Clone, Default)]
struct Gate {
    here: Arc<Notify>,
    go_on: Arc<Notify>,
}

impl Gate {
    async fn stop_here(&self) {
        self.here.notify_one();
        self.go_on.notified().await;
    }

    async fn reached(&self) {
        tokio::time::timeout(BOUND, self.here.notified()).await.expect("the handler gets there");
    }
}

#[tokio::test]
async fn a_piece_of_log_whose_answer_was_lost_is_there_once() {
    let master = Master::start().await;
    master.change(|book| book.lost_log_answers = 2);
    let _node = master.node(Do(async |context: Context| {
        for line in ["one", "two", "three"] {
            context.log.line(line);
        }
        Ok(())
    }));

    master.wait_until("the task is reported", |book| !book.reports.is_empty()).await;

    assert_eq!(String::from_utf8_lossy(&master.book().log), "one\ntwo\nthree\n");
    assert_eq!(master.book().reports[0].number, 3);
}

#[tokio::test]
async fn a_log_whose_end_the_master_lost_goes_on_and_says_so() {
    let (master, gate) = (Master::start().await, Gate::default());
    let theirs = gate.clone();
    let _node = master.node(Do(move |context: Context| {
        let gate = theirs.clone();
        async move {
            context.log.line("one");
            gate.stop_here().await;
            context.log.line("two");
            Ok(())
        }
    }));
    gate.reached().await;
    master.wait_until("the first line is there", |book| book.log == b"one\n").await;
    master.change(|book| book.log.truncate(2));

    gate.go_on.notify_one();

    master.wait_until("the task is reported", |book| !book.reports.is_empty()).await;
    let log = String::from_utf8_lossy(&master.book().log).into_owned();
    assert_eq!(log, "on\n[anima: 2 bytes of the log were lost by the master]\ntwo\n");
}

#[tokio::test]
async fn a_lost_lease_cancels_at_once_and_nothing_more_is_sent() {
    let (master, gate) = (Master::start().await, Gate::default());
    let theirs = gate.clone();
    let _node = master.node(Do(move |context: Context| {
        let gate = theirs.clone();
        async move {
            gate.here.notify_one();
            context.cancel.cancelled().await;
            context.log.line("too late");
            let uploaded = context.upload_bytes("too late", Kind::Log, "late").await;
            assert!(matches!(uploaded, Err(Error::LeaseLost { .. })), "{uploaded:?}");
            gate.here.notify_one();
            Ok(())
        }
    }));
    gate.reached().await;
    master.wait_until("a heartbeat waits at the master", |book| book.heartbeats > 0).await;

    let lost_at = std::time::Instant::now();
    master.change(|book| book.is_lost = true);
    gate.reached().await;

    assert!(lost_at.elapsed() < Duration::from_secs(1), "{:?}", lost_at.elapsed());
    // The node is free again: what the first task had to say would have been said before the second is reported.
    master.change(|book| {
        book.is_lost = false;
        book.leases.push_back(lease());
    });
    gate.reached().await;
    let book = master.book();
    assert!(book.log.is_empty() && book.artifacts.is_empty() && book.reports.is_empty(), "{book:?}");
}

#[tokio::test]
async fn heartbeats_go_on_while_the_handler_works() {
    let (master, gate) = (Master::start().await, Gate::default());
    let theirs = gate.clone();
    let _node = master.node(Do(move |_| {
        let gate = theirs.clone();
        async move {
            gate.stop_here().await;
            Ok(())
        }
    }));
    gate.reached().await;

    master.wait_until("three heartbeats came", |book| book.heartbeats >= 3).await;
    assert!(master.book().reports.is_empty());

    gate.go_on.notify_one();
    master.wait_until("the task is reported", |book| book.reports.len() == 1).await;
}

#[tokio::test]
async fn a_task_that_is_done_while_the_master_is_away_is_reported_when_it_is_back() {
    let (mut master, gate) = (Master::start().await, Gate::default());
    let theirs = gate.clone();
    let _node = master.node(Do(move |context: Context| {
        let gate = theirs.clone();
        async move {
            gate.stop_here().await;
            context.log.line("done");
            Ok(())
        }
    }));
    gate.reached().await;

    master.go_away();
    gate.go_on.notify_one();
    master.break_connections(6).await;
    master.come_back().await;

    master.wait_until("the task is reported", |book| book.reports.len() == 1).await;
    assert!(matches!(master.book().reports[0].end, End::Succeeded(_)));
    assert_eq!(master.book().log, b"done\n");
}

#[tokio::test]
async fn an_upload_that_broke_is_repeated_whole() {
    let (master, folder) = (Master::start().await, tempfile::tempdir().unwrap());
    let path = folder.path().join("large.rpm");
    std::fs::write(&path, vec![b'x'; LARGE_BYTES]).unwrap();
    master.change(|book| book.broken_uploads = 2);
    let _node = master.node(Do(move |context: Context| {
        let path = path.clone();
        async move {
            let artifact = context.upload(&path, Kind::Rpm, "large.rpm").await?;
            assert_eq!(artifact.size_bytes, LARGE_BYTES as u64);
            // Whoever does a step again uploads again.
            context.upload(&path, Kind::Rpm, "large.rpm").await?;
            Ok(())
        }
    }));

    master.wait_until("the task is reported", |book| book.reports.len() == 1).await;

    let book = master.book();
    assert!(matches!(book.reports[0].end, End::Succeeded(_)), "{:?}", book.reports);
    assert_eq!(book.artifacts.len(), 2);
    assert!(book.artifacts.iter().all(|(_, bytes)| bytes.len() == LARGE_BYTES));
}

#[tokio::test]
async fn a_handler_that_panics_fails_its_task_with_the_reason() {
    let master = Master::start().await;
    let _node = master.node(Do(async |_| -> Result<(), Stop> { panic!("the shelf is empty, which this test wants") }));

    master.wait_until("the task is reported", |book| book.reports.len() == 1).await;

    let End::Failed(failure) = master.book().reports[0].end.clone() else { panic!("it did not fail") };
    assert!(failure.message.contains("the shelf is empty"), "{failure:?}");
}

#[tokio::test]
async fn a_node_whose_token_is_wrong_ends_with_that() {
    let master = Master::start().await;
    let runner = Runner::new(master.client("wrong"), claim());

    let ended = tokio::time::timeout(BOUND, runner.run(Arc::new(Do(async |_| Ok(()))), Cancel::new())).await.unwrap();

    assert_eq!(ended.unwrap_err().status(), Some(401));
}

#[tokio::test]
async fn a_node_that_stops_gives_its_tasks_back_at_once() {
    let (master, gate) = (Master::start().await, Gate::default());
    let (theirs, shutdown) = (gate.clone(), CancellationToken::new());
    master.change(|book| book.leases.push_back(lease()));
    let runner = Runner::new(master.client("node-token"), claim()).with_grace(Duration::ZERO);
    let handler = Do(move |context: Context| {
        let gate = theirs.clone();
        async move {
            gate.here.notify_one();
            context.cancel.cancelled().await;
            Ok(())
        }
    });
    let running = tokio::spawn(runner.run(Arc::new(handler), shutdown.clone().into()));
    gate.reached().await;

    shutdown.cancel();

    tokio::time::timeout(BOUND, running).await.expect("it stops").unwrap().unwrap();
    let ends: Vec<End> = master.book().reports.iter().map(|report| report.end.clone()).collect();
    let [End::GivenBack(failure)] = &ends[..] else { panic!("it was not given back: {ends:?}") };
    assert_eq!(failure.code, NODE_STOPS);
}

#[tokio::test]
async fn a_node_that_shall_end_does_what_it_has_to_its_end_and_then_ends() {
    let (master, gate) = (Master::start().await, Gate::default());
    let theirs = gate.clone();
    master.change(|book| book.leases.push_back(lease()));
    let two_slots = Claim { slots: 2, ..claim() };
    let runner = Runner::new(master.client("node-token"), two_slots).with_grace(Duration::ZERO);
    let handler = Do(move |_: Context| {
        let gate = theirs.clone();
        async move {
            gate.stop_here().await;
            Ok(())
        }
    });
    let running = tokio::spawn(runner.run(Arc::new(handler), Cancel::new()));
    gate.reached().await;

    master.change(|book| book.wants_end = true);
    gate.go_on.notify_one();

    tokio::time::timeout(BOUND, running).await.expect("it ends").unwrap().unwrap();
    assert_eq!(master.book().reports.len(), 1);
}

#[tokio::test]
async fn a_node_for_one_task_takes_one_and_tells_what_became_of_it() {
    let failure = |code: &str| Err::<(), _>(Failure::new(code, "it is so").into());
    let cases = [
        (Ok(()), Once::Succeeded),
        (failure("check_failed"), Once::Failed),
        (failure(NODE_DISK_FULL), Once::GivenBack),
        (failure(NODE_LAYER_DAMAGED), Once::GivenBack),
        (Err(Stop::Abandoned), Once::Abandoned),
    ];
    for (does, wanted) in cases {
        let master = Master::start().await;
        master.change(|book| book.leases.extend([lease(), lease()]));
        let runner = Runner::new(master.client("node-token"), claim());
        let handler = Arc::new(Do(move |_: Context| {
            let does: Result<(), Stop> = does.clone();
            async move { does }
        }));

        let ended = tokio::time::timeout(BOUND, runner.run_once(handler, None, Cancel::new())).await;

        assert_eq!(ended.expect("it ends").unwrap(), wanted);
        let book = master.book();
        assert_eq!((book.reports.len(), book.leases.len()), (usize::from(wanted != Once::Abandoned), 1), "{wanted:?}");
    }
}

#[tokio::test]
async fn a_node_for_one_task_ends_when_there_is_none_in_its_time_and_when_it_is_asked_to() {
    let master = Master::start().await;
    let node = || Runner::new(master.client("node-token"), claim());
    let nothing = || Arc::new(Do(async |_: Context| Ok(())));

    let in_no_time = node().run_once(nothing(), Some(Duration::ZERO), Cancel::new()).await.unwrap();
    let asked_to_end = Cancel::new();
    asked_to_end.trigger();
    let stopped = node().run_once(nothing(), None, asked_to_end).await.unwrap();

    assert_eq!((in_no_time, stopped), (Once::Nothing, Once::Nothing));
    assert!(master.book().reports.is_empty());
}

#[tokio::test]
async fn an_upload_waits_for_room_on_the_masters_disk() {
    let master = Master::start().await;
    master.change(|book| book.full_uploads = 2);
    let _node = master.node(Do(async |context: Context| {
        context.upload_bytes("what took hours to make", Kind::Log, "log").await?;
        Ok(())
    }));

    master.wait_until("the task is reported", |book| book.reports.len() == 1).await;

    assert!(matches!(master.book().reports[0].end, End::Succeeded(_)));
    assert_eq!(master.book().artifacts.len(), 1);
}

#[tokio::test]
async fn a_task_whose_upload_found_no_room_is_given_back_with_the_reason() {
    let master = Master::start().await;
    master.change(|book| {
        book.full_uploads = u32::MAX;
        book.leases.push_back(lease());
    });
    let runner = Runner::new(master.client("node-token"), claim()).with_room_patience(Duration::ZERO);
    let handler = Do(async |context: Context| {
        context.upload_bytes("it", Kind::Log, "log").await?;
        Ok(())
    });

    let once = tokio::time::timeout(BOUND, runner.run_once(Arc::new(handler), None, Cancel::new())).await.unwrap();

    assert_eq!(once.unwrap(), Once::GivenBack);
    let End::GivenBack(failure) = master.book().reports[0].end.clone() else { panic!("it was not given back") };
    assert_eq!(failure.code, MASTER_DISK_FULL);
}
