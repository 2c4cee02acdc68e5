//! Package files in the store: what their headers say is read once, when they come, and kept in the database.

use std::path::Path;

use anima_db::{package::Package, package_search::Searchable};
use anima_repodata::{PublishedFile, render};
use anima_rpm_file::{PackageInfo, PublicKey};
use anima_types::{Nevra, Sha256};

use crate::{
    app::App,
    error::{ApiError, ApiResult},
    search::index,
};

/// Reads the package that the store has under this hash, and what it is searched by. What is no whole package is refused with
/// the reason.
pub async fn read(app: &App, sha256: Sha256) -> ApiResult<(Package, Searchable)> {
    let (path, size_bytes, now_secs) = (app.store.path(sha256), app.store.size(sha256).await?, app.now().epoch_secs());
    blocking(move || {
        let bad = |error: anima_rpm_file::Error| ApiError::unprocessable("bad_package", error.to_string());
        let info = PackageInfo::read(&path).map_err(bad)?;
        let header = anima_rpm_file::header_bytes(&path).map_err(bad)?;
        let file = PublishedFile { location: location(&info.nevra), sha256, size_bytes, modified_at_secs: now_secs };
        let xml = serde_json::to_string(&render(&info, &file)).map_err(ApiError::internal)?;
        let searchable = index::of_header(&info);
        let package = Package {
            sha256,
            file_name: info.nevra.file_name(),
            source: source_name(&info),
            is_source: info.is_source,
            nevra: info.nevra,
            xml,
            header_sha256: header.sha256,
        };
        Ok((package, searchable))
    })
    .await
}

/// Returns where a package lies in a repository.
pub fn location(nevra: &Nevra) -> String {
    let first = nevra.name.chars().next().unwrap_or('_').to_ascii_lowercase();
    format!("Packages/{first}/{}", nevra.file_name())
}

/// Returns the name of the source package: its file's name without version, release and ending.
fn source_name(info: &PackageInfo) -> String {
    let Some(file) = &info.source_rpm else { return info.nevra.name.clone() };
    let mut parts = file.rsplitn(3, '-');
    let (_release, _version) = (parts.next(), parts.next());
    parts.next().unwrap_or(&info.nevra.name).to_string()
}

/// What a package is signed with, as the Sign Server gave it.
#[derive(Clone, Debug, Default)]
pub struct Signatures {
    /// The signature packet over the header, in hexadecimal.
    pub header: String,
    /// The one over header and payload.
    pub header_and_payload: Option<String>,
    /// A line for each file.
    pub files: Option<String>,
}

/// The public keys that a package's signatures have to be by.
#[derive(Clone, Debug)]
pub struct Keys {
    /// Of the package itself.
    pub package: PublicKey,
    /// Of its files.
    pub files: Option<PublicKey>,
}

/// Puts signatures into a copy of a package, verifies that copy with the public keys, stores it, and returns what it is.
pub async fn sign(app: &App, sha256: Sha256, signatures: Signatures, keys: &Keys) -> ApiResult<Package> {
    let (input, keys, folder) = (app.store.path(sha256), keys.clone(), app.config.data.join("signing"));
    let signed = blocking(move || {
        std::fs::create_dir_all(&folder).map_err(ApiError::internal)?;
        let output = tempfile::Builder::new().prefix("signed-").tempfile_in(&folder).map_err(ApiError::internal)?;
        install(&input, output.path(), &signatures, &keys)
            .map_err(|reason| ApiError::unprocessable("bad_signature", format!("could not sign {sha256}: {reason}")))?;
        Ok(output)
    })
    .await?;
    let file = tokio::fs::File::open(signed.path()).await.map_err(ApiError::internal)?;
    let stored = app.store.put_reader(None, u64::MAX, file).await?;
    // With a signature it is found as it was without.
    Ok(read(app, stored.sha256).await?.0)
}

fn install(input: &Path, output: &Path, signatures: &Signatures, keys: &Keys) -> Result<(), String> {
    let unhex = |text: &str| hex::decode(text).map_err(|error| format!("a signature is not hexadecimal: {error}"));
    let header = unhex(&signatures.header)?;
    let header_and_payload = signatures.header_and_payload.as_deref().map(unhex).transpose()?;
    let files = signatures.files.as_deref().map(|lines| lines.split('\n').map(str::to_string).collect::<Vec<_>>());
    // A package without files has no lines.
    let files = files.filter(|lines| lines.len() > 1 || lines.iter().any(|line| !line.is_empty()));
    let parts = anima_rpm_file::Signatures {
        header: &header,
        header_and_payload: header_and_payload.as_deref(),
        files: files.as_deref(),
    };
    anima_rpm_file::install_signatures(input, output, &parts).map_err(|error| error.to_string())?;
    let verified = anima_rpm_file::verify(output, &keys.package).map_err(|error| error.to_string())?;
    if verified.has_payload_signature != header_and_payload.is_some() {
        return Err("its signature over header and payload is not there".to_string());
    }
    match &keys.files {
        Some(key) if files.is_some() => anima_rpm_file::verify_files(output, key).map_err(|error| error.to_string()),
        _ => Ok(()),
    }
}

/// Returns what SHA-256 remembers of a package's header and payload, and the digest of both.
pub async fn digest_state(app: &App, sha256: Sha256) -> ApiResult<(String, Sha256)> {
    let path = app.store.path(sha256);
    blocking(move || {
        let state = anima_rpm_file::digest_state(&path)
            .map_err(|error| ApiError::unprocessable("bad_package", error.to_string()))?;
        Ok((state.to_hex(), Sha256(state.finish())))
    })
    .await
}

/// Runs work that blocks outside of the async threads.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> ApiResult<T> + Send + 'static) -> ApiResult<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(ApiError::internal(error)))
}
