//! What the order is computed from beside what source packages say of themselves: what the last builds of the same packages
//! provided and asked for. A spec names its packages and few of their provides; `pkgconfig(zlib)`, `perl(URI)`, sonames and files
//! are found by rpm when the packages are built, and so is what `%generate_buildrequires` asks for.
//!
//! It is a guess, and errs to the safe side: a package that provided it the last time is waited for, though it may not provide it now.

use std::collections::{BTreeMap, BTreeSet};

use anima_db::{
    Connection,
    last_built::{self, Binary},
};
use anima_schedule::names;
use anima_types::{platform::Platform, work::SrcOutcome};

use crate::{error::ApiResult, search::index};

/// Packages that are asked about at once: all that they provide is in memory meanwhile.
const CHUNK: usize = 256;

/// What the packages of an order ask of one another.
struct Wanted {
    names: BTreeSet<String>,
    paths: BTreeSet<String>,
}

/// Adds to what source packages say what the last builds on the platform provided of what is asked for here, and what they asked for
/// beyond it. What was never built there provides what users of the platform's product have of it.
pub async fn add(
    connection: &mut Connection,
    platform: &Platform,
    made: &mut BTreeMap<String, SrcOutcome>,
) -> ApiResult<()> {
    let packages: Vec<String> = made.keys().cloned().collect();
    let chunks = || packages.chunks(CHUNK).map(|chunk| chunk.iter().map(String::as_str).collect::<Vec<_>>());
    for chunk in chunks() {
        for (package, requires) in last_built::dynamic_requires(connection, &chunk, &platform.name).await? {
            made.entry(package).and_modify(|made| made.build_requires.extend(requires));
        }
    }
    let wanted = Wanted::of(made.values());
    if made.len() < 2 || wanted.names.is_empty() && wanted.paths.is_empty() {
        return Ok(());
    }
    for chunk in chunks() {
        let mut binaries = last_built::binaries(connection, &chunk, &platform.name).await?;
        let built: BTreeSet<&str> = binaries.iter().map(|binary| binary.package.as_str()).collect();
        let others: Vec<&str> = chunk.iter().copied().filter(|package| !built.contains(package)).collect();
        if let Some(product) = &platform.release_to {
            binaries.extend(last_built::released(connection, &others, product).await?);
        }
        for binary in binaries {
            let provides = wanted.provided(connection, &binary).await?;
            made.entry(binary.package).and_modify(|made| made.provides.extend(provides));
        }
    }
    Ok(())
}

impl Wanted {
    fn of<'a>(made: impl Iterator<Item = &'a SrcOutcome>) -> Wanted {
        let requires = made.flat_map(|made| &made.build_requires).flat_map(|text| names(text));
        let (paths, names) = requires.map(str::to_string).partition(|name| name.starts_with('/'));
        Wanted { names, paths }
    }

    /// Returns what of it a package provides or has.
    async fn provided(&self, connection: &mut Connection, binary: &Binary) -> ApiResult<Vec<String>> {
        let (provides, files) = match &binary.searchable {
            Some(searchable) => searchable.clone(),
            None => {
                let row = index::of_metadata(&anima_db::package::get(connection, binary.sha256).await?);
                (row.provides, row.files)
            }
        };
        let provided = provides.lines().filter_map(|line| names(line).next());
        let mut found: Vec<String> = provided.filter(|name| self.names.contains(*name)).map(str::to_string).collect();
        if self.paths.iter().any(|path| index::may_have(&files, path)) {
            let paths = index::paths(&anima_db::package::get(connection, binary.sha256).await?)?;
            found.extend(paths.into_iter().filter(|path| self.paths.contains(path)));
        }
        Ok(found)
    }
}
