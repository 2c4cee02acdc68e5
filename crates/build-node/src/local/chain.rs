//! An order on its way: source packages first, then each package when those that it needs are there.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use anima_environment::{Journal, Phases, blocking, sha256_of};
use anima_rpm_file::PackageInfo;
use anima_schedule::{Graph, Source};
use anima_types::Arch;
use anima_types::platform::Platform;
use anima_types::task_log::LogName;
use anima_types::work::{Failure, Input, SrcOutcome};
use anyhow::Context;
use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use super::report::{Made, PackageReport, REPORT_VERSION, Report, Status, StepReport};
use super::results::{PackageFolder, Results, copy, index, replace};
use super::worktree::WorkTree;
use super::{Event, Local, OWN_PRIORITY, Order, Origin, Refusal, Watch, address_of, inputs};
use crate::build_task::SrpmFile;
use crate::engine::{Aftermath, Around, Artifacts, SrpmPlace};
use crate::job::Target;
use crate::node::tell;
use crate::trouble::Trouble;
use crate::workroot::Workroot;

/// What the repository of the order's own packages is called in locks.
const OWN_REPOSITORY: &str = "local";

/// One order.
pub struct Chain<'a> {
    local: &'a Local,
    order: &'a Order,
    watch: Arc<dyn Watch>,
    cancel: &'a CancellationToken,
    results: Results,
    /// A repository of what was made so far.
    own: PathBuf,
    made_paths: Vec<PathBuf>,
}

/// A package whose source package is there.
struct Ready {
    name: String,
    srpm: PathBuf,
    made: SrcOutcome,
    folder: PackageFolder,
    steps: Vec<StepReport>,
}

/// What one step came to, for the caller to make a report of.
struct Done<T> {
    result: Result<T, Failure>,
    report: StepReport,
}

