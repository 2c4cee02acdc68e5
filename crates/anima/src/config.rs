//! The configuration: one TOML file, none of whose keys is needed. What it says can be said by arguments, too.

use std::{
    collections::BTreeMap,
    fs, io,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
};

use anima_master::{BucketAddress, Credentials, Quota, StoreAddress};
use anima_types::{
    Arch,
    platform::{Limits, is_feature},
    retention::Rules,
};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::{
    config_oidc::Oidc,
    data::DataFolder,
    exit::{Failure, Result},
    role::Role,
    secret,
};

/// What a file may say, with what holds where it says nothing.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where the master listens.
    pub listen: SocketAddr,
    /// Where the Git Service listens.
    pub git_listen: SocketAddr,
    /// The master's address as others reach it; http:// and `listen` where nothing is said.
    pub public_url: Option<String>,
    /// The Git Service's address as others reach it; http:// and `git_listen` where nothing is said.
    pub git_url: Option<String>,
    /// Proxies in front of the master: what they say of where a request comes from (`X-Forwarded-For`) is believed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub proxies: Vec<IpAddr>,
    /// How many times as much as usual people may ask of the master before they are told to wait: more where many people share an
    /// address.
    pub limits_factor: u32,
    /// Connections that one address may have at once to the master and to the Git Service; proxies and this machine itself
    /// are not counted.
    pub connections_of_address: usize,
    /// The roles that `anima up` starts.
    pub roles: Vec<Role>,
    /// Folders of packages that the master serves at `/mirror/NAME/`, by name.
    pub mirrors: BTreeMap<String, PathBuf>,
    pub database: Database,
    pub store: Store,
    /// The OpenID provider that people may sign in by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oidc: Option<Oidc>,
    /// What goes by its age; where nothing is said it stays.
    pub retention: Rules,
    /// How much of the farm a team may have at once.
    #[serde(skip_serializing_if = "Quota::is_empty")]
    pub quota: Quota,
    pub build_node: BuildNode,
    pub test_node: Node,
    pub sign_server: SignServer,
    pub release_system: Node,
}

/// The master's database.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Database {
    /// The address of a PostgreSQL database, which several masters may share (`postgres://user@host/name`; passwords are
    /// also read from the file that PGPASSFILE names). An SQLite file in the master's folder where nothing is said.
    pub url: Option<String>,
}

/// Where the master keeps artifacts and logs.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Store {
    /// A folder, which several masters may share; one in the master's folder where neither it nor `url` is said.
    pub folder: Option<PathBuf>,
    /// A bucket of an S3 object store, which several masters may share: `s3://BUCKET` or `s3://BUCKET/PREFIX`.
    pub url: Option<String>,
    /// The object store's address (`https://s3.example.org`); Amazon's where nothing is said.
    pub endpoint: Option<String>,
    /// Its region; `us-east-1` where nothing is said.
    pub region: Option<String>,
    /// A file with `aws_access_key_id` and `aws_secret_access_key`. Where nothing is said, the service manager's credential
    /// `store-credentials`, else `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, else what Amazon's machine says of itself.
    pub credentials_file: Option<PathBuf>,
    /// What copies of what was used last may take on this machine's disk.
    pub cache_mib: u64,
}

impl Default for Store {
    fn default() -> Store {
        // The metadata of all repositories of a distribution, and the packages of some builds.
        Store { folder: None, url: None, endpoint: None, region: None, credentials_file: None, cache_mib: 4096 }
    }
}

/// The name of the object store's key among the credentials that a service manager gives.
const STORE_CREDENTIAL: &str = "store-credentials";
const MIB: u64 = 1024 * 1024;
/// A cache that keeps less than one task's root and its packages take keeps nothing of use.
const LEAST_CACHE_MIB: u64 = 2048;

impl Store {
    /// Returns the address for a master with this folder.
    pub fn address(&self, folder: &Path) -> Result<StoreAddress> {
        let Some(url) = &self.url else {
            let local = || folder.join("artifacts");
            return Ok(StoreAddress::Folder(self.folder.clone().unwrap_or_else(local)));
        };
        let (bucket, prefix) = parse_bucket(url)?;
        Ok(StoreAddress::Bucket(Box::new(BucketAddress {
            bucket,
            prefix,
            endpoint: self.endpoint.clone(),
            region: self.region.clone().unwrap_or_else(|| "us-east-1".to_string()),
            credentials: self.credentials()?,
            cache: folder.join("cache"),
            cache_bytes: self.cache_mib << 20,
        })))
    }

