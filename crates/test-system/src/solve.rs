//! Which packages can be in the environment together, and what else they need.

use std::collections::{BTreeMap, BTreeSet};

use anima_environment::{Environments, Journal, Most, Wishes};
use anima_solver::{Lock, Problem};
use anima_types::Nevra;
use anima_types::work::{Input, TestWork};
use tokio_util::sync::CancellationToken;

use crate::blame;
use crate::subject::Subject;
use crate::trouble::Trouble;

/// What the solver says of the packages under test.
#[derive(Debug)]
pub(crate) struct Plan {
    /// All that is in the environment in the end; nothing when no package under test can be in it.
    pub whole: Option<Lock>,
    /// The packages that cannot be installed, and why.
    pub refused: BTreeMap<Nevra, String>,
}

/// Returns the repositories of the platform itself: the environment is a user's machine before the packages come.
pub(crate) fn platform_inputs(work: &TestWork) -> Vec<Input> {
    let is_platforms =
        |input: &&Input| work.platform.repositories.iter().any(|repository| repository.name == input.name);
    work.inputs.iter().filter(is_platforms).cloned().collect()
}

/// Solves for all packages in one transaction. Those that stand in the way are left out, and the rest is solved again.
pub(crate) async fn solve(
    environments: &Environments,
    work: &TestWork,
    subjects: &[Subject],
    journal: &Journal,
    cancel: &CancellationToken,
) -> Result<Plan, Trouble> {
    let mut refused = BTreeMap::new();
    loop {
        let left: Vec<&Subject> = subjects.iter().filter(|subject| !refused.contains_key(subject.nevra())).collect();
        if left.is_empty() {
            return Ok(Plan { whole: None, refused });
        }
        let extra: Vec<String> = left.iter().map(|subject| subject.exact()).collect();
        let newly_refused = match environments.solve(wishes(work, &extra), cancel).await {
            Ok(whole) => {
                let replaced = replaced(&left, &whole);
                if replaced.is_empty() {
                    journal.say(format!("{} of {} packages can be installed together", left.len(), subjects.len()));
                    return Ok(Plan { whole: Some(whole), refused });
                }
                replaced
            }
            Err(anima_environment::Error::Solver(anima_solver::Error::Unsolvable(problem))) => {
                // Where not even the platform's own packages can be had, no verdict is fair.
                environments.solve(wishes(work, &[]), cancel).await?;
                tell(journal, &problem);
                blamed(&problem, &left)
            }
            Err(error) => return Err(error.into()),
        };
        newly_refused.iter().for_each(|(nevra, why)| journal.say(format!("RED {nevra}: {why}")));
        refused.extend(newly_refused);
    }
}

fn wishes<'a>(work: &'a TestWork, extra: &'a [String]) -> Wishes<'a> {
    let base = &work.platform.buildroot.test_packages;
    Wishes {
        platform: &work.platform.name,
        arch: work.arch,
        inputs: &work.inputs,
        base,
        extra,
        exclude: &[],
        modules: &work.platform.modules,
        without_docs: false,
        bootstrap: work.platform.buildroot.bootstrap,
        most: Most::default(),
    }
}

fn tell(journal: &Journal, problem: &Problem) {
    problem.problems.iter().for_each(|sentence| journal.say(format!("solver: {sentence}")));
}

/// A problem that names none of them is everybody's: it comes of them all together.
fn blamed(problem: &Problem, left: &[&Subject]) -> BTreeMap<Nevra, String> {
    let named: Vec<_> = left.iter().map(|subject| (subject.nevra(), subject.exact())).collect();
    let blamed = blame::by_problem(problem, &named);
    if blamed.is_empty() {
        return left.iter().map(|subject| (subject.nevra().clone(), problem.to_string())).collect();
    }
    blamed
}

/// Returns the packages in whose place the solver took another, of the same name and version.
fn replaced(left: &[&Subject], whole: &Lock) -> BTreeMap<Nevra, String> {
    let chosen: BTreeSet<String> = whole.packages.iter().map(|package| package.nevra()).collect();
    let is_replaced = |subject: &&&Subject| !chosen.contains(&subject.nevra().to_string());
    let why = "the solver takes a package of the same version and another architecture".to_owned();
    left.iter().filter(is_replaced).map(|subject| (subject.nevra().clone(), why.clone())).collect()
}
