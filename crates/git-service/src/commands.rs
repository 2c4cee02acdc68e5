//! What a push is about to do: the commands before its pack
//! ([gitprotocol-pack(5)](https://git-scm.com/docs/gitprotocol-pack#_reference_update_request_and_packfile_transfer)). They are
//! read before git gets them, so that nobody moves a branch that is not theirs.

use bytes::{Bytes, BytesMut};

/// Bytes of commands at most: some thousand branches.
pub(crate) const MAX_COMMANDS_BYTES: usize = 1 << 20;
/// The four digits of a length.
const LENGTH: usize = 4;
/// What a branch's reference begins with.
const HEADS: &str = "refs/heads/";

/// The commands of a push.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Commands {
    /// The references that it makes, moves or deletes.
    pub references: Vec<String>,
    /// What the client understands.
    pub capabilities: Vec<String>,
}

/// How far the beginning of a body can be read.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Read {
    /// There has to be more.
    More,
    /// All of them.
    Done(Commands),
    /// This is not git's protocol, or a form of it that we do not offer.
    Bad,
}

impl Commands {
    /// Returns the first branch of them that is not allowed.
    pub fn refused_branch(&self, is_allowed: impl Fn(&str) -> bool) -> Option<&str> {
        let branches = self.references.iter().filter_map(|reference| reference.strip_prefix(HEADS));
        branches.into_iter().find(|branch| !is_allowed(branch))
    }

    /// Returns the first reference of them that is no branch: a tag, which belongs to no platform.
    pub fn other_reference(&self) -> Option<&str> {
        self.references.iter().map(String::as_str).find(|reference| !reference.starts_with(HEADS))
    }

    /// Returns an answer that refuses all of them, or none where the client understands no such answer.
    pub fn refusal(&self, reason: &str, lines: &[String]) -> Option<Bytes> {
        let has = |name: &str| self.capabilities.iter().any(|one| one == name);
        if !has("report-status") && !has("report-status-v2") || !has("side-band-64k") {
            return None;
        }
        let mut report = packet("unpack ok\n");
        for reference in &self.references {
            report.extend_from_slice(&packet(&format!("ng {reference} {reason}\n")));
        }
        report.extend_from_slice(b"0000");
        let mut answer = BytesMut::new();
        for line in lines {
            answer.extend_from_slice(&packet(&format!("\u{2}{line}\n")));
        }
        // A packet of the first band has at most 65,520 bytes.
        for piece in report.chunks(65_000) {
            answer.extend_from_slice(format!("{:04x}\u{1}", piece.len() + LENGTH + 1).as_bytes());
            answer.extend_from_slice(piece);
        }
        answer.extend_from_slice(b"0000");
        Some(answer.freeze())
    }
}

fn packet(line: &str) -> BytesMut {
    BytesMut::from(format!("{:04x}{line}", line.len() + LENGTH).as_bytes())
}

/// Reads the commands at the beginning of a body.
pub(crate) fn read(bytes: &[u8]) -> Read {
    let (mut commands, mut rest) = (Commands::default(), bytes);
    loop {
        let Some(digits) = rest.get(..LENGTH) else { return Read::More };
        // A sign before them would be taken for part of the number.
        let digits = Some(digits).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let length = digits
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| usize::from_str_radix(digits, 16).ok());
        let line = match length {
            Some(0) => return Read::Done(commands),
            Some(length) if length > LENGTH => match rest.get(LENGTH..length) {
                Some(line) => line,
                None => return Read::More,
            },
            _ => return Read::Bad,
        };
        rest = &rest[LENGTH + line.len()..];
        if !commands.take(line) {
            return Read::Bad;
        }
    }
}

impl Commands {
    /// Reads one line; false where it is neither a command nor the id of a shallow commit.
    fn take(&mut self, line: &[u8]) -> bool {
        let (line, capabilities) = match line.iter().position(|&byte| byte == 0) {
            Some(at) => (&line[..at], &line[at + 1..]),
            None => (line, &[][..]),
        };
        let Ok(line) = std::str::from_utf8(line) else { return false };
        let line = line.trim_end_matches('\n');
        if line.strip_prefix("shallow ").is_some_and(is_id) {
            return true;
        }
        let mut words = line.splitn(3, ' ');
        let (Some(old), Some(new), Some(reference)) = (words.next(), words.next(), words.next()) else { return false };
        if !is_id(old) || !is_id(new) || reference.is_empty() {
            return false;
        }
        if self.references.is_empty() {
            let text = String::from_utf8_lossy(capabilities);
            self.capabilities = text.split_ascii_whitespace().map(str::to_string).collect();
        }
        self.references.push(reference.to_string());
        true
    }
}

fn is_id(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Vec<u8> {
        packet(text).to_vec()
    }

    fn command(reference: &str) -> String {
        format!("{} {} {reference}", "0".repeat(40), "a".repeat(40))
    }

    #[test]
    fn commands_are_read_up_to_the_flush_wherever_the_body_is_cut() {
        let capabilities = format!("{}\0 report-status side-band-64k agent=git/2.39", command("refs/heads/c10"));
        let body = [line(&capabilities), line(&command("refs/tags/v1")), b"0000PACK".to_vec()].concat();

        let Read::Done(commands) = read(&body) else { panic!("not done") };
        assert_eq!(commands.references, ["refs/heads/c10", "refs/tags/v1"]);
        assert_eq!(commands.capabilities, ["report-status", "side-band-64k", "agent=git/2.39"]);
        for cut in 0..body.len() - 8 {
            assert_eq!(read(&body[..cut]), Read::More, "{cut}");
        }
    }

    #[test]
    fn what_is_no_command_is_refused_and_never_handed_on() {
        let certificate = line("push-cert\0 report-status");
        for bad in [
            b"0001".to_vec(),
            b"zzzz".to_vec(),
            b"0004".to_vec(),
            b"+00a".to_vec(),
            line("nonsense"),
            line("a b refs/heads/c10"),
            line(&command("")),
            certificate,
            [&line("x")[..4], &[0xff]].concat(),
        ] {
            assert_eq!(read(&bad), Read::Bad, "{bad:?}");
        }
        assert_eq!(read(b"0000"), Read::Done(Commands::default()));
    }

    #[test]
    fn a_branch_is_named_whose_reference_is_a_head() {
        let references = ["refs/tags/v1", "refs/heads/mine", "refs/heads/c9"].map(String::from).to_vec();
        let commands = Commands { references, capabilities: Vec::new() };

        assert_eq!(commands.refused_branch(|branch| branch != "c9"), Some("c9"));
        assert_eq!(commands.refused_branch(|_| true), None);
        assert_eq!(commands.other_reference(), Some("refs/tags/v1"));
        assert_eq!(commands.refusal("no", &[]), None, "it would not be understood");
    }
}
