//! Lines as people see them.

use std::borrow::Cow;

/// Of a line so many characters are shown: a compiler's sentence, not its template arguments.
const MAX_SHOWN_CHARS: usize = 300;

/// Returns a line without blanks around it, cut off where it is long.
pub fn shown(line: &str) -> String {
    cut(line.trim())
}

/// Returns a line cut off where it is long.
pub fn cut(line: &str) -> String {
    match line.char_indices().nth(MAX_SHOWN_CHARS) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

/// Returns a line without the escapes of terminals, and of what writes over itself the last.
pub fn plain(line: &str) -> Cow<'_, str> {
    let line = line.trim_end_matches(['\n', '\r']);
    let line = line.rsplit('\r').next().unwrap_or(line);
    if !line.contains('\u{1b}') {
        return Cow::Borrowed(line);
    }
    let mut parts = line.split('\u{1b}');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        text += after_escape(part);
    }
    Cow::Owned(text)
}

/// Returns what follows an escape whose ESC was taken away.
fn after_escape(text: &str) -> &str {
    let mut chars = text.chars();
    match chars.next() {
        Some('[') => text.find(|c: char| ('@'..='~').contains(&c) && c != '[').map_or("", |end| &text[end + 1..]),
        Some(']') => text.split_once('\u{7}').map_or("", |(_, rest)| rest),
        _ => chars.as_str(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_a_terminal_understands_goes() {
        assert_eq!(
            plain("\u{1b}[01m\u{1b}[Kx.c:3:1:\u{1b}[m\u{1b}[K \u{1b}[01;31merror: \u{1b}[mno\r\n"),
            "x.c:3:1: error: no"
        );
        assert_eq!(plain("10%\r100%"), "100%");
        assert_eq!(plain("\u{1b}]0;title\u{7}text\u{1b}(B"), "textB");
    }

    #[test]
    fn a_long_line_is_cut_between_characters() {
        assert_eq!(cut(&"é".repeat(MAX_SHOWN_CHARS + 1)).chars().count(), MAX_SHOWN_CHARS + 1);
        assert_eq!(shown("  x "), "x");
    }
}