    fn check(&self) -> Result {
        match (&self.url, &self.folder) {
            (Some(_), Some(_)) => return Err(Failure::config("[store] has a folder or a url, not both")),
            (Some(url), None) => drop(parse_bucket(url)?),
            (None, _) if self.endpoint.is_some() || self.region.is_some() || self.credentials_file.is_some() => {
                return Err(Failure::config("[store] says something of an object store, but no url = \"s3://BUCKET\""));
            }
            (None, _) => {}
        }
        self.endpoint.as_deref().map_or(Ok(()), check_url)
    }

    fn credentials(&self) -> Result<Option<Credentials>> {
        let given = || secret::credential(std::env::var_os(secret::FOLDER), STORE_CREDENTIAL);
        if let Some(file) = self.credentials_file.clone().or_else(given) {
            let failed = |why: String| Failure::config(format!("could not read {}: {why}", file.display()));
            let text = fs::read_to_string(&file).map_err(|error| failed(error.to_string()))?;
            let missing = || failed("it has no aws_access_key_id with aws_secret_access_key".to_string());
            return Credentials::parse(&text).ok_or_else(missing).map(Some);
        }
        let said = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let pair = said("AWS_ACCESS_KEY_ID").zip(said("AWS_SECRET_ACCESS_KEY"));
        Ok(pair.map(|(access_key_id, secret_access_key)| Credentials {
            access_key_id,
            secret_access_key,
            session_token: said("AWS_SESSION_TOKEN"),
        }))
    }
}

/// Reads `s3://BUCKET/PREFIX`.
fn parse_bucket(text: &str) -> Result<(String, String)> {
    let wrong =
        || Failure::config(format!("\"{text}\" is no address of a bucket: it is s3://BUCKET or s3://BUCKET/PREFIX"));
    let (bucket, prefix) =
        text.strip_prefix("s3://").map(|rest| rest.split_once('/').unwrap_or((rest, ""))).ok_or_else(wrong)?;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    let is_good = !bucket.is_empty() && text["s3://".len()..].chars().all(is_plain) && !prefix.contains("//");
    if is_good { Ok((bucket.to_string(), prefix.trim_end_matches('/').to_string())) } else { Err(wrong()) }
}

impl Database {
    /// Returns the address for a master with this folder.
    pub fn address(&self, folder: &Path) -> anima_master::Address {
        match &self.url {
            Some(url) => anima_master::Address::new(url),
            None => anima_master::Address::File(folder.join("anima.db")),
        }
    }
}

/// What all nodes have in common.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Node {
    /// The node's name; the machine's name and the role's where nothing is said.
    pub name: Option<String>,
    /// Where it works; the role's folder in the data folder where nothing is said.
    pub data: Option<PathBuf>,
    /// How many tasks a build or test node does at once; as many as the machine has cores and memory for where nothing
    /// is said.
    pub slots: Option<u32>,
    /// Architectures that a test node emulates where no other node runs them; all that there is an emulator for where nothing
    /// is said.
    pub emulate: Option<Vec<Arch>>,
    /// The folder of QEMU's emulators (`qemu-aarch64-static`); `/usr/bin` where nothing is said.
    pub emulators: Option<PathBuf>,
}

/// A build node.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BuildNode {
    /// The node's name; the machine's name and the role's where nothing is said.
    pub name: Option<String>,
    /// Where it works; the role's folder in the data folder where nothing is said.
    pub data: Option<PathBuf>,
    /// How many tasks it does at once; as many as the machine has cores and memory for where nothing is said.
    pub slots: Option<u32>,
    /// How many hours the roots of failed tasks are kept, for people to enter (`anima build shell`); 0 keeps none.
    pub keep_hours: u64,
    /// How much kept roots may take on the disk, all together.
    pub keep_mib: u64,
    /// How much layers of roots may take on the disk; a test node that shares the folder keeps to it, too.
    pub layers_mib: u64,
    /// The same for packages and metadata of repositories.
    pub downloads_mib: u64,
    /// Architectures that it emulates where no other node runs them; all that there is an emulator for where nothing is said.
    pub emulate: Option<Vec<Arch>>,
    /// The folder of QEMU's emulators (`qemu-aarch64-static`); `/usr/bin` where nothing is said.
    pub emulators: Option<PathBuf>,
    /// What each task may use at most; its share of the machine where nothing is said.
    #[serde(skip_serializing_if = "Limits::is_empty")]
    pub limits: Limits,
    /// What its machine has that not all have, such as `kvm`: packages that need it are built here.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<String>,
}

