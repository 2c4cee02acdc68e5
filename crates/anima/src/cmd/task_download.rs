//! `anima task download`: what a task made, into a folder. Nothing that is there already is replaced unless somebody says so.

use std::{
    collections::BTreeMap,
    fs::File,
    io,
    path::{Path, PathBuf},
};

use anima_client::lease::Cancel;
use anima_environment::sha256_of;
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
    /// Replace files of the same names that have other content
    #[arg(long)]
    force: bool,
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
        let planned = plan(&wanted, &self.to)?;
        let other = planned.iter().filter(|one| one.there == There::Other);
        let other: Vec<&str> = other.map(|one| one.name.as_str()).collect();
        if !other.is_empty() && !self.force {
            return Err(Failure::user(format!("{} has other files named {}", self.to.display(), other.join(", ")))
                .hint(format!("say another folder (--to task-{}), or --force to replace them", self.id)));
        }
        let mut paths = Vec::with_capacity(planned.len());
        for Planned { artifact, path, there, .. } in planned {
            if there == There::Same {
                paths.push(path);
                continue;
            }
            let file = FileRef {
                name: artifact.name.clone(),
                sha256: artifact.sha256,
                size_bytes: artifact.size_bytes,
                url: ask.client.artifact_url(artifact),
            };
            // It is there whole, with the hash that the master says, or not at all.
            ask.client.fetch(&file, &path, &Cancel::new()).await?;
            paths.push(path);
        }
        let shown =
            |paths: &Vec<PathBuf>| paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join("\n");
        ask.output.show(&paths, shown)
    }
}

/// What a file's place in the folder has already.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum There {
    Nothing,
    /// The very file.
    Same,
    /// Something else of that name.
    Other,
}

/// A file, and where it goes.
#[derive(Debug)]
struct Planned<'a> {
    artifact: &'a Artifact,
    name: String,
    path: PathBuf,
    there: There,
}

/// Looks at all places before anything is fetched: a refusal leaves the folder as it was. Of a task that was tried again, an
/// earlier try may have left files of the same names: each of them gets its hash into its name.
fn plan<'a>(wanted: &[&'a Artifact], folder: &Path) -> std::result::Result<Vec<Planned<'a>>, Failure> {
    let mut by_name: BTreeMap<&str, Vec<&Artifact>> = BTreeMap::new();
    for artifact in wanted {
        let same_name = by_name.entry(file_name(&artifact.name)?).or_default();
        if same_name.iter().all(|other| other.sha256 != artifact.sha256) {
            same_name.push(artifact);
        }
    }
    let mut planned = Vec::with_capacity(wanted.len());
    for (name, artifacts) in by_name {
        for artifact in &artifacts {
            let name = match artifacts.len() {
                1 => name.to_string(),
                _ => format!("{name}.{:.12}", artifact.sha256.to_string()),
            };
            let path = folder.join(&name);
            let there = look(&path, artifact)
                .map_err(|error| Failure::user(format!("could not read {}: {error}", path.display())))?;
            planned.push(Planned { artifact, name, path, there });
        }
    }
    Ok(planned)
}

fn look(path: &Path, artifact: &Artifact) -> io::Result<There> {
    match File::open(path) {
        Ok(mut file) => Ok(if sha256_of(&mut file)? == artifact.sha256 { There::Same } else { There::Other }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(There::Nothing),
        Err(error) => Err(error),
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
    fn what_is_there_already_is_known_by_its_content() {
        let folder = tempfile::tempdir().unwrap();
        let lock = Artifact {
            sha256: "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae".parse().unwrap(),
            kind: anima_types::artifact::Kind::Lock,
            name: "buildroot.lock.json".to_string(),
            size_bytes: 3,
            signed: None,
        };
        let there = || plan(&[&lock, &lock], folder.path()).unwrap().iter().map(|one| one.there).collect::<Vec<_>>();

        assert_eq!(there(), [There::Nothing]);
        std::fs::write(folder.path().join(&lock.name), "bar").unwrap();
        assert_eq!(there(), [There::Other]);
        std::fs::write(folder.path().join(&lock.name), "foo").unwrap();
        assert_eq!(there(), [There::Same]);
        let other = Artifact { sha256: anima_types::Sha256([0; 32]), ..lock.clone() };
        let both = plan(&[&lock, &other], folder.path()).unwrap();
        let names: Vec<&str> = both.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["buildroot.lock.json.2c26b46b68ff", "buildroot.lock.json.000000000000"]);
    }

    #[test]
    fn all_files_are_wanted_where_none_is_named() {
        assert!(is_wanted("a.rpm", &[]) && is_wanted("a.src.rpm", &[".src.".into()]));
        assert!(!is_wanted("a.rpm", &[".src.".into(), "lock".into()]));
    }
}