impl<'a> Chain<'a> {
    pub fn new(
        local: &'a Local,
        order: &'a Order,
        watch: Arc<dyn Watch>,
        cancel: &'a CancellationToken,
    ) -> anyhow::Result<Chain<'a>> {
        // One for each order: what an earlier one made is not this one's.
        let number = local.engine.folder_count.fetch_add(1, Ordering::Relaxed);
        let own = local.run.folder().join(format!("repository-{number}"));
        fs::create_dir_all(&own).with_context(|| format!("could not make {}", own.display()))?;
        let results = Results::open(&order.results)?;
        Ok(Chain { local, order, watch, cancel, results, own, made_paths: Vec::new() })
    }

    pub async fn build(mut self) -> anyhow::Result<Report> {
        let mut ready = Vec::new();
        let mut reports = Vec::new();
        for origin in &self.order.packages {
            match self.source(origin).await? {
                Ok(package) => ready.push(package),
                Err(report) => reports.push(report),
            }
        }
        // What a package provides whose source package could not be made nobody knows: nothing is built past it.
        if !reports.is_empty() {
            let why = format!("the source package of {} could not be made", reports[0].name);
            reports.extend(ready.into_iter().map(|package| self.left_out(package, &why)));
            return self.report(reports);
        }
        let names: BTreeSet<&str> = ready.iter().map(|package| package.name.as_str()).collect();
        if names.len() < ready.len() {
            return Err(asked("could not order the packages: one is named twice".to_owned()));
        }
        let sources: Vec<Source> = ready.iter().map(source).collect();
        let graph = Graph::new(&sources);
        let order = match graph.order() {
            Ok(order) => order,
            Err(circle) => return Err(asked(circle.to_string())),
        };
        let names: Vec<String> = order.iter().map(|at| graph.name(*at).to_owned()).collect();
        self.watch.see(Event::Ordered(&names));
        let mut ready: Vec<Option<Ready>> = ready.into_iter().map(Some).collect();
        let mut failed_names: BTreeSet<String> = BTreeSet::new();
        for at in order {
            let package = ready[at].take().expect("each comes once in an order");
            let missing =
                graph.needs(at).iter().map(|need| graph.name(*need)).find(|need| failed_names.contains(*need));
            let report = match missing {
                Some(need) => self.left_out(package, &format!("it needs {need}")),
                None => self.binaries(package, graph.len() > 1).await?,
            };
            if !report.is_success() {
                failed_names.insert(report.name.clone());
            }
            reports.push(report);
        }
        self.report(reports)
    }

    fn report(&self, packages: Vec<PackageReport>) -> anyhow::Result<Report> {
        for package in &packages {
            let json = serde_json::to_string_pretty(package).expect("a report is plain data");
            self.results.package_at(&package.folder).report(&(json + "\n"))?;
        }
        self.results.index()?;
        Ok(Report {
            version: REPORT_VERSION,
            platform: self.order.platform.name.clone(),
            folder: self.results.path().to_owned(),
            packages,
        })
    }

    fn left_out(&self, package: Ready, why: &str) -> PackageReport {
        let mut steps = package.steps;
        steps.extend(
            self.order
                .arches
                .iter()
                .map(|arch| StepReport { why: Some(why.to_owned()), ..StepReport::new(arch.name(), Status::LeftOut) }),
        );
        package_report(package.name, Some(package.made.nevra), package.folder.path(), steps)
    }

    /// Makes or takes the source package.
    async fn source(&self, origin: &Origin) -> anyhow::Result<Result<Ready, PackageReport>> {
        match origin {
            Origin::Folder(folder) => self.ready_folder(folder).await,
            Origin::Srpm(path) => self.ready_srpm(path).await,
        }
    }

    async fn ready_folder(&self, folder: &Path) -> anyhow::Result<Result<Ready, PackageReport>> {
        let tree = WorkTree { folder: folder.to_owned(), places: self.order.places.clone() };
        let name = tree.package().map_err(asked)?;
        let results = self.results.package(&name)?;
        let platform = self.order.platform_for(&name);
        let arch = self.order.arches[0];
        let from = inputs(&self.order.platform, arch);
        let target = Target { platform: &platform, package: &name, arch, inputs: &from };
        let step = results.step("src");
        let done = self
            .step(&name, "src", &results, &step, async |around, phases| {
                self.local.engine.src(around, phases, &target, &tree).await
            })
            .await?;
        let Done { result, mut report } = done;
        Ok(match result {
            Ok(made) => {
                let file = made.nevra.file_name();
                let srpm = results.path().join(&file);
                report.packages = vec![Made { nevra: made.nevra.clone(), sha256: made.srpm, file }];
                self.watch.see(Event::Ends { package: &name, step: &report });
                Ok(Ready { name: made.nevra.name.clone(), srpm, made, folder: results, steps: vec![report] })
            }
            Err(_) => {
                self.watch.see(Event::Ends { package: &name, step: &report });
                Err(package_report(name, None, results.path(), vec![report]))
            }
        })
    }

    async fn ready_srpm(&self, path: &Path) -> anyhow::Result<Result<Ready, PackageReport>> {
        let unreadable = || format!("could not read {}", path.display());
        let info = PackageInfo::read(path).with_context(unreadable)?;
        if !info.is_source {
            return Err(asked(format!("could not use {}: it is no source package", path.display())));
        }
        let name = info.nevra.name.clone();
        // Before the folder is emptied: it may be the very place that the source package is in.
        let kept = self.local.run.folder().join(info.nevra.file_name());
        // A second name of the same file, and of a second build (`--verify`) it is there already.
        replace(path, &kept).with_context(unreadable)?;
        let results = self.results.package(&name)?;
        let file = info.nevra.file_name();
        let srpm = results.source(&kept, &file)?;
        let sha256 = fs::File::open(&srpm).and_then(|mut file| sha256_of(&mut file)).with_context(unreadable)?;
        let build_requires: BTreeSet<String> = info.build_requires().map(ToString::to_string).collect();
        let mut made = SrcOutcome {
            srpm: sha256,
            build_requires: build_requires.into_iter().collect(),
            provides: Vec::new(),
            is_noarch: info.build_archs == ["noarch"],
            nevra: info.nevra,
            exclusive_arch: info.exclusive_archs,
            exclude_arch: info.exclude_archs,
        };
        let mut steps = Vec::new();
        // Alone it needs nobody's order, and what it provides nobody asks.
        if self.order.packages.len() > 1 {
            let platform = self.order.platform_for(&name);
            let arch = self.order.arches[0];
            let from = inputs(&self.order.platform, arch);
            let target = Target { platform: &platform, package: &name, arch, inputs: &from };
            let step = results.step("src");
            let Done { result, report } = self
                .step(&name, "src", &results, &step, async |around, phases| {
                    let srpm = SrpmFile { name: &file, path: &srpm };
                    self.local.engine.survey(around, phases, &target, srpm).await
                })
                .await?;
            self.watch.see(Event::Ends { package: &name, step: &report });
            match result {
                Ok((provides, is_noarch)) => (made.provides, made.is_noarch) = (provides, is_noarch),
                Err(_) => return Ok(Err(package_report(name, Some(made.nevra), results.path(), vec![report]))),
            }
            steps.push(report);
        }
        Ok(Ok(Ready { name, srpm, made, folder: results, steps }))
    }

    /// Builds a package for each architecture that it is for.
    async fn binaries(&mut self, package: Ready, is_shared: bool) -> anyhow::Result<PackageReport> {
        let Ready { name, srpm, made, folder, mut steps } = package;
        let platform = self.order.platform_for(&name);
        for (at, &arch) in self.order.arches.iter().enumerate() {
            let elsewhere = made.is_noarch && at > 0;
            let why = made.excluded(arch).or_else(|| {
                elsewhere.then(|| format!("all its packages are noarch, and built on {}", self.order.arches[0]))
            });
            let report = match why {
                Some(why) => StepReport { why: Some(why), ..StepReport::new(arch.name(), Status::Excluded) },
                None => self.binary(&name, &srpm, &folder, &platform, arch).await?,
            };
            self.watch.see(Event::Ends { package: &name, step: &report });
            if is_shared {
                self.share(&folder, &report)?;
            }
            steps.push(report);
        }
        Ok(package_report(name, Some(made.nevra), folder.path(), steps))
    }

    async fn binary(
        &self,
        name: &str,
        srpm: &Path,
        folder: &PackageFolder,
        platform: &Platform,
        arch: Arch,
    ) -> anyhow::Result<StepReport> {
        let mut from = inputs(&self.order.platform, arch);
        if !self.made_paths.is_empty() {
            let (name, url) = (OWN_REPOSITORY.to_owned(), address_of(&self.own)?);
            from.push(Input { name, url, priority: OWN_PRIORITY, is_own: true, ..Input::default() });
        }
        let target = Target { platform, package: name, arch, inputs: &from };
        let step = folder.step(arch.name());
        let file = srpm.file_name().unwrap_or_default().to_string_lossy();
        let Done { result, mut report } = self
            .step(name, arch.name(), folder, &step, async |around, phases| {
                self.local.engine.build(around, phases, &target, &file, SrpmPlace::Here(srpm)).await
            })
            .await?;
        if let Ok(built) = result {
            report.lock = Some(built.lock);
            let made = built.packages.into_iter().map(|package| Made {
                file: package.nevra.file_name(),
                nevra: package.nevra,
                sha256: package.artifact,
            });
            report.packages = made.collect();
        }
        Ok(report)
    }

    /// Lets the packages that come later see what was made.
    fn share(&mut self, folder: &PackageFolder, report: &StepReport) -> anyhow::Result<()> {
        for made in &report.packages {
            let (from, to) = (folder.path().join(&made.file), self.own.join(&made.file));
            if !to.exists() {
                copy(&from, &to).with_context(|| format!("could not write {}", to.display()))?;
                self.made_paths.push(to);
            }
        }
        index(&self.own, &self.made_paths)
    }

    /// Does one step with its own logs, the same three that a task of the master has.
    async fn step<T>(
        &self,
        package: &str,
        step: &str,
        folder: &PackageFolder,
        artifacts: &dyn Artifacts,
        work: impl AsyncFnOnce(Around<'_>, &mut Phases) -> Result<T, Trouble>,
    ) -> anyhow::Result<Done<T>> {
        self.watch.see(Event::Begins { package, step });
        let (log, journal) = self.journal(folder, step, LogName::Build)?;
        let (root_log, root_journal) = self.journal(folder, step, LogName::Root)?;
        let (state_log, state) = self.journal(folder, step, LogName::State)?;
        let mut phases = Phases::told(state);
        let name = format!("{package}-{step}");
        let show = Show { watch: Arc::clone(&self.watch), helper: &self.local.engine.helper };
        let around = Around {
            name: &name,
            master_url: "",
            replay: self.order.replay.as_ref(),
            artifacts,
            aftermath: self.order.shows_failed.then_some(&show as &dyn Aftermath),
            journal: &journal,
            root_journal: Some(&root_journal),
            about: None,
            cancel: self.cancel,
        };
        let result = match work(around, &mut phases).await {
            Ok(done) => Ok(done),
            Err(Trouble::Stopped) => return Err(Refusal::Cancelled.into()),
            Err(mut trouble @ Trouble::Failed(_)) => {
                tell(&journal, &mut trouble);
                let Trouble::Failed(failure) = trouble else { unreachable!("it was just matched") };
                Err(*failure)
            }
        };
        let status = if result.is_ok() { Status::Built } else { Status::Failed };
        let report = StepReport {
            log: Some(log),
            root_log: Some(root_log),
            state_log: Some(state_log),
            phases: phases.into_vec(),
            failure: result.as_ref().err().cloned(),
            ..StepReport::new(step, status)
        };
        Ok(Done { result, report })
    }

    /// Begins one of a step's logs.
    fn journal(&self, folder: &PackageFolder, step: &str, name: LogName) -> anyhow::Result<(PathBuf, Journal)> {
        let file_name = match name {
            LogName::Build => step.to_owned(),
            name => format!("{step}.{}", name.name()),
        };
        let (path, mut file) = folder.log(&file_name)?;
        let watch = Arc::clone(&self.watch);
        let journal = Journal::new(move |bytes| {
            // A log that cannot be written is told by what else cannot: the disk is full.
            let _ = file.write_all(bytes);
            match name {
                LogName::Build => watch.see(Event::Log(bytes)),
                LogName::Root => watch.see(Event::RootLog(bytes)),
                LogName::State => {}
            }
        });
        Ok((path, journal))
    }
}

/// Shows the root of what failed, and removes it when who looks has seen enough.
#[derive(Debug)]
struct Show<'a> {
    watch: Arc<dyn Watch>,
    helper: &'a Path,
}

impl Aftermath for Show<'_> {
    fn failed<'a>(&'a self, root: Workroot, failure: &'a Failure) -> BoxFuture<'a, Result<(), Trouble>> {
        let (watch, entry, failure) = (Arc::clone(&self.watch), root.entry(self.helper), failure.clone());
        Box::pin(async move {
            blocking(move || watch.failed(&entry, &failure)).await;
            root.remove().await
        })
    }
}

fn asked(why: String) -> anyhow::Error {
    Refusal::Asked(why).into()
}

fn source(package: &Ready) -> Source {
    Source {
        name: package.name.clone(),
        provides: package.made.provides.clone(),
        build_requires: package.made.build_requires.clone(),
        cost_secs: 0.0,
    }
}

fn package_report(
    name: String,
    nevra: Option<anima_types::Nevra>,
    folder: &Path,
    steps: Vec<StepReport>,
) -> PackageReport {
    PackageReport { version: REPORT_VERSION, name, nevra, folder: folder.to_owned(), steps }
}