impl Default for BuildNode {
    fn default() -> BuildNode {
        // A night, for who comes in the morning; and so little that no node is filled by it.
        let (keep_hours, keep_mib) = (12, 2048);
        let budget = anima_build_node::Budget::default();
        BuildNode {
            name: None,
            data: None,
            slots: None,
            keep_hours,
            keep_mib,
            layers_mib: budget.layer_bytes / MIB,
            downloads_mib: budget.download_bytes / MIB,
            emulate: None,
            emulators: None,
            limits: Limits::default(),
            features: Vec::new(),
        }
    }
}

impl BuildNode {
    /// Returns how much the caches of nodes keep.
    pub fn budget(&self) -> anima_build_node::Budget {
        let bytes = |mib: u64| mib.saturating_mul(MIB);
        anima_build_node::Budget { layer_bytes: bytes(self.layers_mib), download_bytes: bytes(self.downloads_mib) }
    }
}

/// The Sign Server.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SignServer {
    pub name: Option<String>,
    /// Where the keys are.
    pub data: Option<PathBuf>,
    /// A file with the keyring's passphrase; one that is made beside the keys where nothing is said.
    pub passphrase_file: Option<PathBuf>,
    /// A file with the PIN of tokens; the passphrase where nothing is said.
    pub pin_file: Option<PathBuf>,
    /// Folders that the modules of tokens read and write, such as `/var/lib/softhsm`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub token_folders: Vec<PathBuf>,
    /// The system user that it runs as when `anima up` was started as root; made if missing. Empty: no other user.
    pub user: String,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            listen: SocketAddr::from(([127, 0, 0, 1], 8490)),
            git_listen: SocketAddr::from(([127, 0, 0, 1], 8491)),
            public_url: None,
            git_url: None,
            proxies: Vec::new(),
            limits_factor: 1,
            connections_of_address: anima_master::CONNECTIONS_OF_ADDRESS,
            roles: Role::ALL.to_vec(),
            mirrors: BTreeMap::new(),
            database: Database::default(),
            store: Store::default(),
            oidc: None,
            retention: Rules::default(),
            quota: Quota::default(),
            build_node: BuildNode::default(),
            test_node: Node::default(),
            sign_server: SignServer::default(),
            release_system: Node::default(),
        }
    }
}

impl Default for SignServer {
    fn default() -> SignServer {
        SignServer {
            name: None,
            data: None,
            passphrase_file: None,
            pin_file: None,
            token_folders: Vec::new(),
            user: "anima-sign".into(),
        }
    }
}

