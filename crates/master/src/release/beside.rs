//! What a release changes beside the packages: the metadata that repositories have by themselves, such as advisories, groups
//! and modules.

use std::collections::BTreeMap;

use anima_db::{Connection, release::Release};
use anima_repodata::Part;
use anima_types::{
    Sha256,
    release::{AttachmentFate, PlanAttachment},
    repository::Repository,
};

use super::changed_repositories;
use crate::error::ApiResult;

/// Returns what differs beside the packages between what users see of a repository and what it has.
pub async fn differs(connection: &mut Connection, repository: &Repository) -> ApiResult<Vec<PlanAttachment>> {
    let has = anima_db::repository::attachments(connection, repository.id).await?;
    let has: BTreeMap<String, Sha256> =
        has.into_iter().map(|attachment| (file_name(&attachment.path), attachment.sha256)).collect();
    let seen = anima_db::snapshot::files(connection, repository.id, repository.current).await?;
    let seen: BTreeMap<String, Sha256> =
        seen.into_iter().map(|(path, sha256)| (file_name(&path), sha256)).filter(|(name, _)| is_beside(name)).collect();
    let comes = has.iter().filter(|(name, sha256)| seen.get(*name) != Some(sha256)).map(|(name, sha256)| {
        let fate = if seen.contains_key(name) { AttachmentFate::Changed } else { AttachmentFate::Added };
        (name, fate, Some(*sha256))
    });
    let goes = seen.keys().filter(|name| !has.contains_key(*name)).map(|name| (name, AttachmentFate::Removed, None));
    let all = comes.chain(goes).map(|(name, fate, sha256)| PlanAttachment {
        repository: repository.id,
        repository_path: repository.path.clone(),
        name: name.clone(),
        fate,
        sha256,
    });
    Ok(all.collect())
}

/// Returns what a release changes beside the packages, as things stand: in the repositories whose metadata it makes.
pub async fn of_release(connection: &mut Connection, row: &Release) -> ApiResult<Vec<PlanAttachment>> {
    let changed = changed_repositories(connection, row).await?;
    let mut all = Vec::new();
    for repository in anima_db::repository::list(connection, Some(&row.product)).await? {
        if changed.contains(&repository.id) {
            all.extend(differs(connection, &repository).await?);
        }
    }
    Ok(all)
}

/// Returns the name without the digest before it: `updateinfo.xml.gz` of `repodata/…-updateinfo.xml.gz`.
fn file_name(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or(path);
    match name.split_once('-') {
        Some((digest, rest)) if digest.parse::<Sha256>().is_ok() => rest.to_string(),
        _ => name.to_string(),
    }
}

/// Whether a file of metadata is neither made of the packages nor the index.
fn is_beside(name: &str) -> bool {
    !name.starts_with("repomd.xml") && !Part::ALL.into_iter().any(|part| name.starts_with(part.file_name()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_known_by_their_names_without_the_digest() {
        let digest = Sha256([7; 32]);

        assert_eq!(file_name(&format!("repodata/{digest}-updateinfo.xml.gz")), "updateinfo.xml.gz");
        assert_eq!(file_name("repodata/a-b.xml"), "a-b.xml");
        let own = ["primary.xml.gz", "filelists.xml.zst", "other.xml.gz", "repomd.xml", "repomd.xml.asc"];
        assert!(!own.into_iter().any(is_beside));
        assert!(["updateinfo.xml.gz", "comps.xml", "modules.yaml"].into_iter().all(is_beside));
    }
}
