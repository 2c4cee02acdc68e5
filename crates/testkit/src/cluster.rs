//! Several masters on one PostgreSQL and one S3 object store, and all other roles, behind a proxy.

use std::{fs, path::Path};

use crate::{ObjectStore, Postgres, Proxy, System};
use anyhow::Result;

/// The whole: the roles that are no masters are [`Cluster::roles`], which is spoken to like a whole system.
#[derive(Debug)]
pub struct Cluster {
    /// All roles but the master.
    pub roles: System,
    /// The masters.
    pub masters: Vec<System>,
    /// Their database.
    pub postgres: Postgres,
    _masters_proxy: Proxy,
    _git_proxy: Proxy,
    /// Their artifacts and logs.
    pub store: ObjectStore,
}

impl Cluster {
    /// Starts that many masters and one of each other role.
    pub async fn start(program: &Path, masters: usize) -> Result<Cluster> {
        let postgres = tokio::task::spawn_blocking(Postgres::start).await??;
        let store = ObjectStore::start()?;
        let (proxy, git_proxy) = (Proxy::start()?, Proxy::start()?);
        let shared = format!(
            "public_url = \"{}\"\ngit_url = \"{}\"\n[database]\nurl = \"{}\"\n[store]\n{}",
            proxy.url(),
            git_proxy.url(),
            postgres.database("anima")?,
            store.config("anima")?
        );
        let mut started: Vec<System> = Vec::new();
        for _ in 0..masters {
            let tokens = started.first().map(System::tokens);
            let master = System::start_roles(program, &shared, &["--role", "master"], tokens.as_deref()).await?;
            proxy.add(&master.listens_at()?)?;
            started.push(master);
        }
        let url = proxy.url();
        let mut arguments = vec!["--master", &url];
        for role in ["git-service", "build-node", "test-node", "sign-server", "release-system"] {
            arguments.extend(["--role", role]);
        }
        let tokens = started.first().map(System::tokens);
        let roles = System::start_roles(program, "", &arguments, tokens.as_deref()).await?;
        git_proxy.add(roles.git_url())?;
        Ok(Cluster { roles, masters: started, postgres, _masters_proxy: proxy, _git_proxy: git_proxy, store })
    }
}

/// Copies a folder of tokens, so that roles elsewhere have the same.
pub(crate) fn copy_tokens(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}
