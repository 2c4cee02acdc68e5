//! Package files in the store: what their headers say is read once, when they come, and kept in the database.

use anima_db::package::Package;
use anima_repodata::{PublishedFile, render};
use anima_rpm_file::{PackageInfo, PublicKey};
use anima_types::{Nevra, Sha256};

use crate::{
    app::App,
    error::{ApiError, ApiResult},
};

/// Reads the package that the store has under this hash. What is no whole package is refused with the reason.
pub async fn read(app: &App, sha256: Sha256) -> ApiResult<Package> {
    let (path, size_bytes, now_secs) = (app.store.path(sha256), app.store.size(sha256).await?, app.now().epoch_secs());
    blocking(move || {
        let bad = |error: anima_rpm_file::Error| ApiError::unprocessable("bad_package", error.to_string());
        let info = PackageInfo::read(&path).map_err(bad)?;
        let header = anima_rpm_file::header_bytes(&path).map_err(bad)?;
        let file = PublishedFile { location: location(&info.nevra), sha256, size_bytes, modified_at_secs: now_secs };
        let xml = serde_json::to_string(&render(&info, &file)).map_err(ApiError::internal)?;
        Ok(Package {
            sha256,
            file_name: info.nevra.file_name(),
            source: source_name(&info),
            is_source: info.is_source,
            nevra: info.nevra,
            xml,
            header_sha256: header.sha256,
        })
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

/// Puts a signature into a copy of a package, verifies that copy, stores it, and returns what it is.
pub async fn sign(app: &App, sha256: Sha256, signature_hex: &str, key: &PublicKey) -> ApiResult<Package> {
    let bad = |what: String| ApiError::unprocessable("bad_signature", what);
    let signature =
        hex::decode(signature_hex).map_err(|error| bad(format!("the signature is not hexadecimal: {error}")))?;
    let (input, key) = (app.store.path(sha256), key.clone());
    let folder = app.config.data.join("signing");
    let signed = blocking(move || {
        let wrong = |error: anima_rpm_file::Error| bad(format!("could not sign {sha256}: {error}"));
        std::fs::create_dir_all(&folder).map_err(ApiError::internal)?;
        let output = tempfile::Builder::new().prefix("signed-").tempfile_in(&folder).map_err(ApiError::internal)?;
        anima_rpm_file::install_signature(&input, output.path(), &signature).map_err(wrong)?;
        anima_rpm_file::verify(output.path(), &key).map_err(wrong)?;
        Ok(output)
    })
    .await?;
    let file = tokio::fs::File::open(signed.path()).await.map_err(ApiError::internal)?;
    let stored = app.store.put_reader(None, u64::MAX, file).await?;
    read(app, stored.sha256).await
}

/// Runs work that blocks outside of the async threads.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> ApiResult<T> + Send + 'static) -> ApiResult<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(ApiError::internal(error)))
}
