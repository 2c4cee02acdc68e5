//! The environment before the packages come: the platform's test packages, from the platform's own repositories.

use anima_environment::{Environment, Phases, Wishes};
use anima_types::work::TestWork;

use crate::solve::platform_inputs;
use crate::test_task::Job;
use crate::trouble::Trouble;

/// Makes it, or mounts it from a layer that is there.
pub(crate) async fn make(job: &Job<'_>, work: &TestWork) -> Result<Environment, Trouble> {
    let inputs = platform_inputs(work);
    let wishes = Wishes {
        platform: &work.platform.name,
        arch: work.arch,
        inputs: &inputs,
        base: &work.platform.buildroot.test_packages,
        extra: &[],
        exclude: &[],
        modules: &work.platform.modules,
        without_docs: false,
        bootstrap: work.platform.buildroot.bootstrap,
    };
    // Its own phases are one of ours.
    Ok(job.node.environments.prepare(wishes, &job.journal, &mut Phases::new(), &job.cancel).await?)
}
