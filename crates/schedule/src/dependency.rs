//! Names in dependencies.

/// Returns the names in a dependency as rpm writes it: one, or in a rich one each of them. Versions are left out.
pub fn names(text: &str) -> impl Iterator<Item = &str> {
    let is_rich = text.starts_with('(');
    let (mut skip_version, mut taken) = (false, false);
    let words = text.split_whitespace().map(move |word| if is_rich { rich_word(word) } else { word });
    words.filter(move |word| {
        if matches!(*word, "=" | "<" | ">" | "<=" | ">=") {
            skip_version = true;
            return false;
        }
        if std::mem::take(&mut skip_version)
            || matches!(*word, "and" | "or" | "if" | "else" | "unless" | "with" | "without" | "")
        {
            return false;
        }
        is_rich || !std::mem::replace(&mut taken, true)
    })
}

/// Takes the parentheses of a rich dependency off, but not those of a name such as `pkgconfig(zlib)`.
fn rich_word(word: &str) -> &str {
    let word = word.trim_start_matches('(');
    let surplus = word.matches(')').count().saturating_sub(word.matches('(').count());
    &word[..word.len() - surplus]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Vec<&str> {
        names(text).collect()
    }

    #[test]
    fn a_plain_dependency_has_one_name() {
        assert_eq!(of("zlib-devel >= 1.2"), ["zlib-devel"]);
        assert_eq!(of("pkgconfig(zlib)"), ["pkgconfig(zlib)"]);
        assert_eq!(of("libz.so.1()(64bit)"), ["libz.so.1()(64bit)"]);
        assert!(of("").is_empty());
    }

    #[test]
    fn a_rich_dependency_has_all_of_its_names() {
        assert_eq!(of("(pkgconfig(z) >= 1.2 or other)"), ["pkgconfig(z)", "other"]);
        assert_eq!(of("((a and b) if c else d)"), ["a", "b", "c", "d"]);
    }
}
