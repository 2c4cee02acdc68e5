//! Why a release stands where it stands: the tasks that it waits for, what its gates found, and who has a word to say.

use anima_db::{Read, release::Release, task::Task};
use anima_types::{
    gate::{self, Decision},
    id::ReleaseId,
    release::Status,
    task,
    why::{Fact, ReleaseWhy},
};

use crate::{app::App, error::ApiResult, signing, why::name};

/// Returns why a release stands where it stands.
pub async fn why(app: &App, id: ReleaseId) -> ApiResult<ReleaseWhy> {
    let mut read = app.db.read().await?;
    let row = anima_db::release::get(&mut read, id).await?;
    let mut why = ReleaseWhy {
        release: id,
        status: row.status,
        summary: row.summary.clone(),
        facts: Vec::new(),
        starts_at: None,
        hint: None,
    };
    match row.status {
        Status::Planning | Status::Publishing | Status::Signing => tasks(&mut read, app, &row, &mut why).await?,
        Status::Planned | Status::Scheduled => decision(&mut read, &row, &mut why).await?,
        Status::Failed => {
            tasks(&mut read, app, &row, &mut why).await?;
            why.hint.get_or_insert_with(|| format!("When that is mended: `anima release replan {id}`."));
        }
        Status::Released | Status::Reverted | Status::Abandoned => {}
    }
    Ok(why)
}

/// Says which tasks are not done, the first that something can be done about with its cure.
async fn tasks(read: &mut Read, app: &App, row: &Release, why: &mut ReleaseWhy) -> ApiResult<()> {
    for task in open(read, row.id).await? {
        let text = format!("Task {} ({}) is {}: {}", task.id, name(&task), task.status.name(), task.why);
        why.facts.push(Fact { about: "waits_for".to_string(), text, task: Some(task.id) });
        if why.hint.is_none() {
            why.hint = match task.status {
                task::Status::Failed => task.failure.as_ref().and_then(|failure| failure.hint.clone()),
                _ => signing::why_not(read, &task, app.now()).await?.and_then(|(_, hint)| hint),
            };
        }
    }
    Ok(())
}

/// Returns the tasks of a release that are neither done nor given up; of those that failed, the ones after which nothing of the kind
/// was tried.
pub async fn open(read: &mut Read, release: ReleaseId) -> ApiResult<Vec<Task>> {
    use task::Status::{Blocked, Failed, Leased, Ready, Waiting};
    let tasks = anima_db::task::of_release(read, release).await?;
    let is_newest = |task: &Task| !tasks.iter().any(|other| other.about == task.about && other.id > task.id);
    let is_open = |task: &Task| match task.status {
        Waiting | Ready | Leased | Blocked => true,
        Failed => is_newest(task),
        _ => false,
    };
    let mut open = tasks.clone();
    open.retain(is_open);
    Ok(open)
}

/// Says what is in the way of users getting it.
async fn decision(read: &mut Read, row: &Release, why: &mut ReleaseWhy) -> ApiResult<()> {
    let fact = |about: &str, text: String| Fact { about: about.to_string(), text, task: None };
    let id = row.id;
    for answer in row.gates.iter().filter(|answer| answer.found_count > 0) {
        let level = match answer.level {
            gate::Level::Block => "blocks",
            gate::Level::Ask => "asks for a reason",
            gate::Level::Tell => "tells",
        };
        let first = answer.found.first().map_or(String::new(), |first| format!(": {}", first.text));
        let more = match answer.found_count {
            0 | 1 => String::new(),
            count => format!(" (and {} more)", count - 1),
        };
        why.facts.push(fact("gate", format!("Gate {} {level}{first}{more}.", answer.gate.name())));
    }
    let wanted = anima_db::product::get(read, &row.product).await?.product.options.approvals as usize;
    let missing = wanted.saturating_sub(row.approvals.len());
    if wanted > 0 {
        let who = row.approvals.iter().map(|one| one.who.as_str()).collect::<Vec<_>>().join(", ");
        let who = if who.is_empty() { String::new() } else { format!(": {who}") };
        why.facts
            .push(fact("approvals", format!("{} of {wanted} people said that it is good{who}.", row.approvals.len())));
    }
    if row.status == Status::Scheduled {
        why.starts_at = row.scheduled_at;
        why.hint = Some(format!("It goes at its time; `anima release unschedule {id}` takes that back."));
        return Ok(());
    }
    why.hint = Some(match gate::decide(&row.gates) {
        Decision::Blocked(_) => format!(
            "Mend what blocks it and say `anima release replan {id}`, or leave it out (`anima release edit`); an admin may \
             `anima release force {id} --reason TEXT`."
        ),
        _ if missing > 0 => format!("Others say that it is good with `anima release approve {id}`."),
        Decision::Asks(_) => format!("It goes to users with `anima release commit {id} --reason TEXT`."),
        Decision::Open => format!("It goes to users with `anima release commit {id}`."),
    });
    Ok(())
}
