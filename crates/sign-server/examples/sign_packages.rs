//! What `cargo xtask bench sign` measures: packages signed as the master and the Sign Server do it together, in one process.
//!
//! `sign_packages FOLDER ALGORITHM`: signs `FOLDER/packages/*.rpm` into `FOLDER/signed/`, leaves the key for the peer in
//! `FOLDER/secret.asc` (locked with "bench") and `FOLDER/public.asc`, and prints figures as one line of JSON. The fetching of
//! headers over HTTP is left out: what goes over the wire is counted instead.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use anima_rpm_file::{header_bytes, header_nevra, install_signature, verify};
use anima_sign_server::{
    journal::Journal,
    keyring::Keyring,
    policy::Policies,
    work::{Fetched, sign},
};
use anima_types::{
    Sha256, Timestamp,
    id::TaskId,
    key::{Algorithm, CreateKey, Options},
    signature::{Account, Form, Kind, MadeBy},
    work::{SignItem, SignOutcome, SignWork, Work},
};
use anyhow::{Context, Result, bail};
use rayon::prelude::*;
use zeroize::Zeroizing;

/// The words that the key is locked with for the peer.
const PEER_PASSPHRASE: &str = "bench";
/// A package is large from here on: what goes to the signer has to be a hundredth of it at most.
const LARGE_BYTES: u64 = 1 << 20;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(folder), Some(algorithm)) = (arguments.next().map(PathBuf::from), arguments.next()) else {
        bail!("say a folder and an algorithm");
    };
    let algorithm = Algorithm::from_name(&algorithm).context("that is no algorithm")?;
    let packages = packages(&folder.join("packages"))?;
    let data = tempfile::tempdir_in(&folder)?;
    let mut keyring = Keyring::open(&data.path().join("keys"), Zeroizing::new("keyring".into()))?;
    let now = Timestamp(SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros() as i64);
    let options = Options::default();
    let wanted = CreateKey { name: "bench".into(), algorithm, user_id: "Bench <b@example.org>".into(), options };
    let entry = keyring.create(&wanted, now.epoch_secs() as u32)?;
    let (public, fingerprint) = (entry.key.public_key(), entry.fingerprint());
    fs::write(folder.join("secret.asc"), entry.key.to_armoured_secret(PEER_PASSPHRASE)?)?;
    fs::write(folder.join("public.asc"), public.to_armoured()?)?;
    let mut journal = Journal::open(&data.path().join("journal.jsonl"))?;

    let began = Instant::now();
    let fetched = packages.par_iter().map(|path| fetched(path)).collect::<Result<Vec<Fetched>>>()?;
    let at_signer = Instant::now();
    let policies = Policies::default();
    let outcome = sign(&mut keyring, &mut journal, &policies, TaskId(1), &fingerprint, &fetched, now)?;
    let sign_s = at_signer.elapsed().as_secs_f64();
    let SignOutcome::Signatures(signatures) = outcome else { bail!("it made no signatures") };
    let output = folder.join("signed");
    fs::create_dir_all(&output)?;
    packages.par_iter().zip(&signatures).try_for_each(|(path, signature)| -> Result<()> {
        let signed = output.join(path.file_name().context("a package has no name")?);
        install_signature(path, &signed, &hex::decode(&signature.signature)?)?;
        verify(&signed, &public)?;
        Ok(())
    })?;
    let total_s = began.elapsed().as_secs_f64();

    let sizes = packages.iter().map(|path| Ok(fs::metadata(path)?.len())).collect::<Result<Vec<u64>>>()?;
    let large = fetched.iter().zip(&sizes).filter(|(_, size)| **size > LARGE_BYTES);
    let (mut large_package_bytes, mut large_signer_bytes) = (0, 0);
    for ((item, bytes), size) in large {
        large_package_bytes += size;
        large_signer_bytes += bytes.len() + serde_json::to_vec(item)?.len();
    }
    let items = fetched.iter().map(|(item, _)| item.clone()).collect();
    let work = Work::Sign(SignWork::Signatures { fingerprint, items });
    let signer_bytes = fetched.iter().map(|(_, bytes)| bytes.len()).sum::<usize>() + serde_json::to_vec(&work)?.len();
    let figures = serde_json::json!({
        "packages": packages.len(),
        "sign_s": sign_s,
        "total_s": total_s,
        "package_bytes": sizes.iter().sum::<u64>(),
        "signer_bytes": signer_bytes,
        "large_package_bytes": large_package_bytes,
        "large_signer_bytes": large_signer_bytes,
        "cores": rayon::current_num_threads(),
    });
    println!("{figures}");
    Ok(())
}

fn packages(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut packages = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    packages.sort();
    Ok(packages)
}

/// Returns what the master gives to the Sign Server for a package.
fn fetched(path: &Path) -> Result<Fetched> {
    let header = header_bytes(path)?;
    let artifact = header.sha256;
    let account = Account {
        kind: Kind::Rpm,
        name: header_nevra(&header.bytes)?.to_string(),
        product: "bench".into(),
        platform: Some("bench".into()),
        build: None,
        release: None,
        made_by: Some(MadeBy { task: TaskId(1), lease: 1, node: "bench".into() }),
        is_green: true,
        imported: None,
        asked_by: None,
        approved_by: Vec::new(),
    };
    let item = SignItem {
        artifact: Sha256(artifact.0),
        form: Form::RpmHeader,
        url: format!("http://master.example.org/api/v1/artifacts/{artifact}/header"),
        bytes_sha256: header.sha256,
        state: None,
        account: Some(account),
    };
    Ok((item, header.bytes.into()))
}
