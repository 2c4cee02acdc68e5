//! Asks a person at the terminal for something that is not to be seen.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, BufRead, BufReader, Write},
    mem::MaybeUninit,
    os::fd::AsRawFd,
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use crate::exit::{Failure, Result};

/// Longer than any passphrase that a person types.
const MAX_BYTES: usize = 4096;

/// Prints the question at the terminal, and returns what is typed there, which is not shown.
pub fn ask(question: &str) -> Result<Zeroizing<String>> {
    let terminal = OpenOptions::new().read(true).write(true).open("/dev/tty").map_err(|error| {
        Failure::user(format!("could not ask: there is no terminal ({error})")).hint("name a file with it instead")
    })?;
    hidden(&terminal, question).map_err(|error| Failure::user(format!("could not ask: {error}")))
}

/// Returns the password of a file, or the one that is typed.
pub fn password(file: Option<&Path>, question: &str) -> Result<Zeroizing<String>> {
    let Some(path) = file else { return ask(question) };
    let text = Zeroizing::new(
        fs::read_to_string(path)
            .map_err(|error| Failure::user(format!("could not read {}: {error}", path.display())))?,
    );
    Ok(Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_string()))
}

/// Returns a password that somebody wants: of a file, or typed the same twice.
pub fn new_password(file: Option<&Path>, of: &str) -> Result<Zeroizing<String>> {
    let password = password(file, &format!("New password of {of}: "))?;
    match file {
        None if *ask("Again: ")? != *password => Err(Failure::user("the password was not typed the same twice")),
        _ => Ok(password),
    }
}

/// The variable that names the folder of credentials that a service manager gives.
pub const FOLDER: &str = "CREDENTIALS_DIRECTORY";

/// Returns a file that the service manager gives: `LoadCredentialEncrypted=sign-server-passphrase:…` in a unit. One that may
/// not be looked at is there: whoever reads it says so, and nobody goes on as if nothing had been given.
pub fn credential(folder: Option<OsString>, name: &str) -> Option<PathBuf> {
    let path = Path::new(&folder?).join(name);
    match fs::metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        _ => Some(path),
    }
}

fn hidden(terminal: &File, question: &str) -> io::Result<Zeroizing<String>> {
    let before = settings(terminal)?;
    let mut silent = before;
    silent.c_lflag &= !libc::ECHO;
    // Before the question: what is typed as soon as it is seen would be shown, or thrown away with what was typed too early.
    set(terminal, &silent)?;
    let answer = (&mut &*terminal).write_all(question.as_bytes()).and_then(|()| line(terminal));
    let restored = set(terminal, &before);
    (&mut &*terminal).write_all(b"\n")?;
    restored.and(answer)
}

fn line(terminal: &File) -> io::Result<Zeroizing<String>> {
    // As long as it can get from the start: a text that grows leaves its beginnings behind.
    let mut text = Zeroizing::new(String::with_capacity(MAX_BYTES));
    let mut reader = BufReader::with_capacity(1, terminal);
    reader.read_line(&mut text)?;
    Ok(Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_string()))
}

fn settings(terminal: &File) -> io::Result<libc::termios> {
    let mut settings = MaybeUninit::uninit();
    // SAFETY: the file is open, and the settings are read only where the call has written them.
    match unsafe { libc::tcgetattr(terminal.as_raw_fd(), settings.as_mut_ptr()) } {
        // SAFETY: it has written them.
        0 => Ok(unsafe { settings.assume_init() }),
        _ => Err(io::Error::last_os_error()),
    }
}

fn set(terminal: &File, settings: &libc::termios) -> io::Result<()> {
    // SAFETY: the file is open, and the settings are whole.
    match unsafe { libc::tcsetattr(terminal.as_raw_fd(), libc::TCSAFLUSH, settings) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
