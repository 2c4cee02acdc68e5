//! All that a machine of one architecture could install after the release: the product's repositories as they will be, and the
//! repositories that the product stands on.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use anima_environment::{Index, MetadataFiles, below, read_indexes};
use anima_repodata::PackageXml;
use anima_solver::{DEFAULT_PRIORITY, Place, Pool, RepodataFiles};
use anima_types::{
    Nevra, Sha256,
    release::PlanEntry,
    repository::Kind,
    work::{Input, PlanWork, StandsOn},
};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::Gatherer;
use crate::{plan::Plan, there::There};

/// What the repository of the packages that come to another is called beside it.
const NEW: &str = " (new)";

/// Why a world could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A repository's metadata could not be had.
    #[error("could not {0}")]
    Fetch(#[from] anima_environment::Error),
    /// It could not be read.
    #[error(transparent)]
    Metadata(#[from] anima_repodata::Error),
    /// The solver refused it.
    #[error("could not ask the solver: {0}")]
    Solver(#[from] anima_solver::Error),
    /// The disk refused.
    #[error("could not write metadata: {0}")]
    Disk(#[from] std::io::Error),
}

/// A repository of the world.
#[derive(Debug)]
pub struct Member {
    /// What the pool calls it.
    pub name: String,
    /// Its address within the product; none where it is of the platform.
    pub path: Option<String>,
    /// What its packages' locations are below; none where they are artifacts of the master.
    pub url: Option<String>,
    priority: i32,
    files: MetadataFiles,
    is_kept: bool,
}

/// See the module.
#[derive(Debug)]
pub struct World {
    arch: String,
    /// The product's first, then what they stand on.
    pub members: Vec<Member>,
    /// What users see now and will not see any more.
    pub gone: BTreeSet<Place>,
    /// What comes.
    pub new: BTreeSet<Place>,
    /// What each that comes takes the place of, where that is.
    pub replaced: BTreeMap<Place, Vec<Place>>,
    /// The artifacts of what comes.
    pub artifacts: BTreeMap<Nevra, Sha256>,
    /// The address of an artifact, without its hash.
    pub artifacts_url: String,
    pools: PathBuf,
    /// Where the metadata of what comes was written; it goes with the world.
    _folder: Arc<TempDir>,
}

impl Gatherer {
    pub(super) async fn world(
        &self,
        work: &PlanWork,
        plan: &Plan,
        packages: &[PackageXml],
        stands: &StandsOn,
        cancel: &CancellationToken,
    ) -> Result<World, Error> {
        let folder = Arc::new(tempfile::tempdir_in(&self.pools)?);
        let mut world = World {
            arch: stands.arch.name().to_string(),
            members: Vec::new(),
            gone: BTreeSet::new(),
            new: BTreeSet::new(),
            replaced: BTreeMap::new(),
            artifacts: BTreeMap::new(),
            artifacts_url: format!("{}/api/v1/artifacts/", self.master_url),
            pools: self.pools.clone(),
            _folder: folder.clone(),
        };
        // With another signature a package needs, brings and contains what it did before.
        let known = There::new(work);
        let fragments: BTreeMap<Sha256, &PackageXml> = packages.iter().map(|xml| (xml.sha256, xml)).collect();
        for each in &work.repositories {
            let of = &each.repository;
            if of.kind != Kind::Binary || of.arch.as_deref() != Some(stands.arch.name()) {
                continue;
            }
            if let Some(url) = &each.url {
                let input =
                    Input { name: of.path.clone(), url: url.clone(), priority: DEFAULT_PRIORITY, ..Input::default() };
                self.add(&mut world, input, Some(&of.path), cancel).await?;
            }
            let comes = plan.entries.iter().filter(|entry| entry.repository == of.id && !known.has(entry));
            let entries: Vec<&PlanEntry> = comes.collect();
            let there: BTreeSet<&Nevra> = each.packages.iter().map(|package| &package.nevra).collect();
            for removal in plan.removals.iter().filter(|removal| removal.repository == of.id) {
                world.gone.insert(place(&of.path, &removal.nevra));
            }
            for entry in &entries {
                let old = entry.replaces.iter().chain([&entry.nevra]).filter(|old| there.contains(old));
                let old: Vec<Place> = old.map(|old| place(&of.path, old)).collect();
                world.gone.extend(old.iter().cloned());
                let new = place(&format!("{}{NEW}", of.path), &entry.nevra);
                world.replaced.insert(new.clone(), old);
                world.new.insert(new);
                world.artifacts.insert(entry.nevra.clone(), entry.artifact);
            }
            let fragments = entries.iter().filter_map(|entry| fragments.get(&entry.artifact).copied());
            world.add_new(&of.path, fragments.collect(), folder.path(), world.members.len())?;
        }
        for input in &stands.inputs {
            self.add(&mut world, input.clone(), None, cancel).await?;
        }
        Ok(world)
    }

    async fn add(
        &self,
        world: &mut World,
        input: Input,
        path: Option<&str>,
        cancel: &CancellationToken,
    ) -> Result<(), Error> {
        let indexes: Vec<Index> = read_indexes(&self.downloads, std::slice::from_ref(&input), cancel).await?;
        for index in indexes {
            let files = index.fetch(&self.downloads, true, cancel).await?;
            let taken = world.members.iter().filter(|member| member.name.starts_with(&input.name)).count();
            let name = match taken {
                0 => input.name.clone(),
                taken => format!("{} {}", input.name, taken + 1),
            };
            world.members.push(Member {
                name,
                path: path.map(str::to_string),
                url: Some(input.url.clone()),
                priority: input.priority,
                files,
                is_kept: true,
            });
        }
        Ok(())
    }
}

fn place(repository: &str, nevra: &Nevra) -> Place {
    Place { repository: repository.to_string(), nevra: nevra.to_string() }
}

impl World {
    /// Writes the metadata of what comes to a repository.
    fn add_new(&mut self, path: &str, fragments: Vec<&PackageXml>, folder: &Path, number: usize) -> Result<(), Error> {
        if fragments.is_empty() {
            return Ok(());
        }
        let write = |kind: &str, root: &str, part: fn(&PackageXml) -> &str| -> Result<PathBuf, Error> {
            let path = folder.join(format!("{number}-{kind}.xml"));
            let mut file = BufWriter::new(File::create(&path)?);
            writeln!(file, "{root} packages=\"{}\">", fragments.len())?;
            fragments.iter().try_for_each(|fragment| file.write_all(part(fragment).as_bytes()))?;
            writeln!(file, "</{}>", root.split([' ', '<']).find(|word| !word.is_empty()).unwrap_or_default())?;
            file.flush()?;
            Ok(path)
        };
        let rpm = "<metadata xmlns=\"http://linux.duke.edu/metadata/common\" xmlns:rpm=\"http://linux.duke.edu/metadata/rpm\"";
        let primary = write("primary", rpm, |fragment| &fragment.primary)?;
        let lists = "<filelists xmlns=\"http://linux.duke.edu/metadata/filelists\"";
        let filelists = write("filelists", lists, |fragment| &fragment.filelists)?;
        let files = MetadataFiles { primary, filelists: Some(filelists), key: String::new() };
        self.members.push(Member {
            name: format!("{path}{NEW}"),
            path: Some(path.to_string()),
            url: None,
            priority: DEFAULT_PRIORITY,
            files,
            is_kept: false,
        });
        Ok(())
    }

    /// Loads everything into a pool.
    pub fn pool(&self, with_filelists: bool) -> Result<Pool, Error> {
        let mut pool = Pool::new(&self.arch)?;
        for member in &self.members {
            let kept = member.is_kept.then(|| self.kept_at(member, with_filelists));
            let files = RepodataFiles {
                primary: &member.files.primary,
                filelists: member.files.filelists.as_deref().filter(|_| with_filelists),
                cache: kept.as_deref(),
            };
            pool.add_repository(&member.name, member.priority, &files)?;
            if let Some(path) = kept {
                let opened = File::options().write(true).open(path);
                // The sweep goes by it; a file system that refuses only makes it sweep earlier.
                drop(opened.and_then(|file| file.set_modified(SystemTime::now())));
            }
        }
        Ok(pool)
    }

    fn kept_at(&self, member: &Member, with_filelists: bool) -> PathBuf {
        let key = match with_filelists {
            true => member.files.key.clone(),
            false => member.files.key.split('-').next().unwrap_or_default().to_string(),
        };
        self.pools.join(format!("{}-{key}.solv", self.arch))
    }

    /// Returns the names of the product's own repositories, with what comes.
    pub fn own(&self) -> Vec<&str> {
        self.members.iter().filter(|member| member.path.is_some()).map(|member| member.name.as_str()).collect()
    }

    /// Returns the repository of a place.
    pub fn member(&self, place: &Place) -> Option<&Member> {
        self.members.iter().find(|member| member.name == place.repository)
    }
}

impl Member {
    /// Returns its list of packages, unpacked.
    pub fn primary(&self) -> anima_repodata::Result<Box<dyn std::io::BufRead>> {
        anima_repodata::unpacked_file(&self.files.primary)
    }

    /// Returns its lists of files, unpacked, where it has any.
    pub fn filelists(&self) -> anima_repodata::Result<Option<Box<dyn std::io::BufRead>>> {
        self.files.filelists.as_deref().map(anima_repodata::unpacked_file).transpose()
    }

    /// Returns the address of a package of it, where it has one of its own.
    pub fn package_url(&self, location: &str) -> Option<String> {
        Some(below(self.url.as_deref()?, location))
    }
}
