//! `anima task download`: what a task made, into a folder.

use std::path::PathBuf;

use anima_client::lease::Cancel;
use anima_types::{artifact::Artifact, id::TaskId, work::FileRef};
use clap::Args;

use super::Ask;
use crate::exit::{Failure, Result};

/// A download.
#[derive(Args, Debug)]
pub struct Download {
    /// The task's id
    id: TaskId,
    /// The folder to put its files into
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    to: PathBuf,
    /// Only files with this text in their names; repeat it for more [default: all]
    #[arg(long = "name", value_name = "TEXT")]
    names: Vec<String>,
}

impl Download {
    pub async fn run(self, ask: &Ask) -> Result {
        let task = ask.client.task(self.id).await?;
        let wanted: Vec<&Artifact> = task.artifacts.iter().filter(|one| is_wanted(&one.name, &self.names)).collect();
        if wanted.is_empty() {
            return Err(Failure::user(format!("task {} has no such file", self.id))
                .hint(format!("`anima task show {}` names those that it made", self.id)));
        }
        let failed = |error| Failure::user(format!("could not make {}: {error}", self.to.display()));
        std::fs::create_dir_all(&self.to).map_err(failed)?;
        let mut paths = Vec::with_capacity(wanted.len());
        for artifact in wanted {
            let file = FileRef {
                name: artifact.name.clone(),
                sha256: artifact.sha256,
                size_bytes: artifact.size_bytes,
                url: ask.client.artifact_url(artifact),
            };
            let path = self.to.join(file_name(&artifact.name)?);
            // It is there whole, with the hash that the master says, or not at all.
            ask.client.fetch(&file, &path, &Cancel::new()).await?;
            paths.push(path);
        }
        let shown =
            |paths: &Vec<PathBuf>| paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join("\n");
        ask.output.show(&paths, shown)
    }
}

fn is_wanted(name: &str, wanted: &[String]) -> bool {
    wanted.is_empty() || wanted.iter().any(|text| name.contains(text))
}

/// Returns a name of a file in the folder: what a master says is not to lead out of it.
fn file_name(name: &str) -> std::result::Result<&str, Failure> {
    match name.contains(['/', '\0']) || matches!(name, "" | "." | "..") {
        true => Err(Failure::user(format!("\"{name}\" is no name of a file"))),
        false => Ok(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_put_into_the_folder_and_nowhere_else() {
        assert_eq!(file_name("jq-1.7-1.x86_64.rpm").ok(), Some("jq-1.7-1.x86_64.rpm"));
        for bad in ["", ".", "..", "../x", "/etc/passwd", "a/b"] {
            assert!(file_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn all_files_are_wanted_where_none_is_named() {
        assert!(is_wanted("a.rpm", &[]) && is_wanted("a.src.rpm", &[".src.".into()]));
        assert!(!is_wanted("a.rpm", &[".src.".into(), "lock".into()]));
    }
}
