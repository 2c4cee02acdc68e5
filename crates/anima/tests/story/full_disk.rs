//! A node's disk is filled by something else while it builds: nothing is lost, everybody sees why it waits, and it goes on when
//! there is room again.

use std::{path::Path, time::Duration};

use anima_testkit::{SmallDisk, SourcePackage, System};
use anima_types::{node::State, task};

use crate::BUILD_LIMIT;

/// The roots of Seed Linux and what they are made from, and what a node wants to have free.
const DISK_MIB: u64 = 6144;
/// The node looks every few seconds.
const LOOK_LIMIT: Duration = Duration::from_secs(60);

const SPEC: &str = "Name: writer\nVersion: 1\nRelease: 1%{?dist}\nSummary: Writes for some seconds\nLicense: MIT\nBuildArch: noarch\n\
    %description\nWrites.\n%build\necho begun\nfor i in $(seq 60); do head -c 1M /dev/zero > piece.$i || exit 1; sleep 0.1; done\n\
    %install\nmkdir -p %{buildroot}/usr/share/writer\n%files\n/usr/share/writer\n\
    %changelog\n* Mon Nov 23 2026 A <a@example.org> - 1-1\n- First\n";

#[tokio::test]
async fn a_build_on_a_disk_that_others_fill_waits_for_room_and_is_then_released() {
    let disk = SmallDisk::new(DISK_MIB).unwrap();
    let configuration = format!("[build_node]\ndata = \"{}\"\n", disk.path().display());
    let system = System::start_with(Path::new(env!("CARGO_BIN_EXE_anima")), &configuration).await.unwrap();
    let package = SourcePackage::with_spec("writer", SPEC).unwrap();
    let commit = system.push(&package, "s1").unwrap();
    let build = system.build_of("writer", &commit).await.unwrap();
    let build_task = async || {
        let detail = system.client().build(build).await.ok()?;
        detail.tasks.into_iter().find(|task| task.kind == task::Kind::Build)
    };
    let begun = system.wait(BUILD_LIMIT, async || {
        let task = build_task().await?;
        let log = system.anima(&["task", "log", &task.id.to_string()]).ok()?;
        String::from_utf8_lossy(&log.stdout).contains("\nbegun\n").then_some(())
    });
    begun.await.unwrap_or_else(|| panic!("it was not begun:\n{}", system.up_log()));

    disk.fill().unwrap();

    let waiting =
        system.wait(BUILD_LIMIT, async || build_task().await.filter(|task| task.why.contains("gave it back")));
    let task = waiting.await.unwrap_or_else(|| panic!("it was not given back:\n{}", system.up_log()));
    assert_eq!(task.status, task::Status::Ready, "{}", task.why);
    assert!(task.why.contains("the disk of the machine was full"), "{}", task.why);
    let unfit = system.wait(LOOK_LIMIT, async || {
        let nodes = system.client().nodes().await.ok()?;
        let node = nodes.into_iter().find(|node| node.state == State::Unfit)?;
        node.why.filter(|why| why.starts_with("its disk is too full"))
    });
    unfit.await.expect("the node says that its disk is too full");

    disk.make_room().unwrap();

    let detail = system.released(build, BUILD_LIMIT).await.unwrap();
    let task = detail.tasks.iter().find(|task| task.kind == task::Kind::Build).unwrap();
    assert_eq!(task.status, task::Status::Succeeded);
    assert_eq!(task.attempts, 2, "its claims that waited since before did not get it once more");
}
