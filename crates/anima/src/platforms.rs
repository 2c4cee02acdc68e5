//! The platforms: files that are part of the program, templates that they share, and an operator's own files beside them.
//!
//! A file may name a `template`, whose keys it takes over unless it gives its own, and `variables`, which stand in
//! braces in any text: `{releasever}`. `{arch}` and `{master}` are left as they are, for the master fills them in.
//!
//! Keys in `NAME.asc` of the operator's folder are those of the platform's repositories that name none and come from elsewhere: who
//! has a key of AlmaLinux need not write out the platform's file for it.

use std::{collections::BTreeMap, fs, io, path::Path};

use anima_types::platform::{Platform, Repository};
use toml::{Table, Value};

/// A platform's file is a page of text; something much larger is not one.
const MAX_FILE_BYTES: u64 = 256 * 1024;

/// What an armoured public key begins and ends with.
const KEY_BEGINS: &str = "-----BEGIN PGP PUBLIC KEY BLOCK-----";
/// The end of the name of a file with a platform's keys.
const KEYS_END: &str = ".asc";
const KEY_ENDS: &str = "-----END PGP PUBLIC KEY BLOCK-----";

/// Names in braces that are not a file's to define.
const MASTERS_VARIABLES: [&str; 2] = ["arch", "master"];

macro_rules! embedded {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../../platforms/", $name, ".toml")))),*]
    };
}

/// The platforms that the program brings along, by the names of their files.
const FILES: &[(&str, &str)] = embedded![
    "almalinux-10",
    "almalinux-8",
    "almalinux-9",
    "centos-stream-10",
    "centos-stream-9",
    "kitten-10",
    "seed-1",
];

/// What platforms share.
const TEMPLATES: &[(&str, &str)] = embedded!["templates/enterprise-linux"];

/// Why there are no platforms.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("could not read {path}: {error}")]
    Read { path: String, error: io::Error },
    #[error("could not read {path}: it is larger than {MAX_FILE_BYTES} bytes")]
    TooLarge { path: String },
    #[error("could not use {path}: there is no armoured OpenPGP public key in it")]
    NoKey { path: String },
    #[error("could not read platform file \"{file}\": {error}")]
    Form { file: String, error: Box<toml::de::Error> },
    #[error("could not use platform file \"{file}\": there is no template \"{template}\"")]
    NoTemplate { file: String, template: String },
    #[error("could not use platform file \"{file}\": nothing says what {{{name}}} is")]
    NoVariable { file: String, name: String },
    #[error("could not use platform file \"{file}\": \"{key}\" is not {wanted}")]
    WrongType { file: String, key: &'static str, wanted: &'static str },
    #[error("could not use platform file \"{file}\": {error}")]
    Platform { file: String, error: Box<anima_types::platform::Error> },
    #[error(
        "could not use platform file \"{file}\": it names its platform \"{name}\"; file and platform bear the same name"
    )]
    OtherName { file: String, name: String },
}

/// Returns all platforms by name: the program's own, with the files of `folder` (`NAME.toml`, and
/// `templates/NAME.toml`) added and taking the place of those of the same name, and with its keys (`NAME.asc`).
pub fn load(folder: &Path) -> Result<Vec<Platform>, Error> {
    let mut files = owned(FILES);
    files.extend(read_folder(folder)?);
    let templates = templates(folder)?;
    let whole = |(file, text): (&String, &String)| {
        let platform = expand(file, text, &templates)?;
        with_keys(platform, &folder.join(format!("{file}{KEYS_END}")))
    };
    files.iter().map(whole).collect()
}

/// Returns the platform of one file, with the templates of the program and of `folder`, and with the keys beside the file.
pub fn load_file(path: &Path, folder: &Path) -> Result<Platform, Error> {
    let text = fs::read_to_string(path).map_err(|error| Error::Read { path: path.display().to_string(), error })?;
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let platform = expand(&name, &text, &templates(folder)?)?;
    with_keys(platform, &path.with_file_name(format!("{name}{KEYS_END}")))
}

