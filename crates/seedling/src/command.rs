//! Runs one program to its end and turns a bad end into an error that carries what it said.

use std::process::{Command, Output, Stdio};

use crate::error::{Error, Result};

/// How much of a failed program's output an error carries: enough for rpmbuild's last words.
const OUTPUT_TAIL_BYTES: usize = 4000;

/// Runs the program and returns its standard output; a non-zero exit is an error.
pub fn run(command: &mut Command) -> Result<String> {
    let output = finish(command)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(Error::Failed { program: describe(command), status: output.status.to_string(), output: tail(&output) })
}

/// Runs the program with no input and returns how it ended and what it said.
pub fn finish(command: &mut Command) -> Result<Output> {
    command.stdin(Stdio::null()).output().map_err(|source| Error::Start { program: describe(command), source })
}

/// Returns the program's name and its first argument that is not an option.
pub fn describe(command: &Command) -> String {
    let program = command.get_program().to_string_lossy().into_owned();
    match command.get_args().map(|arg| arg.to_string_lossy()).find(|arg| !arg.starts_with('-')) {
        Some(arg) => format!("{program} {arg}"),
        None => program,
    }
}

/// Returns the end of everything that the program said.
pub fn tail(output: &Output) -> String {
    let text = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    let text = String::from_utf8_lossy(&text);
    let mut start = text.len().saturating_sub(OUTPUT_TAIL_BYTES);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    text[start..].trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_program_is_an_error_with_its_last_words() {
        let error = run(Command::new("sh").args(["-c", "echo it broke >&2; exit 3"])).unwrap_err();

        assert!(error.to_string().contains("exit status: 3"), "{error}");
        assert!(error.to_string().contains("it broke"), "{error}");
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = run(&mut Command::new("no-such-program-here")).unwrap_err();

        assert!(error.to_string().starts_with("start no-such-program-here"), "{error}");
    }
}
