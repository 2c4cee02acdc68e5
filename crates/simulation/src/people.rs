//! What people do: push, and press buttons at any time.

use anima_types::Timestamp;
use axum::http::Method;
use serde_json::{Value, json};

use crate::{master::Call, package, random::Random};

/// Mass rebuilds in one world at most: each builds all packages.
const MAX_REBUILDS: usize = 2;

/// A release is scheduled for so much later at most.
const MAX_SCHEDULED_MICROS: i64 = 90_000_000;

/// A push of a version of a package.
#[derive(Clone, Debug)]
pub struct Push {
    pub package: &'static str,
    pub version: i64,
    pub pusher: &'static str,
}

/// Returns the pushes of a world with the seconds at which they come: versions of a package in their order.
pub fn pushes(random: &mut Random) -> Vec<(i64, Push)> {
    let mut pushes = Vec::new();
    let mut at = 1;
    for version in 1..=random.between(1, package::VERSIONS) {
        for package in package::NAMES {
            if random.thousandths(700) {
                at += if random.thousandths(600) { 0 } else { random.between(1, 30) };
                let pusher = if random.thousandths(800) { "ann" } else { "bob" };
                pushes.push((at, Push { package, version, pusher }));
            }
        }
        at += random.between(0, 60);
    }
    pushes
}

/// Returns the commit of a push.
pub fn commit(push: &Push) -> String {
    format!("{}-{}", push.package, push.version)
}

/// Returns what tells the master of a push.
pub fn tell(push: &Push, token: String) -> Call {
    let body = json!({
        "package": push.package, "branch": "p1", "commit": commit(push),
        "subject": "Update", "pusher": push.pusher,
    });
    Call { method: Method::POST, path: "/api/v1/pushes".to_string(), token, body: body.to_string().into_bytes() }
}

/// Returns something that a person may press, given the builds and releases of a moment, and the master's clock.
pub fn act(random: &mut Random, builds: &[Value], releases: &[Value], micros: i64, token: String) -> Option<Call> {
    let (list, noun) = match random.thousandths(500) {
        true => (builds, "builds"),
        false => (releases, "releases"),
    };
    if list.is_empty() {
        return None;
    }
    let one = random.pick(list);
    let status = one["status"].as_str()?;
    let verb = match (noun, status) {
        ("builds", "failed" | "cancelled") => "restart",
        ("builds", "succeeded") => return None,
        ("builds", _) => "cancel",
        (_, "planned") => *random.pick(&["commit", "abandon", "schedule", "schedule"]),
        (_, "scheduled") => *random.pick(&["unschedule", "commit", "abandon"]),
        (_, "released") => "revert",
        (_, "failed") => "replan",
        _ => return None,
    };
    if verb == "schedule" {
        let at = Timestamp(micros + random.between(0, MAX_SCHEDULED_MICROS));
        let path = format!("/api/v1/releases/{}/schedule", one["id"]);
        let body = json!({ "at": at, "reason": "it has to be" }).to_string().into_bytes();
        return Some(Call { method: Method::POST, path, token, body });
    }
    Some(press(noun, &one["id"], verb, token))
}

/// Returns something that a person may do with mass rebuilds: begin one, hold it, let it go on, leave something out of it, release it.
pub fn act_on_rebuilds(random: &mut Random, rebuilds: &[Value], token: String) -> Call {
    if rebuilds.is_empty() || (rebuilds.len() < MAX_REBUILDS && random.thousandths(150)) {
        let limit = random.thousandths(700).then(|| random.between(1, 3));
        let body = json!({ "platform": "p1", "limit": limit, "is_paused": random.thousandths(300) });
        let path = "/api/v1/rebuilds".to_string();
        return Call { method: Method::POST, path, token, body: body.to_string().into_bytes() };
    }
    let id = &random.pick(rebuilds)["build"]["id"];
    match *random.pick(&["pause", "pause", "resume", "resume", "limit", "retry", "leave-out", "release"]) {
        "leave-out" => {
            // What failed, or one of them, however it stands.
            let one = random.pick(&package::NAMES);
            let packages = if random.thousandths(500) { Vec::new() } else { vec![*one] };
            let body = json!({ "packages": packages, "reason": "it has to be" }).to_string().into_bytes();
            Call { method: Method::POST, path: format!("/api/v1/rebuilds/{id}/leave-out"), token, body }
        }
        "limit" => {
            let limit = random.thousandths(700).then(|| random.between(1, 4));
            let path = format!("/api/v1/rebuilds/{id}/limit");
            Call { method: Method::PUT, path, token, body: json!({ "limit": limit }).to_string().into_bytes() }
        }
        verb => press("rebuilds", id, verb, token),
    }
}

/// Returns what presses a button.
pub fn press(noun: &str, id: &Value, verb: &str, token: String) -> Call {
    let body = json!({ "reason": "it has to be" }).to_string().into_bytes();
    Call { method: Method::POST, path: format!("/api/v1/{noun}/{id}/{verb}"), token, body }
}

/// Returns a moment as a line of a trace has it: seconds since the world began.
pub fn seconds(micros: i64, start: Timestamp) -> f64 {
    (micros - start.0) as f64 / 1e6
}