/// Gives the keys of a file to the repositories that come from elsewhere and name none.
fn with_keys(mut platform: Platform, path: &Path) -> Result<Platform, Error> {
    let Some(text) = read_file(path)? else { return Ok(platform) };
    let keys = keys(&text);
    if keys.is_empty() {
        return Err(Error::NoKey { path: path.display().to_string() });
    }
    let open = |repository: &&mut Repository| repository.gpg_keys.is_empty() && repository.is_from_elsewhere();
    platform.repositories.iter_mut().filter(open).for_each(|repository| repository.gpg_keys.clone_from(&keys));
    Ok(platform)
}

/// Returns the keys of a text: what is between them is for people.
fn keys(text: &str) -> Vec<String> {
    let begun = text.split(KEY_BEGINS).skip(1);
    begun.filter_map(|rest| Some(format!("{KEY_BEGINS}{}{KEY_ENDS}\n", rest.split_once(KEY_ENDS)?.0))).collect()
}

fn templates(folder: &Path) -> Result<BTreeMap<String, String>, Error> {
    let mut templates = owned(TEMPLATES);
    let own = read_folder(&folder.join("templates"))?;
    templates.extend(own.into_iter().map(|(name, text)| (format!("templates/{name}"), text)));
    Ok(templates)
}

fn owned(embedded: &[(&str, &str)]) -> BTreeMap<String, String> {
    embedded.iter().map(|(name, text)| (name.to_string(), text.to_string())).collect()
}

fn read_folder(folder: &Path) -> Result<BTreeMap<String, String>, Error> {
    let failed = |path: &Path, error| Error::Read { path: path.display().to_string(), error };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(failed(folder, error)),
    };
    let mut files = BTreeMap::new();
    for entry in entries {
        let path = entry.map_err(|error| failed(folder, error))?.path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        if let Some(text) = read_file(&path)? {
            files.insert(path.file_stem().unwrap_or_default().to_string_lossy().into_owned(), text);
        }
    }
    Ok(files)
}

/// Returns the text of a file; nothing where there is none.
fn read_file(path: &Path) -> Result<Option<String>, Error> {
    let failed = |error| Error::Read { path: path.display().to_string(), error };
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(error)),
        Ok(file) if file.len() > MAX_FILE_BYTES => Err(Error::TooLarge { path: path.display().to_string() }),
        Ok(_) => fs::read_to_string(path).map(Some).map_err(failed),
    }
}

/// Makes a platform of its file's text and of the template that it names.
fn expand(file: &str, text: &str, templates: &BTreeMap<String, String>) -> Result<Platform, Error> {
    let mut table = parse(file, text)?;
    let variables = take_variables(file, &mut table)?;
    if let Some(template) = table.remove("template") {
        let name =
            template.as_str().ok_or(Error::WrongType { file: file.into(), key: "template", wanted: "a text" })?;
        let path = format!("templates/{name}");
        let text =
            templates.get(&path).ok_or_else(|| Error::NoTemplate { file: file.into(), template: name.into() })?;
        table = merge(parse(&path, text)?, table);
    }
    let mut value = Value::Table(table);
    substitute(&mut value, &variables).map_err(|name| Error::NoVariable { file: file.into(), name })?;
    let text = toml::to_string(&value).expect("what was read as TOML can be written as TOML");
    let platform =
        Platform::parse(&text).map_err(|error| Error::Platform { file: file.into(), error: error.into() })?;
    match platform.name == file {
        true => Ok(platform),
        false => Err(Error::OtherName { file: file.into(), name: platform.name }),
    }
}

fn parse(file: &str, text: &str) -> Result<Table, Error> {
    text.parse().map_err(|error: toml::de::Error| Error::Form { file: file.into(), error: error.into() })
}

fn take_variables(file: &str, table: &mut Table) -> Result<BTreeMap<String, String>, Error> {
    let wrong = || Error::WrongType { file: file.into(), key: "variables", wanted: "a table of texts" };
    let Some(variables) = table.remove("variables") else { return Ok(BTreeMap::new()) };
    let Value::Table(variables) = variables else { return Err(wrong()) };
    variables.into_iter().map(|(name, value)| Ok((name, value.as_str().ok_or_else(wrong)?.to_string()))).collect()
}

