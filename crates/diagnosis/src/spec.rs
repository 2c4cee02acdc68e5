//! What rpm says of a spec that it cannot read.

use crate::text::shown;

/// The first complaint about a spec.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SpecError {
    /// The line of the spec.
    pub spec_line: Option<u64>,
    /// What is wrong there.
    pub reason: String,
    /// The line of the output that says so, from 1.
    pub output_line: u64,
}

/// Returns the first complaint in the output of `rpmspec` or `rpmbuild`.
pub fn spec_error(output: &str) -> Option<SpecError> {
    let errors = output.lines().zip(1..).filter_map(|(line, number)| Some((line.strip_prefix("error: ")?, number)));
    let all: Vec<SpecError> = errors.map(|(text, output_line)| read(text, output_line)).collect();
    // A complaint with a line says more than one without; rpm writes "query of specfile … failed" around them.
    all.iter().find(|error| error.spec_line.is_some()).or(all.first()).cloned()
}

/// `line 12: Unknown tag: Foo`, or `/builddir/build/SPECS/x.spec: line 12: Unknown tag: Foo` since rpm 4.19.
fn read(text: &str, output_line: u64) -> SpecError {
    let plain = SpecError { spec_line: None, reason: shown(text), output_line };
    let Some((before, rest)) = text.split_once("line ") else { return plain };
    let is_place = before.is_empty() || before.ends_with(".spec: ");
    let Some((number, reason)) = rest.split_once(": ") else { return plain };
    match number.parse() {
        Ok(line) if is_place => SpecError { spec_line: Some(line), reason: shown(reason), output_line },
        _ => plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_the_spec_is_read_in_both_forms() {
        let old = spec_error(
            "warning: x\nerror: line 12: Unknown tag: Foo: bar\nerror: query of specfile x.spec failed, can't parse\n",
        );
        let new = spec_error("error: /builddir/build/SPECS/x.spec: line 3: Unclosed %if\n");

        let expected = SpecError { spec_line: Some(12), reason: "Unknown tag: Foo: bar".into(), output_line: 2 };
        assert_eq!(old, Some(expected));
        assert_eq!(new.map(|error| (error.spec_line, error.reason)), Some((Some(3), "Unclosed %if".into())));
    }

    #[test]
    fn a_complaint_without_a_line_is_told_as_it_is() {
        let error = spec_error("error: Empty tag: Release:\n").unwrap();

        assert_eq!((error.spec_line, error.reason.as_str()), (None, "Empty tag: Release:"));
        assert_eq!(spec_error("fine\n"), None);
    }
}
