use super::*;
use crate::{
    node, task,
    testing::{self, Scratch},
};
use anima_types::{
    Arch,
    lease::{Condition, Machine},
    task::Event,
};

fn claim(machine: Option<Machine>) -> Claim {
    Claim {
        node: "n1".into(),
        kinds: Vec::new(),
        architectures: Vec::new(),
        emulated: Vec::new(),
        slots: 2,
        version: "1".into(),
        instance: String::new(),
        started_at: None,
        wait_secs: 0,
        condition: Condition { machine, ..Condition::default() },
    }
}

#[tokio::test]
async fn a_nodes_load_is_noted_once_in_five_minutes_and_forgotten_after_a_time() {
    let scratch = Scratch::new().await;
    let machine = Machine { cores: 4, memory_mib: 9, free_memory_mib: 7, free_disk_mib: 5, load_percent: 250 };
    let mut write = scratch.write_at(1_000_000).await;
    node::seen(&mut write, &claim(None)).await.unwrap();
    let build = testing::build(&mut write).await;
    let id = testing::build_task(&mut write, build, "jq", Arch::X86_64).await;
    let waiting = task::get(&mut write, id).await.unwrap();
    task::apply(&mut write, &waiting, Event::DependenciesMet, "It waits for a node.").await.unwrap();
    let ready = task::get(&mut write, id).await.unwrap();
    task::claim(&mut write, &ready, "n1", Timestamp(0), "It runs.").await.unwrap();

    note_alive(&mut write, &["n1", "nobody"]).await.unwrap();
    note_alive(&mut write, &["n1"]).await.unwrap();
    let at = Timestamp(begin(write.now));
    let alone = LoadSample { at, working: 1, slots: 2, load_percent: None, free_memory_mib: None, free_disk_mib: None };
    assert_eq!(since(&mut write, "n1", Timestamp(0)).await.unwrap(), [alone]);
    for load_percent in [250, 999] {
        note_claim(&mut write, &claim(Some(Machine { load_percent, ..machine }))).await.unwrap();
    }
    note_claim(&mut write, &claim(None)).await.unwrap();
    let whole = LoadSample { load_percent: Some(250), free_memory_mib: Some(7), free_disk_mib: Some(5), ..alone };
    assert_eq!(since(&mut write, "n1", Timestamp(0)).await.unwrap(), [whole]);
    write.commit().await.unwrap();

    let mut write = scratch.write_at(1_000_000 + SAMPLE_SECS).await;
    note_alive(&mut write, &["n1"]).await.unwrap();
    assert_eq!(since(&mut write, "n1", Timestamp(0)).await.unwrap().len(), 2);
    assert!(!has_before(&mut write, at).await.unwrap());
    let later = at.plus_secs(SAMPLE_SECS);
    assert!(has_before(&mut write, later).await.unwrap());
    drop_before(&mut write, later).await.unwrap();
    assert_eq!(since(&mut write, "n1", Timestamp(0)).await.unwrap().len(), 1);
    drop_of(&mut write, "n1").await.unwrap();
    assert_eq!(since(&mut write, "n1", Timestamp(0)).await.unwrap(), []);
}