/// Returns `base` with the keys of `over` in it: tables are merged, anything else takes the old one's place.
fn merge(mut base: Table, over: Table) -> Table {
    for (key, value) in over {
        let value = match (base.remove(&key), value) {
            (Some(Value::Table(old)), Value::Table(new)) => Value::Table(merge(old, new)),
            (_, new) => new,
        };
        base.insert(key, value);
    }
    base
}

/// Fills in the variables of every text in `value`; returns the name of one that nothing defines.
fn substitute(value: &mut Value, variables: &BTreeMap<String, String>) -> Result<(), String> {
    match value {
        Value::String(text) => *text = fill_in(text, variables)?,
        Value::Array(items) => items.iter_mut().try_for_each(|item| substitute(item, variables))?,
        Value::Table(table) => table.iter_mut().try_for_each(|(_, item)| substitute(item, variables))?,
        _ => {}
    }
    Ok(())
}

/// Only `{word}` is a variable: RPM's own `%{…}` stays.
fn fill_in(text: &str, variables: &BTreeMap<String, String>) -> Result<String, String> {
    let mut filled = String::new();
    let mut rest = text;
    while let Some(start) = rest.find('{') {
        let (before, from_brace) = rest.split_at(start);
        filled += before;
        let is_macro = before.ends_with('%');
        let end = from_brace.find('}').filter(|end| {
            *end > 1 && from_brace[1..*end].chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        });
        let Some(end) = end.filter(|_| !is_macro) else {
            filled.push('{');
            rest = &from_brace[1..];
            continue;
        };
        let name = &from_brace[1..end];
        match variables.get(name) {
            Some(value) => filled += value,
            None if MASTERS_VARIABLES.contains(&name) => filled += &from_brace[..=end],
            None => return Err(name.to_string()),
        }
        rest = &from_brace[end + 1..];
    }
    Ok(filled + rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use anima_types::Arch;

    fn own() -> Vec<Platform> {
        load(Path::new("/nonexistent")).unwrap()
    }

    fn platform(name: &str) -> Platform {
        own().into_iter().find(|platform| platform.name == name).unwrap()
    }

    fn folder_with(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        folder
    }

    #[test]
    fn every_file_of_the_folder_is_part_of_the_program() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../platforms");

        assert_eq!(read_folder(&folder).unwrap(), owned(FILES));
        let templates = read_folder(&folder.join("templates")).unwrap();
        assert_eq!(templates.into_values().collect::<Vec<_>>(), owned(TEMPLATES).into_values().collect::<Vec<_>>());
    }

    #[test]
    fn every_platform_reads_and_no_two_share_a_branch_or_a_repository_name() {
        let platforms = own();

        let branches: std::collections::BTreeSet<_> = platforms.iter().map(|platform| &platform.branch).collect();
        assert_eq!(branches.len(), platforms.len());
        for platform in &platforms {
            let names: std::collections::BTreeSet<_> =
                platform.repositories.iter().map(|repository| &repository.name).collect();
            assert_eq!(names.len(), platform.repositories.len(), "{}", platform.name);
        }
    }

    #[test]
    fn only_seed_linux_is_called_verified() {
        let verified: Vec<_> = own().into_iter().filter(|platform| platform.not_verified.is_none()).collect();

        assert_eq!(verified.iter().map(|platform| &platform.name).collect::<Vec<_>>(), ["seed-1"]);
    }

    #[test]
    fn a_template_and_its_variables_make_real_addresses() {
        let alma = platform("almalinux-8");
        let kitten = platform("kitten-10");

        let urls: Vec<_> = alma.repositories.iter().map(|repository| repository.url_for(Arch::Aarch64, "")).collect();
        assert_eq!(urls[0], "https://repo.almalinux.org/almalinux/8/BaseOS/aarch64/os/");
        assert_eq!(urls[2], "https://repo.almalinux.org/almalinux/8/PowerTools/aarch64/os/");
        assert_eq!(alma.dist, ".el8");
        assert!(kitten.buildroot.packages.contains(&"almalinux-kitten-release".to_string()));
        assert!(
            own()
                .iter()
                .flat_map(|platform| &platform.repositories)
                .all(|repository| { !repository.url_for(Arch::X86_64, "http://master").contains(['{', '}']) })
        );
    }

    #[test]
    fn an_operators_file_takes_the_place_of_ours_and_may_use_a_template_of_its_own() {
        let folder = folder_with(&[
            (
                "almalinux-9.toml",
                "template = \"mine\"\nname = \"almalinux-9\"\ntitle = \"Ours\"\nbranch = \"b\"\narchitectures = [\"x86_64\"]\n\
                 [variables]\nhost = \"mirror.example\"\n[buildroot]\ntest_packages = [\"rpm\"]\n",
            ),
            (
                "templates/mine.toml",
                "dist = \".el9\"\n[buildroot]\npackages = [\"bash\"]\ntest_packages = []\n[macros]\nv = \"%{name}\"\n\
                 [[repositories]]\nname = \"all\"\nurl = \"http://{host}/{arch}/\"\n",
            ),
        ]);

        let platforms = load(folder.path()).unwrap();

        assert_eq!(platforms.len(), FILES.len());
        let mine = platforms.iter().find(|platform| platform.name == "almalinux-9").unwrap();
        assert_eq!((mine.title.as_str(), mine.repositories[0].url.as_str()), ("Ours", "http://mirror.example/{arch}/"));
        assert_eq!((&mine.buildroot.packages[0], &mine.buildroot.test_packages[0]), (&"bash".into(), &"rpm".into()));
        assert_eq!(mine.macros["v"], "%{name}");
    }

    #[test]
    fn keys_beside_a_platforms_file_are_those_of_its_repositories_from_elsewhere() {
        let key = |text: &str| format!("{KEY_BEGINS}\n\n{text}\n{KEY_ENDS}\n");
        let both = format!("AlmaLinux 9\n{}and the old one:\n{}", key("new"), key("old"));
        let folder = folder_with(&[("almalinux-9.asc", &both), ("seed-1.asc", &key("x"))]);

        let platforms = load(folder.path()).unwrap();

        let of = |name: &str| platforms.iter().find(|platform| platform.name == name).unwrap();
        assert!(of("almalinux-9").repositories.iter().all(|it| it.gpg_keys == [key("new"), key("old")]));
        assert_eq!(of("almalinux-9").unverified().count(), 0);
        assert_eq!((of("almalinux-8").unverified().count(), of("seed-1").unverified().count()), (3, 0));
        assert!(of("seed-1").repositories[0].gpg_keys.is_empty(), "the master's own");
        let wrong = folder_with(&[("almalinux-9.asc", "no key")]);
        assert!(load(wrong.path()).unwrap_err().to_string().contains("almalinux-9.asc: there is no armoured"));
    }

    #[test]
    fn a_wrong_file_is_refused_by_name() {
        let cases = [
            ("name = ", "could not read platform file \"x\""),
            ("template = \"none\"", "there is no template \"none\""),
            ("template = 1", "\"template\" is not a text"),
            ("variables = 1", "\"variables\" is not a table of texts"),
            ("name = \"{releasever}\"", "nothing says what {releasever} is"),
            ("name = \"x\"\nunknown = 1", "could not read platform file"),
            (
                "name = \"y\"\ntitle = \"\"\nbranch = \"y\"\ndist = \"\"\narchitectures = [\"x86_64\"]\n[buildroot]\n\
                 packages = [\"a\"]\ntest_packages = []\n[[repositories]]\nname = \"r\"\nurl = \"\"",
                "file and platform bear the same name",
            ),
        ];
        for (text, wanted) in cases {
            let folder = folder_with(&[("x.toml", text)]);

            let message = load(folder.path()).unwrap_err().to_string();

            assert!(message.contains(wanted) && message.contains("\"x\""), "{message}");
        }
    }
}
