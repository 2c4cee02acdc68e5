//! Taking artifacts away that nobody names any more.

use std::{
    fs::{self, File},
    io,
    path::Path,
    time::SystemTime,
};

use anima_types::Sha256;

use crate::{
    Store,
    blob::{Place, in_folder},
    error::{Error, blocking},
};

impl Store {
    /// Takes an artifact away if it was stored before a moment, and returns whether it did. One that somebody stores again
    /// at the same time stays, or is there again when they are told so. The moment has to be an hour ago or more.
    pub async fn remove(&self, sha256: Sha256, stored_before: SystemTime) -> Result<bool, Error> {
        let place = match self.place() {
            Place::Folder(dir) => in_folder(dir, sha256),
            Place::Bucket(bucket) => return bucket.remove(sha256, stored_before).await,
        };
        let trash = self.temporary_dir().join(format!("gone-{sha256}"));
        blocking(move || {
            remove(&place, &trash, stored_before).map_err(|error| Error::io(format!("remove artifact {sha256}"), error))
        })
        .await
    }

    /// Returns the artifacts whose hashes begin with a byte and that were stored before a moment, with their sizes.
    pub async fn list(&self, first_byte: u8, stored_before: SystemTime) -> Result<Vec<(Sha256, u64)>, Error> {
        let dir = match self.place() {
            Place::Folder(dir) => dir.join(format!("{first_byte:02x}")),
            Place::Bucket(bucket) => return bucket.list(first_byte, stored_before).await,
        };
        blocking(move || {
            list(&dir, first_byte, stored_before).map_err(|error| Error::io(format!("list {}", dir.display()), error))
        })
        .await
    }
}

/// It is moved away first and looked at again: whoever touched it before the move is seen, and whoever looks for it after
/// the move does not find it and stores their own.
fn remove(place: &Path, trash: &Path, stored_before: SystemTime) -> io::Result<bool> {
    let file = match File::open(place) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    if file.metadata()?.modified()? >= stored_before {
        return Ok(false);
    }
    fs::rename(place, trash)?;
    if file.metadata()?.modified()? >= stored_before {
        // Where another has been stored meanwhile, it has the same bytes.
        let _ = fs::hard_link(trash, place);
        fs::remove_file(trash)?;
        return Ok(false);
    }
    fs::remove_file(trash)?;
    Ok(true)
}

fn list(dir: &Path, first_byte: u8, stored_before: SystemTime) -> io::Result<Vec<(Sha256, u64)>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name = format!("{first_byte:02x}{}", entry.file_name().to_string_lossy());
        let metadata = match entry.metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            other => other?,
        };
        if let Ok(sha256) = name.parse()
            && metadata.modified()? < stored_before
        {
            found.push((sha256, metadata.len()));
        }
    }
    Ok(found)
}
