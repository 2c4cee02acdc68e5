//! Names of packages as libsolv writes them, taken apart.

use crate::dependency::normal_evr;

/// `name-[epoch:]version-release.arch`, taken apart; the epoch 0 is left out of `evr`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ExactName<'a> {
    pub(crate) name: &'a str,
    pub(crate) evr: &'a str,
    pub(crate) arch: &'a str,
}

/// Returns nothing when the text lacks a part.
pub(crate) fn parse_exact(text: &str) -> Option<ExactName<'_>> {
    let (rest, arch) = text.trim().rsplit_once('.')?;
    let (rest, release) = rest.rsplit_once('-')?;
    let (name, version) = rest.rsplit_once('-')?;
    if name.is_empty() || version.is_empty() || release.is_empty() || arch.is_empty() {
        return None;
    }
    let evr = &rest_of(text.trim(), name)[..version.len() + 1 + release.len()];
    Some(ExactName { name, evr: normal_evr(evr), arch })
}

fn rest_of<'a>(text: &'a str, name: &str) -> &'a str {
    &text[name.len() + 1..]
}

/// Splits `[epoch:]version[-release]`. Returns nothing when the epoch is no number.
pub(crate) fn split_evr(evr: &str) -> Option<(u32, &str, &str)> {
    let (epoch, rest) = match evr.split_once(':') {
        Some((epoch, rest)) => (epoch.parse().ok()?, rest),
        None => (0, evr),
    };
    let (version, release) = rest.rsplit_once('-').unwrap_or((rest, ""));
    Some((epoch, version, release))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exact_name_is_taken_apart_and_epoch_zero_left_out() {
        let gcc = ExactName { name: "gcc-c++", evr: "11.5.0-2.el9", arch: "x86_64" };

        assert_eq!(parse_exact("gcc-c++-11.5.0-2.el9.x86_64"), Some(gcc.clone()));
        assert_eq!(parse_exact("gcc-c++-0:11.5.0-2.el9.x86_64"), Some(gcc));
        assert_eq!(parse_exact("make-1:4.3-7.el9.x86_64").unwrap().evr, "1:4.3-7.el9");
        for text in ["", "gcc", "gcc.x86_64", "gcc-1.x86_64", "-1-2.x", "gcc-1-2", "gcc-1-.x"] {
            assert_eq!(parse_exact(text), None, "{text:?}");
        }
    }

    #[test]
    fn an_evr_is_split_by_its_marks() {
        assert_eq!(split_evr("1:4.3-7.el9"), Some((1, "4.3", "7.el9")));
        assert_eq!(split_evr("4.3-7.el9"), Some((0, "4.3", "7.el9")));
        assert_eq!(split_evr("4.3"), Some((0, "4.3", "")));
        assert_eq!(split_evr("x:4.3"), None);
        assert_eq!(split_evr("99999999999:4.3"), None);
    }
}