impl Config {
    /// Returns the file that was asked for, or the data folder's `anima.toml` if there is one, or the defaults.
    pub fn load(asked: Option<&Path>, data: &DataFolder) -> Result<Config> {
        let path = asked.map_or_else(|| data.config_file(), Path::to_path_buf);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound && asked.is_none() => return Ok(Config::default()),
            Err(error) => return Err(Failure::config(format!("could not read {}: {error}", path.display()))),
        };
        Config::parse(&text).map_err(|failure| Failure {
            message: format!("could not use {}: {}", path.display(), failure.message),
            ..failure
        })
    }

    fn parse(text: &str) -> Result<Config> {
        let config: Config =
            toml::from_str(text).map_err(|error| Failure::config(error.to_string().trim().to_string()))?;
        for url in [&config.public_url, &config.git_url].into_iter().flatten() {
            check_url(url)?;
        }
        if let Some(url) = &config.database.url
            && !matches!(anima_master::Address::new(url), anima_master::Address::Postgres(_))
        {
            return Err(Failure::config("[database] url is no address of PostgreSQL: it begins with postgres://"));
        }
        for name in config.mirrors.keys() {
            check_mirror_name(name)?;
        }
        if let Some(word) = config.build_node.features.iter().find(|word| !is_feature(word)) {
            return Err(Failure::config(format!(
                "[build_node] features: \"{word}\" is no word of small letters, digits, '-', '_' and '.'"
            )));
        }
        config.quota.check().map_err(Failure::config)?;
        config.store.check()?;
        config.retention.check().map_err(Failure::config)?;
        config.oidc.as_ref().map_or(Ok(()), Oidc::check)?;
        Ok(config)
    }

    /// Returns what is allowed but rarely meant.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        for (key, listen, url) in
            [("public_url", self.listen, &self.public_url), ("git_url", self.git_listen, &self.git_url)]
        {
            if listen.ip().is_unspecified() && url.is_none() {
                warnings.push(format!("{listen} is no address that others can use: say {key}"));
            }
        }
        let BuildNode { layers_mib, downloads_mib, .. } = self.build_node;
        for (key, mib) in [("layers_mib", layers_mib), ("downloads_mib", downloads_mib)] {
            if mib < LEAST_CACHE_MIB {
                warnings.push(format!(
                    "[build_node] {key} = {mib}: what one task needs of it has {LEAST_CACHE_MIB} and more, so that others make or fetch it again"
                ));
            }
        }
        for (name, folder) in &self.mirrors {
            if !folder.is_dir() {
                warnings.push(format!("mirror \"{name}\": there is no folder {}", folder.display()));
            }
        }
        warnings
    }

    /// Returns what the services that are installed on this machine could not do as it stands: they see the system read-only, and
    /// no homes.
    pub fn service_warnings(&self, data: &DataFolder) -> Vec<String> {
        let written = [
            ("anima-master", "[store] folder", &self.store.folder),
            ("anima-build-node", "[build_node] data", &self.build_node.data),
            ("anima-test-node", "[test_node] data", &self.test_node.data),
            ("anima-sign-server", "[sign_server] data", &self.sign_server.data),
            ("anima-release-system", "[release_system] data", &self.release_system.data),
        ];
        let mut warnings = Vec::new();
        for (unit, key, folder) in written {
            if let Some(folder) = folder.as_ref().filter(|folder| !folder.starts_with(data.path())) {
                let folder = folder.display();
                warnings.push(format!(
                    "{key}: the service {unit} may not write to {folder}: `systemctl edit {unit}`, ReadWritePaths={folder}"
                ));
            }
        }
        let homes = ["/home", "/root", "/run/user"];
        for (name, folder) in &self.mirrors {
            if homes.iter().any(|home| folder.starts_with(home)) {
                warnings.push(format!("mirror \"{name}\": the service anima-master does not see {}", folder.display()));
            }
        }
        warnings
    }
}

fn check_url(text: &str) -> Result {
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.query().is_none() => Ok(()),
        Ok(_) => Err(Failure::config(format!("\"{text}\" is not a plain http:// or https:// address"))),
        Err(error) => Err(Failure::config(format!("\"{text}\" is not an address: {error}"))),
    }
}

fn check_mirror_name(name: &str) -> Result {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    match !name.is_empty() && name.chars().all(plain) && !name.starts_with('.') {
        true => Ok(()),
        false => {
            Err(Failure::config(format!("mirror name \"{name}\" may have only letters, digits, '-', '_' and '.'")))
        }
    }
}

