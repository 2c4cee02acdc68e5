//! What the platforms' files leave unchecked.

use std::path::Path;

use anima_types::platform::Platform;

use super::Check;
use crate::platforms;

const NAME: &str = "signatures";
const CURE: &str = "put the distribution's public keys into platforms/NAME.asc of the data folder, NAME being the platform's; or into \
                    gpg_keys of a repository in a file of your own";

/// Looks whether all platforms say who has to have signed their packages.
pub fn signatures(folder: &Path) -> Check {
    match platforms::load(folder) {
        Ok(platforms) => of(&platforms),
        Err(error) => Check::warning(NAME, error.to_string(), "correct the file: `anima config check`"),
    }
}

fn of(platforms: &[Platform]) -> Check {
    let unchecked: Vec<String> = platforms.iter().filter_map(without_keys).collect();
    match unchecked.is_empty() {
        true => Check::ok(NAME, "checked for all repositories of all platforms"),
        false => {
            let detail = format!("packages' signatures are not checked: no gpg_keys for {}", unchecked.join("; "));
            Check::warning(NAME, detail, CURE)
        }
    }
}

fn without_keys(platform: &Platform) -> Option<String> {
    let names: Vec<&str> = platform.unverified().map(|repository| repository.name.as_str()).collect();
    (!names.is_empty()).then(|| format!("{} ({})", platform.name, names.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::State;

    #[test]
    fn repositories_from_elsewhere_without_keys_are_told_by_their_platforms() {
        let text = "name = \"x\"\ntitle = \"X\"\ndist = \".x1\"\nbranch = \"x\"\narchitectures = [\"x86_64\"]\n\
                    [buildroot]\npackages = [\"bash\"]\ntest_packages = []\n\
                    [[repositories]]\nname = \"own\"\nurl = \"{master}/mirror/x/\"\n\
                    [[repositories]]\nname = \"signed\"\nurl = \"https://h/s/\"\ngpg_keys = [\"a key\"]\n";
        let with_keys = Platform::parse(text).unwrap();
        let open = "[[repositories]]\nname = \"open\"\nurl = \"https://h/o/\"\n";
        let without = Platform::parse(&format!("{text}{open}")).unwrap();

        assert_eq!(of(std::slice::from_ref(&with_keys)).state, State::Ok);
        let check = of(&[with_keys, without]);
        assert_eq!((check.state, check.detail.ends_with("no gpg_keys for x (open)")), (State::Warning, true));
    }
}
