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
    error::{Error, blocking},
};

impl Store {
    /// Takes an artifact away if it was stored before a moment, and returns whether it did. One that somebody stores again
    /// at the same time stays, or is there again when they are told so.
    pub async fn remove(&self, sha256: Sha256, stored_before: SystemTime) -> Result<bool, Error> {
        let (place, trash) = (self.path(sha256), self.temporary_dir().join(format!("gone-{sha256}")));
        blocking(move || {
            remove(&place, &trash, stored_before).map_err(|error| Error::io(format!("remove artifact {sha256}"), error))
        })
        .await
    }

    /// Returns the artifacts whose hashes begin with a byte and that were stored before a moment, with their sizes.
    pub async fn list(&self, first_byte: u8, stored_before: SystemTime) -> Result<Vec<(Sha256, u64)>, Error> {
        let mut first = [0; 32];
        first[0] = first_byte;
        let place = self.path(Sha256(first));
        blocking(move || {
            let dir = place.parent().unwrap_or(&place);
            list(dir, first_byte, stored_before).map_err(|error| Error::io(format!("list {}", dir.display()), error))
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn what_is_old_is_listed_and_goes_and_what_was_stored_again_stays() {
        let folder = tempfile::TempDir::new().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        let (old, again) =
            (store.put_bytes("old").await.unwrap().sha256, store.put_bytes("again").await.unwrap().sha256);
        let long_ago = SystemTime::now() - Duration::from_secs(1_000);
        for sha256 in [old, again] {
            File::open(store.path(sha256)).unwrap().set_modified(long_ago).unwrap();
        }
        let limit = long_ago + Duration::from_secs(100);
        assert_eq!(store.list(old.0[0], limit).await.unwrap(), [(old, 3)]);
        assert!(!store.put_bytes("again").await.unwrap().is_new);

        assert!(store.remove(old, limit).await.unwrap());
        assert!(!store.remove(again, limit).await.unwrap());
        assert!(!store.remove(old, limit).await.unwrap());

        assert!(!store.contains(old).await.unwrap() && store.contains(again).await.unwrap());
        assert_eq!(store.list(again.0[0], limit).await.unwrap(), []);
        assert!(store.put_bytes("old").await.unwrap().is_new);
    }

    #[test]
    fn what_is_stored_while_it_is_taken_away_is_there_afterwards() {
        let folder = tempfile::TempDir::new().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        runtime.block_on(async {
            let store = Store::open(folder.path()).await.unwrap();
            let sha256 = store.put_bytes("contested").await.unwrap().sha256;
            for _ in 0..300 {
                if let Ok(file) = File::open(store.path(sha256)) {
                    file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
                }
                let limit = SystemTime::UNIX_EPOCH + Duration::from_secs(1);

                let (stored, removed) = tokio::join!(store.put_bytes("contested"), store.remove(sha256, limit));

                stored.unwrap();
                removed.unwrap();
                assert!(store.contains(sha256).await.unwrap(), "who was told that it is stored finds it");
            }
        });
    }
}
