//! Which packages of the repositories have what a build missed.

use std::path::PathBuf;
use std::time::Duration;

use anima_diagnosis::{Question, questions};
use anima_solver::Pool;
use anima_types::Arch;
use anima_types::diagnosis::Need;
use anima_types::work::Input;
use futures_util::{StreamExt, TryStreamExt};
use tokio_util::sync::CancellationToken;

use crate::download::PARALLEL;
use crate::metadata::{Index, MetadataFiles, read_indexes};
use crate::run::blocking;
use crate::solve::load;
use crate::{Downloads, Error, Result};

/// A failure is told without it after so long: the lists of files of a large distribution take some seconds to fetch and read.
const LIMIT: Duration = Duration::from_secs(90);
/// So many packages are named for one need.
const MAX_NAMED: usize = 3;

/// Returns for each need the packages that have it, the likeliest first; none where nothing has it.
pub(crate) async fn who_has(
    arch: Arch,
    inputs: &[Input],
    needs: &[Need],
    (downloads, pools): (&Downloads, PathBuf),
    cancel: &CancellationToken,
) -> Result<Vec<Vec<String>>> {
    let asking = async {
        let indexes = read_indexes(downloads, inputs, cancel).await?;
        let fetching: Vec<_> = indexes.iter().map(|index| index.fetch(downloads, true, cancel)).collect();
        let files: Vec<MetadataFiles> = futures_util::stream::iter(fetching).buffered(PARALLEL).try_collect().await?;
        let needs = needs.to_vec();
        blocking(move || ask(arch, &pools, &indexes, &files, &needs)).await
    };
    let late = || Error::TimedOut { action: "look for who has what is missing".to_owned(), limit: LIMIT };
    tokio::time::timeout(LIMIT, asking).await.unwrap_or_else(|_| Err(late()))
}

fn ask(
    arch: Arch,
    pools: &std::path::Path,
    indexes: &[Index],
    files: &[MetadataFiles],
    needs: &[Need],
) -> Result<Vec<Vec<String>>> {
    let mut pool = load(arch, pools, indexes, files)?;
    Ok(needs.iter().map(|need| answer(&mut pool, need)).collect())
}

fn answer(pool: &mut Pool, need: &Need) -> Vec<String> {
    let mut answers = questions(need).into_iter().map(|question| match question {
        // A name that is no dependency has no provider.
        Question::Provides(text) => pool.names_that_provide(&text).unwrap_or_default(),
        Question::File { folders, end } => {
            let owners = pool.owners(&end).into_iter();
            likeliest(owners.filter(|(path, _)| folders.iter().any(|folder| path.starts_with(folder))).collect())
        }
    });
    let mut packages = answers.find(|packages| !packages.is_empty()).unwrap_or_default();
    packages.truncate(MAX_NAMED);
    packages
}

/// A file that lies less deep is rather the one that is meant; of two packages, the one with the plainer name.
fn likeliest(mut owners: Vec<(String, String)>) -> Vec<String> {
    let depth = |path: &str| path.matches('/').count();
    owners.sort_by_key(|(path, package)| (depth(path), package.len(), package.clone()));
    let mut packages: Vec<String> = owners.into_iter().map(|(_, package)| package).collect();
    let mut seen = std::collections::BTreeSet::new();
    packages.retain(|package| seen.insert(package.clone()));
    packages
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_that_lies_highest_is_the_one_that_is_meant() {
        let owner = |path: &str, package: &str| (path.to_owned(), package.to_owned());
        let owners = vec![
            owner("/usr/include/deep/er/zlib.h", "zz"),
            owner("/usr/include/zlib.h", "zlib-ng-compat-devel"),
            owner("/usr/include/zlib.h", "zlib-devel"),
            owner("/usr/include/a/zlib.h", "zlib-devel"),
        ];

        assert_eq!(likeliest(owners), ["zlib-devel", "zlib-ng-compat-devel", "zz"]);
    }
}
