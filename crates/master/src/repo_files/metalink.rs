//! Tells a client which snapshot users see now, so that all that it reads is of one state: `mirrorlist` names addresses,
//! `metalink.xml` ([version 3](https://www.metalinker.org/), as librepo reads it) has the hash of the index besides.

use anima_db::Connection;
use anima_types::{Sha256, repository::Repository};

use crate::{
    app::App,
    error::{ApiError, ApiResult},
};

/// The list of addresses, one a line.
pub const MIRRORLIST: &str = "mirrorlist";
/// The same with the hash of the index.
pub const METALINK: &str = "metalink.xml";

/// Returns what a file is, for the client.
pub fn media_type(file: &str) -> &'static str {
    match file {
        METALINK => "application/metalink+xml",
        _ => "text/plain; charset=utf-8",
    }
}

/// Returns one of the two for the snapshot that users see.
pub async fn make(app: &App, connection: &mut Connection, repository: &Repository, file: &str) -> ApiResult<String> {
    let addresses = addresses(app, repository);
    if file == MIRRORLIST {
        return Ok(addresses.map(|address| address + "\n").concat());
    }
    let index = anima_db::snapshot::find_file(connection, repository.id, repository.current, "repodata/repomd.xml");
    let nothing = || ApiError::not_found(format!("{} has no index", repository.path));
    let sha256 = index.await?.ok_or_else(nothing)?;
    let size_bytes = anima_db::artifact::size(connection, sha256).await?.ok_or_else(nothing)?;
    Ok(metalink(sha256, size_bytes, &addresses))
}

/// Returns the snapshot's own address, and after it the moving one: a client that keeps its metadata finds there the
/// packages that it learnt of, whatever was released since.
fn addresses(app: &App, repository: &Repository) -> [String; 2] {
    let Repository { product, path, current, .. } = repository;
    [app.url(&format!("repos/{product}/{path}@{current}/")), app.url(&format!("repos/{product}/{path}/"))]
}

fn metalink(sha256: Sha256, size_bytes: u64, addresses: &[String]) -> String {
    let resource = |(address, preference): (&String, u32)| {
        let protocol = address.split(':').next().unwrap_or("http");
        let address = address.replace('&', "&amp;").replace('<', "&lt;");
        format!(
            "    <url protocol=\"{protocol}\" type=\"{protocol}\" preference=\"{preference}\">{address}repodata/repomd.xml</url>\n"
        )
    };
    let resources: String = addresses.iter().zip((1..=100).rev()).map(resource).collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n\
         <metalink version=\"3.0\" xmlns=\"http://www.metalinker.org/\" type=\"dynamic\" generator=\"anima\">\n\
         <files>\n <file name=\"repomd.xml\">\n  <size>{size_bytes}</size>\n\
         \x20 <verification>\n   <hash type=\"sha256\">{sha256}</hash>\n  </verification>\n\
         \x20 <resources maxconnections=\"1\">\n{resources}  </resources>\n </file>\n</files>\n</metalink>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_snapshots_own_address_comes_first_and_the_index_has_its_hash() {
        let addresses = ["https://a/x@3/".to_string(), "https://a/x/".to_string()];

        let made = metalink(Sha256([7; 32]), 42, &addresses);

        assert!(made.contains(&format!("<hash type=\"sha256\">{}</hash>", "07".repeat(32))), "{made}");
        let first = "<url protocol=\"https\" type=\"https\" preference=\"100\">https://a/x@3/repodata/repomd.xml</url>";
        assert!(made.contains(first), "{made}");
        assert!(made.contains("preference=\"99\">https://a/x/repodata/repomd.xml"), "{made}");
    }
}
