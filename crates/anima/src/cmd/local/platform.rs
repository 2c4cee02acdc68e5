//! Which platform is meant, and where its repositories are for this machine.

use std::path::{Path, PathBuf};

use anima_build_node::local;
use anima_types::{
    Arch,
    platform::{Limits, Platform, Repository},
};
use clap::Args;
use url::Url;

use crate::{
    args::Global,
    cmd::role,
    config::Config,
    data::DataFolder,
    exit::{Failure, Result},
    platforms,
};

/// What stands for the master's address in platform files.
const MASTER: &str = "{master}";
/// A repository that is only named on the command line is as good as any other.
const PRIORITY: i32 = 99;

/// What every command takes that makes roots of a platform on this machine.
#[derive(Args, Debug)]
pub struct PlatformArgs {
    /// A platform by its name, or by its file (FOLDER/NAME.toml)
    #[arg(long, value_name = "NAME|FILE", env = "ANIMA_PLATFORM")]
    platform: String,
    /// Where a repository of the platform is in place of what its file says, or one more; repeat it for more
    #[arg(long = "repository", value_name = "NAME=URL|FOLDER", value_parser = parse_repository)]
    repositories: Vec<(String, String)>,
    /// Keeps packages and layers for the next time [default: `local` in the data folder]
    #[arg(long, value_name = "FOLDER")]
    cache: Option<PathBuf>,
}

impl PlatformArgs {
    /// Returns the platform, its repositories at addresses that this machine reads.
    pub fn platform(&self, global: &Global) -> Result<Platform> {
        let data = DataFolder::new(global.data.as_deref());
        let mut platform = find(&self.platform, &data)?;
        let master = global.master.clone().or_else(|| data.read_running().map(|running| running.master_url));
        self.place(&mut platform, master.as_deref())?;
        Ok(platform)
    }

    /// Returns the platform for who has a lock: of its repositories only those that are named here are asked.
    pub fn platform_of_lock(&self, global: &Global) -> Result<Platform> {
        let mut platform = find(&self.platform, &DataFolder::new(global.data.as_deref()))?;
        platform.repositories.clear();
        self.place(&mut platform, None)?;
        Ok(platform)
    }

    /// Returns what a machine that builds for its own user has to know; limits that are not said here are those of its
    /// configuration. It has to be root: it makes roots.
    pub fn config(&self, global: &Global, limits: Limits) -> Result<local::Config> {
        if !rustix::process::geteuid().is_root() {
            return Err(Failure::user("only root can make roots and enter them")
                .hint("run it with sudo; results belong to whom the folder belongs that they are put into"));
        }
        let data = DataFolder::new(global.data.as_deref());
        let config = Config::load(global.config.as_deref(), &data)?;
        let folder = self.cache.clone().unwrap_or_else(|| data.path().join("local"));
        let node = &config.build_node;
        Ok(local::Config {
            data: crate::up::whole(&folder)?,
            helper: role::helper(),
            emulators: role::emulators(node.emulate.as_deref(), node.emulators.as_deref())?,
            limits: limits.or(node.limits),
            budget: node.budget(),
        })
    }

    /// Returns the architectures whose programs this machine runs: first by itself, then with emulators.
    pub fn architectures(&self, global: &Global) -> Result<Vec<Arch>> {
        let config = Config::load(global.config.as_deref(), &DataFolder::new(global.data.as_deref()))?;
        let node = &config.build_node;
        let mut all = role::own_architectures()?;
        let emulated = role::emulators(node.emulate.as_deref(), node.emulators.as_deref())?.architectures();
        all.extend(emulated.into_iter().filter(|arch| !all.contains(arch)).collect::<Vec<_>>());
        Ok(all)
    }

