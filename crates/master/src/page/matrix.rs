//! A build as a matrix for each platform: packages down; source package, architectures, test, signatures and release
//! across.

use std::collections::BTreeMap;

use anima_db::release::Release;
use anima_types::{
    Arch, Nevra, artifact,
    build::BuildDetail,
    task::{Kind, Status, Task},
    work::{Outcome, Verdict},
};

use super::words::{NOTHING, State, address_part, duration, verdict};
use crate::app::App;

/// The matrix of one platform.
pub struct Matrix {
    /// The platform.
    pub platform: String,
    /// The heads of the columns after the package's.
    pub heads: Vec<String>,
    /// A line for each package.
    pub rows: Vec<Row>,
}

/// A line of a matrix.
pub struct Row {
    /// The package.
    pub package: String,
    /// Its name in its page's address.
    pub address: String,
    /// One for each head.
    pub cells: Vec<Cell>,
}

/// A cell of a matrix.
pub struct Cell {
    /// Where it stands.
    pub state: State,
    /// A few words more.
    pub text: String,
    /// Why.
    pub why: String,
    /// The page that says more; may be empty.
    pub address: String,
}

impl Cell {
    fn new(state: State, text: impl Into<String>, address: impl Into<String>) -> Cell {
        Cell { state, text: text.into(), why: String::new(), address: address.into() }
    }
}

/// Returns what a task's work gave.
pub fn outcome(task: &Task) -> Option<Outcome> {
    serde_json::from_value(task.result.clone()?).ok()
}

/// Returns the verdicts of a build with the test task that gave each.
pub fn verdicts(tasks: &[Task]) -> Vec<(&Task, Verdict)> {
    let tests = tasks.iter().filter(|task| task.kind == Kind::Test);
    let given = tests.filter_map(|task| match outcome(task) {
        Some(Outcome::Test(made)) => Some(made.verdicts.into_iter().map(move |verdict| (task, verdict))),
        _ => None,
    });
    given.flatten().collect()
}

/// What the cells of one build are looked up in.
struct Build<'a> {
    app: &'a App,
    detail: &'a BuildDetail,
    releases: &'a [Release],
    verdicts: Vec<(&'a Task, Verdict)>,
    by_package: BTreeMap<(&'a str, &'a str), Vec<&'a Task>>,
}

/// Returns the matrices of a build, with at most `max_rows` packages in each.
pub fn matrices(app: &App, detail: &BuildDetail, releases: &[Release], max_rows: usize) -> Vec<Matrix> {
    let mut by_package: BTreeMap<_, Vec<&Task>> = BTreeMap::new();
    for task in &detail.tasks {
        if let (Some(package), Some(platform)) = (&task.package, &task.platform) {
            by_package.entry((package.as_str(), platform.as_str())).or_default().push(task);
        }
    }
    let build = Build { app, detail, releases, verdicts: verdicts(&detail.tasks), by_package };
    detail.build.platforms.iter().map(|platform| build.matrix(platform, max_rows)).collect()
}

