//! GRUB's environment block: 1,024 bytes that GRUB reads and writes before there is a file system driver that could grow a
//! file. See `grub-editenv`.

/// GRUB refuses a block of another size.
const SIZE_BYTES: usize = 1024;
const SIGNATURE: &str = "# GRUB Environment Block\n";

/// The lines of a block.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct GrubEnv {
    lines: Vec<String>,
}

impl GrubEnv {
    /// Reads a block.
    pub fn parse(bytes: &[u8]) -> Result<GrubEnv, String> {
        let text = std::str::from_utf8(bytes).map_err(|_| "it is no text".to_owned())?;
        let body = text.strip_prefix(SIGNATURE).ok_or("it does not begin as GRUB's block does")?;
        // What fills it up has no end of line.
        let lines = body.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')).map(str::to_owned);
        Ok(GrubEnv { lines: lines.collect() })
    }

    /// Returns a variable.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.lines.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).filter(|value| !value.is_empty())
    }

    /// Sets a variable, or removes it.
    pub fn set(&mut self, name: &str, value: Option<&str>) {
        let is_it = |line: &String| line.strip_prefix(name).is_some_and(|rest| rest.starts_with('='));
        let at = self.lines.iter().position(is_it).unwrap_or(self.lines.len());
        self.lines.retain(|line| !is_it(line));
        self.lines.splice(at..at, value.map(|value| format!("{name}={value}")));
    }

    /// Writes the block.
    pub fn print(&self) -> Result<Vec<u8>, String> {
        let mut text = SIGNATURE.to_owned();
        for line in &self.lines {
            text.push_str(line);
            text.push('\n');
        }
        if text.len() > SIZE_BYTES {
            return Err(format!("it would have {} bytes, and may have {SIZE_BYTES}", text.len()));
        }
        let fill = SIZE_BYTES - text.len();
        text.extend(std::iter::repeat_n('#', fill));
        Ok(text.into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(body: &str) -> Vec<u8> {
        let mut text = format!("{SIGNATURE}{body}").into_bytes();
        text.resize(SIZE_BYTES, b'#');
        text
    }

    #[test]
    fn what_is_not_changed_stays_byte_for_byte() {
        let bytes =
            block("# WARNING: Do not edit\nsaved_entry=abc-5.14\nkernelopts=root=/dev/a ro quiet\nboot_success=0\n");

        let env = GrubEnv::parse(&bytes).unwrap();

        assert_eq!(env.print().unwrap(), bytes);
        assert_eq!(env.get("kernelopts"), Some("root=/dev/a ro quiet"));
        assert_eq!(env.get("saved"), None);
    }

    #[test]
    fn a_variable_is_set_changed_and_removed() {
        let mut env = GrubEnv::parse(&block("saved_entry=a\n")).unwrap();

        env.set("next_entry", Some("b"));
        env.set("saved_entry", Some("c"));
        let printed = env.print().unwrap();
        env.set("next_entry", None);

        assert_eq!(printed, block("saved_entry=c\nnext_entry=b\n"));
        assert_eq!(printed.len(), SIZE_BYTES);
        assert_eq!((env.get("next_entry"), env.get("saved_entry")), (None, Some("c")));
    }

    #[test]
    fn what_is_no_block_and_what_would_not_fit_are_refused() {
        let mut full = GrubEnv::parse(&block("")).unwrap();
        full.set("kernelopts", Some(&"x".repeat(SIZE_BYTES)));

        assert!(full.print().unwrap_err().contains("1024"));
        assert!(GrubEnv::parse(b"saved_entry=a\n").is_err());
    }
}
