//! The way to the master: which address, whose token, and how its refusals become a command's end.

use anima_client::{Client, Error};

use crate::{
    args::Global,
    config::Config,
    credentials::Credentials,
    data::DataFolder,
    exit::{Exit, Failure, Result},
};

/// The role whose token the command line uses on the master's own machine.
const OWN_ROLE: &str = "admin";

/// Returns a client of the master that is meant: the one that was named, or that of the data folder.
pub fn of(global: &Global) -> Result<Client> {
    let (url, token) = address(global)?;
    connect(&url, token)
}

/// Returns a client of the Git Service that is meant: the one that was named, or that of the data folder.
pub fn of_git(global: &Global, named: Option<&str>) -> Result<Client> {
    let data = DataFolder::new(global.data.as_deref());
    let running = data.read_running().map(|running| running.git_url).filter(|url| !url.is_empty());
    let url = named.or(running.as_deref()).ok_or_else(|| {
        Failure::user("nothing says where the Git Service is")
            .hint("say --git URL, or name its data folder with --data")
    })?;
    let is_own = Some(url) == running.as_deref();
    // The Git Service asks the master: who logged in there is the same person here.
    let login = || Some(Credentials::of_user()?.find(&address(global).ok()?.0)?.token);
    let token = global.token.clone().or_else(login).or_else(|| data.read_token(OWN_ROLE).filter(|_| is_own));
    connect(url, token)
}

/// Returns the master's address, and the token to send there.
pub fn address(global: &Global) -> Result<(String, Option<String>)> {
    let data = DataFolder::new(global.data.as_deref());
    let running = data.read_running().map(|running| running.master_url);
    let url = match (&global.master, &running) {
        (Some(url), _) | (None, Some(url)) => url.clone(),
        (None, None) => format!("http://{}", Config::load(global.config.as_deref(), &data)?.listen),
    };
    if let Some(token) = &global.token {
        return Ok((url, Some(token.clone())));
    }
    // Who logged in there wants to be that person.
    if let Some(login) = Credentials::of_user().and_then(|credentials| credentials.find(&url)) {
        return Ok((url, Some(login.token)));
    }
    // The administrator's token goes to the data folder's own master, and to nobody else who was named.
    let is_own = global.master.as_ref().is_none_or(|url| Some(url) == running.as_ref());
    let token = data.read_token(OWN_ROLE).filter(|_| is_own);
    Ok((url, token))
}

/// Returns a client of the master at that address; it does not connect yet.
pub fn connect(url: &str, token: Option<String>) -> Result<Client> {
    Client::new(url, token).map_err(Failure::from)
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        let (exit, hint) = match &error {
            Error::Api { status: 401, body, .. } => (
                Exit::Denied,
                body.hint.clone().or_else(|| {
                    Some("`anima login ACCOUNT`, or say --token TOKEN, or run it where the data folder is".to_string())
                }),
            ),
            Error::Api { status: 403, body, .. } => (Exit::Denied, body.hint.clone()),
            Error::Api { status, body, .. } if *status < 500 && *status != 429 => (Exit::User, body.hint.clone()),
            Error::Api { body, .. } => (Exit::Remote, body.hint.clone()),
            Error::Unreachable { .. } => (
                Exit::Remote,
                Some("is Anima running there? Start it with `anima up`, or name it with --master URL".into()),
            ),
            Error::Address { .. } => (Exit::User, None),
            Error::File { .. } => (Exit::Internal, None),
            Error::Answer { .. } | Error::WrongHash { .. } | Error::TooLong { .. } | Error::LeaseLost { .. } => {
                (Exit::Remote, None)
            }
        };
        let code = error.code().map(str::to_string);
        let message = match error {
            // What the master says of what was asked is a sentence of its own.
            Error::Api { status: 400..500, body, .. } => body.message,
            error => error.to_string(),
        };
        Failure { exit, message, hint, code }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anima_types::error::ErrorBody;

    fn refused(status: u16) -> Failure {
        let body = ErrorBody { code: "x".into(), message: "no such build".into(), hint: None };
        Error::Api { what: "GET /api/v1/builds/7".into(), status, body }.into()
    }

    #[test]
    fn a_refusal_ends_a_command_by_its_status() {
        let exits = [400, 401, 403, 404, 409, 429, 500].map(|status| refused(status).exit);

        assert_eq!(exits, [Exit::User, Exit::Denied, Exit::Denied, Exit::User, Exit::User, Exit::Remote, Exit::Remote]);
        assert!(refused(401).hint.is_some());
        assert_eq!((refused(404).message.as_str(), refused(404).code.as_deref()), ("no such build", Some("x")));
    }

    #[test]
    fn the_administrators_token_is_not_sent_to_a_master_that_was_named() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataFolder::new(Some(folder.path()));
        std::fs::create_dir_all(data.token(OWN_ROLE).parent().unwrap()).unwrap();
        std::fs::write(data.token(OWN_ROLE), "secret\n").unwrap();
        let global = |master: Option<&str>| Global {
            data: Some(folder.path().to_path_buf()),
            config: None,
            master: master.map(String::from),
            token: None,
            json: false,
        };

        assert_eq!(address(&global(None)).unwrap().1.as_deref(), Some("secret"));
        assert_eq!(address(&global(Some("http://elsewhere.example"))).unwrap().1, None);
    }
}