/// Reads `NAME=FOLDER` of the arguments.
pub fn parse_mirror(text: &str) -> std::result::Result<(String, PathBuf), String> {
    let (name, folder) = text.split_once('=').ok_or("it has to be NAME=FOLDER")?;
    check_mirror_name(name).map_err(|failure| failure.message)?;
    Ok((name.to_string(), folder.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

    #[test]
    fn no_file_is_needed() {
        let folder = tempfile::tempdir().unwrap();

        let config = Config::load(None, &DataFolder::new(Some(folder.path()))).unwrap();

        assert_eq!(config, Config::default());
        assert_eq!(config.listen.to_string(), "127.0.0.1:8490");
        assert!(config.warnings().is_empty());
    }

    #[test]
    fn what_services_may_not_write_or_see_is_told() {
        let data = DataFolder::new(Some(Path::new("/var/lib/anima")));
        let text = "[store]\nfolder = \"/srv/artifacts\"\n[build_node]\ndata = \"/var/lib/anima/node\"\n[mirrors]\nm = \"/home/m\"\n";

        let warnings = Config::parse(text).unwrap().service_warnings(&data);

        assert_eq!(warnings.len(), 2, "{warnings:?}");
        assert!(warnings[0].contains("ReadWritePaths=/srv/artifacts"), "{warnings:?}");
        assert!(Config::default().service_warnings(&data).is_empty());
    }

    #[test]
    fn a_file_that_was_asked_for_has_to_be_there() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataFolder::new(Some(folder.path()));

        let failure = Config::load(Some(&folder.path().join("other.toml")), &data).unwrap_err();

        assert_eq!(failure.exit, Exit::Config);
        assert!(failure.message.contains("other.toml"));
    }

    #[test]
    fn the_defaults_read_back_from_their_own_text() {
        let text = toml::to_string(&Config::default()).unwrap();

        assert_eq!(Config::parse(&text).unwrap(), Config::default());
    }

    #[test]
    fn a_bucket_has_a_prefix_and_a_key_from_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        fs::write(&file, "aws_access_key_id = a\naws_secret_access_key = b\n").unwrap();
        let text = format!("[store]\nurl = \"s3://dist/anima/1/\"\ncredentials_file = {file:?}\ncache_mib = 1\n");

        let address = Config::parse(&text).unwrap().store.address(Path::new("/data")).unwrap();

        let StoreAddress::Bucket(bucket) = &address else { panic!("{address}") };
        assert_eq!(address.to_string(), "s3://dist/anima/1");
        assert_eq!((bucket.region.as_str(), bucket.cache_bytes), ("us-east-1", 1 << 20));
        assert_eq!(bucket.cache, Path::new("/data/cache"));
        assert_eq!(bucket.credentials.as_ref().unwrap().access_key_id, "a");
        fs::write(&file, "nothing").unwrap();
        assert!(Config::parse(&text).unwrap().store.address(Path::new("/data")).unwrap_err().message.contains("key"));
    }

    #[test]
    fn a_wrong_key_address_role_or_mirror_is_refused_by_name() {
        let cases = [
            ("lisen = \"1\"", "lisen"),
            ("listen = \"8490\"", "invalid socket address"),
            ("public_url = \"anima\"", "\"anima\" is not an address"),
            ("public_url = \"ftp://x/\"", "http://"),
            ("roles = [\"cook\"]", "cook"),
            ("[mirrors]\n\"../x\" = \"/y\"", "../x"),
            ("[store]\nurl = \"https://x\"", "s3://BUCKET"),
            ("[store]\nurl = \"s3:///x\"", "s3://BUCKET"),
            ("[store]\nurl = \"s3://x\"\nfolder = \"/y\"", "not both"),
            ("[quota]\nteam_tasks = 0", "0 tasks"),
            ("[quota]\nartifacts_mib_of = { kernel = 0 }", "0 MiB"),
            ("[build_node]\nfeatures = [\"K V M\"]", "K V M"),
            ("[store]\nregion = \"x\"", "no url"),
            ("[store]\nurl = \"s3://x\"\nendpoint = \"x:1\"", "http://"),
        ];
        for (text, wanted) in cases {
            let failure = Config::parse(text).unwrap_err();

            assert!(failure.message.contains(wanted), "{}", failure.message);
        }
    }

    #[test]
    fn listening_everywhere_without_a_public_address_is_warned_of() {
        let config = Config::parse("listen = \"0.0.0.0:80\"\n[mirrors]\nseed = \"/nonexistent\"").unwrap();

        assert_eq!(config.warnings().len(), 2);
    }

    #[test]
    fn a_mirror_argument_is_a_name_and_a_folder() {
        assert_eq!(parse_mirror("seed=/srv/seed"), Ok(("seed".to_string(), PathBuf::from("/srv/seed"))));
        assert!(parse_mirror("/srv/seed").is_err());
        assert!(parse_mirror("../=x").is_err());
    }
}
