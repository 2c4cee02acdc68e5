//! What `cargo xtask bench closure` measures: `closure CHANGED FOLDER…` reads the repositories in these folders, asks of each
//! package whether it can be installed, asks again as if the packages that provide `CHANGED` came new, and prints figures
//! as one line of JSON.

use std::{collections::BTreeSet, error::Error, path::PathBuf, time::Instant};

use anima_solver::{Closure, DEFAULT_PRIORITY, Place, Pool, RepodataFiles};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// A repository's folder, and where its metadata is.
struct Repository {
    name: String,
    primary: PathBuf,
    filelists: PathBuf,
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let changed = arguments.next().ok_or("say what changes")?;
    let repositories = arguments.map(|folder| repository(&folder)).collect::<Result<Vec<_>>>()?;
    let caches = tempfile::tempdir()?;

    let (_, load_s) = timed(|| pool(&repositories, &caches))?;
    let (mut pool, cached_load_s) = timed(|| pool(&repositories, &caches))?;
    let names: Vec<&str> = repositories.iter().map(|repository| repository.name.as_str()).collect();
    let (all, all_s) = timed(|| Ok(pool.closure(&names, &BTreeSet::new(), None)?))?;
    let mut places = BTreeSet::new();
    for nevra in pool.what_provides(&changed)? {
        places.extend(names.iter().map(|name| Place { repository: name.to_string(), nevra: nevra.clone() }));
    }
    let (again, changed_s) = timed(|| Ok(pool.closure(&names, &BTreeSet::new(), Some(&places))?))?;
    let Closure { asked_count, broken } = all;
    println!(
        "{{\"packages\":{asked_count},\"broken\":{},\"broken_again\":{},\"load_s\":{load_s},\"cached_load_s\":{cached_load_s},\
         \"all_s\":{all_s},\"changed_s\":{changed_s},\"peak_mib\":{}}}",
        broken.len(),
        again.broken.len(),
        peak_mib()?
    );
    Ok(())
}

fn timed<T>(work: impl FnOnce() -> Result<T>) -> Result<(T, f64)> {
    let began = Instant::now();
    let done = work()?;
    Ok((done, began.elapsed().as_secs_f64()))
}

fn repository(folder: &str) -> Result<Repository> {
    let folder = PathBuf::from(folder);
    let name = folder.file_name().ok_or("a folder has no name")?.to_string_lossy().into_owned();
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder.join("repodata"))? {
        files.push(entry?.path());
    }
    let find = |part: &str| files.iter().find(|path| path.to_string_lossy().contains(part)).cloned();
    let missing = || format!("{} lacks primary or filelists", folder.display());
    let primary = find("primary.xml").ok_or_else(missing)?;
    Ok(Repository { name, primary, filelists: find("filelists.xml").ok_or_else(missing)? })
}

fn pool(repositories: &[Repository], caches: &tempfile::TempDir) -> Result<Pool> {
    let mut pool = Pool::new("x86_64")?;
    for Repository { name, primary, filelists } in repositories {
        let cache = caches.path().join(name);
        let files = RepodataFiles { primary, filelists: Some(filelists), cache: Some(&cache) };
        pool.add_repository(name, DEFAULT_PRIORITY, &files)?;
    }
    Ok(pool)
}

/// The most memory that this process had.
fn peak_mib() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("the kernel tells no peak")?;
    Ok(peak.trim().trim_end_matches(" kB").parse::<u64>()? / 1024)
}
