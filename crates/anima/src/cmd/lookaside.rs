//! `anima lookaside`: large sources beside git.

use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

use anima_types::dist_git::{Algorithm, LookasideFile, is_file_name, is_package_name};
use clap::{Args, Subcommand};
use serde::Serialize;
use sha2::{Digest, Sha256, Sha512};

use super::Ask;
use crate::{
    args::Global,
    client,
    exit::{Failure, Result},
    output::Output,
};

/// Bytes that are read of a file at once.
const CHUNK_BYTES: usize = 256 * 1024;

/// Put large source files beside git
#[derive(Debug, Subcommand)]
pub enum Lookaside {
    /// Upload files, and print the lines that the package's list of sources has to have
    Upload(Upload),
}

#[derive(Args, Debug)]
pub struct Upload {
    /// The files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The package that they belong to
    #[arg(long, value_name = "PACKAGE")]
    package: String,
    /// Print lines for AlmaLinux's `.PACKAGE.metadata` (SHA-256) instead of `sources` (SHA-512)
    #[arg(long)]
    metadata: bool,
    /// The Git Service's address [default: that of the `anima up` on the data folder]
    #[arg(long, env = "ANIMA_GIT", value_name = "URL")]
    git: Option<String>,
}

/// A file that is in the lookaside now.
#[derive(Serialize)]
struct Uploaded {
    #[serde(flatten)]
    file: LookasideFile,
    url: String,
    /// The line for the package's list of sources.
    line: String,
}

impl Lookaside {
    pub fn run(self, global: &Global) -> Result {
        let Lookaside::Upload(upload) = self;
        if !is_package_name(&upload.package) {
            return Err(Failure::user(format!("\"{}\" cannot be a package's name", upload.package)));
        }
        let ask = Ask { client: client::of_git(global, upload.git.as_deref())?, output: Output::new(global.json) };
        super::block_on(async { upload.run(&ask).await })
    }
}

impl Upload {
    async fn run(&self, ask: &Ask) -> Result {
        let mut uploaded = Vec::new();
        for path in &self.files {
            let file = self.describe(path)?;
            ask.client.upload_source(&self.package, &file, path).await?;
            let url = file.url(&format!("{}lookaside", ask.client.base_url()), &self.package);
            uploaded.push(Uploaded { line: self.line(&file), file, url });
        }
        ask.output
            .show(&uploaded, |uploaded| uploaded.iter().map(|file| file.line.clone()).collect::<Vec<_>>().join("\n"))
    }

    fn describe(&self, path: &Path) -> Result<LookasideFile> {
        let name = path.file_name().and_then(|name| name.to_str()).filter(|name| is_file_name(name));
        let name = name.ok_or_else(|| Failure::user(format!("{} cannot be a source's name", path.display())))?;
        let (algorithm, hash) = match self.metadata {
            true => (Algorithm::Sha256, hash::<Sha256>(path)),
            false => (Algorithm::Sha512, hash::<Sha512>(path)),
        };
        let hash = hash.map_err(|error| Failure::user(format!("could not read {}: {error}", path.display())))?;
        Ok(LookasideFile { name: name.to_string(), algorithm, hash })
    }

    fn line(&self, file: &LookasideFile) -> String {
        match self.metadata {
            true => format!("{} SOURCES/{}", file.hash, file.name),
            false => format!("SHA512 ({}) = {}", file.name, file.hash),
        }
    }
}

fn hash<D: Digest>(path: &Path) -> io::Result<String> {
    let (mut file, mut hasher, mut chunk) = (fs::File::open(path)?, D::new(), vec![0; CHUNK_BYTES]);
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()),
            count => hasher.update(&chunk[..count]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anima_types::dist_git::{Form, parse_list};

    #[test]
    fn the_lines_that_are_printed_are_read_back_as_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a-1.tar.gz");
        fs::write(&path, "text").unwrap();

        for (metadata, form) in [(false, Form::Sources), (true, Form::Metadata)] {
            let upload = Upload { files: Vec::new(), package: "a".into(), metadata, git: None };
            let file = upload.describe(&path).unwrap();

            assert_eq!(parse_list(form, &upload.line(&file)), Ok(vec![file]));
        }
    }
}