impl Build<'_> {
    fn matrix(&self, platform: &str, max_rows: usize) -> Matrix {
        let archs = &self.detail.build.architectures;
        let mut heads = vec!["src".to_string()];
        heads.extend(archs.iter().map(|arch| arch.name().to_string()));
        heads.extend(["test", "sign", "release"].map(str::to_string));
        let sources = self.detail.build.sources.iter().take(max_rows);
        let rows = sources.map(|source| self.row(&source.package, platform, archs)).collect();
        Matrix { platform: platform.to_string(), heads, rows }
    }

    fn row(&self, package: &str, platform: &str, archs: &[Arch]) -> Row {
        let tasks = self.by_package.get(&(package, platform)).map_or(&[][..], Vec::as_slice);
        let find = |kind, arch: Option<Arch>| {
            tasks.iter().rev().find(|task| task.kind == kind && (arch.is_none() || task.arch == arch))
        };
        let mut cells = vec![self.task_cell(find(Kind::Src, None).copied())];
        cells.extend(archs.iter().map(|&arch| self.task_cell(find(Kind::Build, Some(arch)).copied())));
        cells.push(self.test_cell(tasks, platform));
        cells.push(self.sign_cell(tasks));
        cells.push(self.release_cell(platform));
        Row { package: package.to_string(), address: address_part(package), cells }
    }

    fn task_cell(&self, task: Option<&Task>) -> Cell {
        let Some(task) = task else { return Cell::new(NOTHING, "", "") };
        let text = match task.status {
            Status::Succeeded | Status::Failed | Status::Leased => took(task, self.app),
            other => other.name().to_string(),
        };
        let text = if task.is_emulated { format!("{text} emulated") } else { text };
        Cell { why: task.why.clone(), ..Cell::new(task.status.into(), text, format!("/tasks/{}", task.id)) }
    }

    /// Verdicts of what the package's tasks built; before there are any, where the test stands.
    fn test_cell(&self, tasks: &[&Task], platform: &str) -> Cell {
        let built: Vec<Nevra> = tasks.iter().flat_map(|task| built(task)).collect();
        let its = self
            .verdicts
            .iter()
            .filter(|(task, verdict)| task.platform.as_deref() == Some(platform) && built.contains(&verdict.nevra));
        let its: Vec<_> = its.collect();
        if let Some((first, _)) = its.first() {
            let green = its.iter().filter(|(_, verdict)| verdict.is_green).count();
            let text = format!("{green} of {}", its.len());
            return Cell::new(verdict(green == its.len()), text, format!("/tasks/{}", first.id));
        }
        let is_its = |task: &&Task| task.kind == Kind::Test && task.platform.as_deref() == Some(platform);
        let tests = self.detail.tasks.iter().filter(is_its);
        self.task_cell(tests.max_by_key(|task| (task.status == Status::Failed, !task.status.is_ended())))
    }

    fn sign_cell(&self, tasks: &[&Task]) -> Cell {
        let is_package = |kind| matches!(kind, artifact::Kind::Rpm | artifact::Kind::Srpm);
        let files: Vec<_> =
            tasks.iter().flat_map(|task| &task.artifacts).filter(|file| is_package(file.kind)).collect();
        let signed = files.iter().filter(|file| file.signed.is_some()).count();
        let signer = self.detail.tasks.iter().rev().find(|task| task.kind == Kind::Sign);
        let text = format!("{signed} of {}", files.len());
        match signer {
            Some(task) if signed > 0 && signed == files.len() => {
                Cell::new(Status::Succeeded.into(), text, format!("/tasks/{}", task.id))
            }
            Some(task) if task.status != Status::Succeeded => self.task_cell(Some(task)),
            Some(task) => Cell::new(Status::Waiting.into(), text, format!("/tasks/{}", task.id)),
            None => Cell::new(NOTHING, "", ""),
        }
    }

    fn release_cell(&self, platform: &str) -> Cell {
        let product = self.app.platform(platform).and_then(|platform| platform.release_to.as_deref());
        let release = self.releases.iter().rev().find(|release| product == Some(release.product.as_str()));
        let Some(release) = release.or(self.releases.last().filter(|_| product.is_none())) else {
            return Cell::new(NOTHING, "", "");
        };
        Cell {
            why: release.summary.clone(),
            ..Cell::new(release.status.into(), &release.product, format!("/releases/{}", release.id))
        }
    }
}

fn built(task: &Task) -> Vec<Nevra> {
    match outcome(task) {
        Some(Outcome::Build(made)) => made.packages.into_iter().map(|package| package.nevra).collect(),
        _ => Vec::new(),
    }
}

/// Says how long a task ran, or runs so far; nothing if it never did.
pub fn took(task: &Task, app: &App) -> String {
    let Some(started) = task.started_at else { return String::new() };
    duration(task.ended_at.unwrap_or_else(|| app.now()).secs_since(started))
}
