//! The environment before the packages come: the platform's test packages, from the platform's own repositories.

use std::path::Path;

use anima_buildroot::{MAX_RPM_BYTES, room};
use anima_environment::{Environment, Installer, Most, Phases, Wishes};
use anima_sandbox::Disk;
use anima_types::work::TestWork;

use crate::solve::platform_inputs;
use crate::test_task::Job;
use crate::trouble::Trouble;

/// The environment with the rpm that made it.
#[derive(Debug)]
pub(crate) struct Ground {
    pub environment: Environment,
    /// The platform's own where its roots are made by that: the host's may not know their database.
    pub installer: Installer,
    /// What all scripts of packages together may write in it.
    pub disk: Disk,
}

impl Ground {
    /// Returns where the root is mounted.
    pub fn root(&self) -> &Path {
        self.environment.root()
    }
}

/// Makes it, or mounts it from a layer that is there.
pub(crate) async fn make(job: &Job<'_>, work: &TestWork) -> Result<Ground, Trouble> {
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
        most: Most::default(),
    };
    let environments = &job.node.environments;
    // Its own phases are one of ours.
    let environment = environments.prepare(wishes, &job.journal, &mut Phases::new(), &job.cancel).await?;
    let installer = environments.installer(wishes, &job.journal, &job.cancel).await?;
    // Looked at once: later the disk has less room for what was written already.
    let disk = room(&environment.written(), MAX_RPM_BYTES).map_err(anima_environment::Error::from)?;
    Ok(Ground { environment, installer, disk })
}