    fn place(&self, platform: &mut Platform, master: Option<&str>) -> Result {
        let own = platform.packages.values_mut().flat_map(|package| &mut package.repositories);
        for repository in platform.repositories.iter_mut().chain(own) {
            if let Some((_, address)) = self.repositories.iter().find(|(name, _)| *name == repository.name) {
                repository.url = address.clone();
            }
            if repository.url.contains(MASTER) {
                let master = master.ok_or_else(|| {
                    Failure::user(format!("repository \"{}\" of the platform is at a master", repository.name))
                        .hint(format!("say where: --master URL, or --repository {}=URL|FOLDER", repository.name))
                })?;
                repository.url = repository.url.replace(MASTER, master.trim_end_matches('/'));
            }
        }
        for (name, address) in &self.repositories {
            if !platform.repositories.iter().any(|repository| repository.name == *name) {
                platform.repositories.push(Repository {
                    name: name.clone(),
                    url: address.clone(),
                    priority: PRIORITY,
                    gpg_keys: Vec::new(),
                    is_index_signed: false,
                    module_hotfixes: false,
                });
            }
        }
        Ok(())
    }
}

fn find(asked: &str, data: &DataFolder) -> Result<Platform> {
    let failed = |error: platforms::Error| Failure::config(error.to_string());
    if asked.contains('/') || asked.ends_with(".toml") {
        return platforms::load_file(Path::new(asked), &data.platforms()).map_err(failed);
    }
    let all = platforms::load(&data.platforms()).map_err(failed)?;
    let names: Vec<String> = all.iter().map(|platform| platform.name.clone()).collect();
    all.into_iter().find(|platform| platform.name == asked).ok_or_else(|| {
        Failure::user(format!("there is no platform \"{asked}\""))
            .hint(format!("there are {}; or name a platform's file", names.join(", ")))
    })
}

/// Reads `NAME=URL|FOLDER`; a folder becomes its address. `{arch}` stands for the architecture in both.
fn parse_repository(text: &str) -> std::result::Result<(String, String), String> {
    let (name, place) = text.split_once('=').ok_or("it has to be NAME=URL|FOLDER")?;
    if name.is_empty() || place.is_empty() {
        return Err("it has to be NAME=URL|FOLDER".to_string());
    }
    Ok((name.to_string(), address(place)?))
}

/// Returns the address of a place: itself, or that of a folder.
pub fn address(place: &str) -> std::result::Result<String, String> {
    if place.starts_with("http://") || place.starts_with("https://") {
        return Url::parse(place).map(|_| place.to_string()).map_err(|error| format!("\"{place}\": {error}"));
    }
    let whole = std::path::absolute(place).map_err(|error| format!("\"{place}\": {error}"))?;
    let url = Url::from_directory_path(&whole).map_err(|()| format!("\"{place}\" is no folder"))?;
    // What stands for the architecture is filled in later.
    Ok(url.to_string().replace("%7Barch%7D", "{arch}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(repositories: &[&str]) -> PlatformArgs {
        let repositories = repositories.iter().map(|text| parse_repository(text).unwrap()).collect();
        PlatformArgs { platform: "seed-1".to_string(), repositories, cache: None }
    }

    fn seed() -> Platform {
        find("seed-1", &DataFolder::new(Some(Path::new("/nonexistent")))).unwrap()
    }

    #[test]
    fn a_repository_is_taken_from_where_it_is_said_to_be() {
        let mut platform = seed();

        args(&["seed=/srv/a b/{arch}", "more=https://h/{arch}/"]).place(&mut platform, None).unwrap();

        let urls: Vec<&str> = platform.repositories.iter().map(|repository| repository.url.as_str()).collect();
        assert_eq!(urls, ["file:///srv/a%20b/{arch}/", "https://h/{arch}/"]);
    }

    #[test]
    fn a_repository_at_a_master_needs_one() {
        let failure = args(&[]).place(&mut seed(), None).unwrap_err();
        assert!(failure.hint.unwrap().contains("--repository seed="), "{}", failure.message);

        let mut platform = seed();
        args(&[]).place(&mut platform, Some("http://h/")).unwrap();
        assert_eq!(platform.repositories[0].url, "http://h/mirror/seed/seed-1/{arch}/");
    }

    #[test]
    fn a_platform_that_is_not_there_is_told_with_those_that_are() {
        let failure = find("seed-9", &DataFolder::new(Some(Path::new("/nonexistent")))).unwrap_err();

        assert!(failure.hint.unwrap().contains("seed-1"));
    }
}
