//! What is made at the first start: the folder, the database, one token for each role, the products of the platforms.

use std::{
    fs, io,
    io::Write as _,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::Path,
};

use anima_db::Db;
use anima_store::{LogStore, Store};
use anima_types::{permission::Role, token::Scopes};
use anyhow::Context as _;

use crate::{
    app::{App, Clock, Config},
    auth, lease, product,
};

/// The roles that get a token of their own at the first start.
const ROLES: [Role; 6] =
    [Role::Admin, Role::GitService, Role::BuildNode, Role::TestNode, Role::SignServer, Role::ReleaseSystem];

/// Opens the service's data, making what is missing.
pub async fn open(config: Config, clock: Clock) -> anyhow::Result<App> {
    let folder = |path: &Path| {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.with_context(|| format!("could not create {}", path.display()))
    };
    folder(&config.data)?;
    folder(&config.tokens)?;
    // What a killed process was putting signatures into.
    match fs::remove_dir_all(config.data.join("signing")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error).context("could not clean up"),
        _ => {}
    }
    let db = Db::connect(config.database.clone()).await?;
    let store = Store::open(&config.artifacts).await?;
    let logs = LogStore::open(&config.artifacts).await?;
    let app = App::new(db, store, logs, config, clock);
    for role in ROLES {
        make_token(&app, role).await?;
    }
    let mut write = app.db.write(app.now(), "anima").await?;
    product::make_configured(&mut write, &app.config.platforms).await.map_err(in_words)?;
    write.commit().await?;
    lease::renew_at_start(&app).await.map_err(in_words)?;
    app.everything_is_due();
    Ok(app)
}

/// Makes a role's token if its file is missing. The file comes first: a token that nobody knows would be of no use, and
/// one that the database does not know is made again.
async fn make_token(app: &App, role: Role) -> anyhow::Result<()> {
    let path = app.config.tokens.join(role.name());
    let there = fs::read_to_string(&path).ok().map(|text| auth::hash(text.trim()));
    let mut write = app.db.write(app.now(), "anima").await?;
    if let Some(hash) = there
        && anima_db::token::find(&mut write, &hash).await?.is_some()
    {
        return Ok(());
    }
    let (secret, hash) = auth::new_secret();
    write_secret(&path, &secret).with_context(|| format!("could not write {}", path.display()))?;
    let token = anima_db::token::NewToken {
        name: role.name().to_string(),
        role,
        account: None,
        scopes: Scopes::default(),
        expires_at: None,
        is_of_node: false,
    };
    anima_db::token::insert(&mut write, &token, &hash).await?;
    Ok(write.commit().await?)
}

fn write_secret(path: &Path, secret: &str) -> io::Result<()> {
    let temporary = path.with_extension("new");
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    writeln!(file, "{secret}")?;
    file.sync_all()?;
    fs::rename(temporary, path)
}

fn in_words(error: crate::error::ApiError) -> anyhow::Error {
    anyhow::anyhow!(error.body.message)
}
