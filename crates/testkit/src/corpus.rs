//! Packages of a made-up distribution, by number: the same number is the same package, byte for byte, on every machine.
//!
//! Their sizes are distributed as those of an Enterprise Linux release: most packages have a dozen files and a dozen
//! dependencies, a few have thousands. Payloads are small, as no one who reads metadata looks at them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, anyhow};
use rayon::prelude::*;
use rpm::{BuildConfig, CompressionWithLevel, Dependency, FileOptions, PackageBuilder};

/// Files of one package at most: what the largest documentation packages have.
const MAX_FILES: f64 = 6_000.0;
const SYLLABLES: [&str; 24] = [
    "lib", "gl", "py", "net", "sys", "kde", "xml", "sql", "ssl", "ja", "va", "go", "ro", "st", "core", "dev", "font",
    "tex", "mon", "log", "dns", "web", "img", "zip",
];
const WORDS: [&str; 28] = [
    "update",
    "to",
    "the",
    "upstream",
    "release",
    "rebuild",
    "for",
    "mass",
    "add",
    "patch",
    "remove",
    "security",
    "parser",
    "when",
    "handling",
    "malformed",
    "input",
    "resolves",
    "build",
    "with",
    "new",
    "compiler",
    "correct",
    "licence",
    "tag",
    "drop",
    "obsolete",
    "größer & <schöner>",
];
const LANGUAGES: [&str; 6] = ["en", "de", "fr", "data", "mod", "x"];
const FIRST_DAY_SECS: u32 = 1_600_000_000;
const DAY_SECS: u32 = 86_400;

/// Makes packages `0..count` in a folder that is kept, once; returns it. Packages that are there already stay.
pub fn corpus(folder: &Path, count: u32) -> Result<PathBuf> {
    let folder = folder.join(format!("corpus-1-{count}"));
    let marker = folder.join("complete");
    if !marker.exists() {
        (0..count).into_par_iter().try_for_each(|number| package(&folder.join("packages"), number).map(drop))?;
        fs::write(&marker, "")?;
    }
    Ok(folder.join("packages"))
}

/// Makes the package of a number below a folder, as mirrors lay them out, and returns its path.
pub fn package(folder: &Path, number: u32) -> Result<PathBuf> {
    let described = Described::new(number);
    let built_at = described.built_at;
    let dir = folder.join("Packages").join(&described.name[..1]);
    fs::create_dir_all(&dir)?;
    let path =
        dir.join(format!("{}-{}-{}.{}.rpm", described.name, described.version, described.release, described.arch));
    let built = described.build().map_err(|error| anyhow!("could not make package {number}: {error}"))?;
    built.write_file(&path).map_err(|error| anyhow!("could not write {}: {error}", path.display()))?;
    // The time of a file is part of metadata: it has to be the same on every run.
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(u64::from(built_at));
    fs::File::options().write(true).open(&path)?.set_modified(time).context("could not set the time of a package")?;
    Ok(path)
}

/// A generator (SplitMix64) whose numbers follow from the package's.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u32) -> u32 {
        (self.next() % u64::from(bound.max(1))) as u32
    }

    fn one_in(&mut self, count: u32) -> bool {
        self.below(count) == 0
    }

    fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Returns a number around a median, with a long tail (a lognormal distribution).
    fn around(&mut self, median: f64, spread: f64, max: f64) -> u32 {
        let (radius, angle) = ((-2.0 * self.share().max(1e-12).ln()).sqrt(), std::f64::consts::TAU * self.share());
        (median * (spread * radius * angle.cos()).exp()).clamp(1.0, max) as u32
    }

    fn pick<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(words.len() as u32) as usize]
    }

    fn words(&mut self, count: u32) -> String {
        (0..count).map(|_| self.pick(&WORDS)).collect::<Vec<_>>().join(" ")
    }
}

/// What a package says of itself.
struct Described {
    random: Random,
    number: u32,
    name: String,
    version: String,
    release: String,
    arch: &'static str,
    epoch: u32,
    built_at: u32,
}

/// A package's name follows from its number alone, so that others can name it.
fn name(number: u32) -> String {
    let mut random = Random(u64::from(number / 3) | 1 << 40);
    let syllables: String = (0..2 + random.below(3)).map(|_| random.pick(&SYLLABLES)).collect();
    let kind = ["", "-devel", "-doc"][number as usize % 3];
    format!("{syllables}{}{kind}", number / 3)
}

impl Described {
    fn new(number: u32) -> Described {
        let mut random = Random(u64::from(number) | 1 << 50);
        let name = name(number);
        let is_noarch = number % 3 == 2 || random.one_in(4);
        Described {
            version: format!("{}.{}.{}", random.below(12), random.below(30), random.below(20)),
            release: format!("{}.el9", 1 + random.below(40)),
            arch: if is_noarch { "noarch" } else { "x86_64" },
            epoch: if random.one_in(16) { 1 + random.below(3) } else { 0 },
            built_at: FIRST_DAY_SECS + random.below(700) * DAY_SECS,
            random,
            number,
            name,
        }
    }

    fn build(mut self) -> Result<rpm::Package, rpm::Error> {
        let random = &mut self.random;
        let summary = {
            let count = 3 + random.below(6);
            random.words(count)
        };
        let mut builder = PackageBuilder::new(&self.name, &self.version, "MIT AND Apache-2.0", self.arch, &summary);
        let config = BuildConfig::v4().source_date(self.built_at).compression(CompressionWithLevel::Gzip(1));
        builder.using_config(config).epoch(self.epoch).release(&self.release).vendor("Example").group("Unspecified");
        let words = 10 + random.below(110);
        builder
            .description(random.words(words))
            .url(format!("https://example.org/{}", self.name))
            .build_host("builder");
        self.dependencies(&mut builder);
        self.changelog(&mut builder);
        self.files(&mut builder)?;
        builder.build()
    }

    fn dependencies(&mut self, builder: &mut PackageBuilder) {
        let random = &mut self.random;
        let is_library = self.number.is_multiple_of(3) && self.arch != "noarch";
        for number in 0..if is_library { random.around(2.0, 0.9, 200.0) } else { 0 } {
            builder.provides(Dependency::any(format!("lib{}{number}.so.1()(64bit)", self.name)));
        }
        if random.one_in(5) {
            for number in 0..random.around(5.0, 1.1, 400.0) {
                builder.provides(Dependency::eq(format!("perl({}::P{number})", self.name), &self.version));
            }
        }
        if self.arch != "noarch" {
            builder.requires(Dependency::any("libc.so.6(GLIBC_2.34)(64bit)"));
            builder.requires(Dependency::any("libc.so.6(GLIBC_2.4)(64bit)"));
        }
        builder.requires(Dependency::any("/bin/sh"));
        for _ in 0..random.around(6.0, 0.8, 120.0) {
            // Low numbers are needed most often.
            let other = name(random.below(self.number + 1).min(random.below(self.number + 1)));
            match random.below(10) {
                0..6 => builder.requires(Dependency::any(format!("lib{other}0.so.1()(64bit)"))),
                6..8 => builder.requires(Dependency::any(other)),
                8 => builder.requires(Dependency::greater_eq(other, format!("1:{}-1", self.version))),
                _ => builder.requires(Dependency::any(format!("({other} if {})", name(0)))),
            };
        }
        if random.one_in(12) {
            builder.recommends(Dependency::any(name(random.below(self.number + 1))));
            builder.suggests(Dependency::any(name(random.below(self.number + 1))));
            builder.supplements(Dependency::any(format!("({} and {})", name(1), name(4))));
        }
        if random.one_in(20) {
            builder.obsoletes(Dependency::less(format!("{}-old", self.name), &self.version));
            builder.conflicts(Dependency::less_eq(format!("{}-compat", self.name), "2:1-1"));
        }
    }

    fn changelog(&mut self, builder: &mut PackageBuilder) {
        let random = &mut self.random;
        // A few have the history of decades.
        let count = if random.one_in(500) { 900 } else { 10 };
        for entry in 0..count {
            let author = format!("Dev {} <dev@example.org> - {}-{}", random.below(300), self.version, count - entry);
            let lines = 1 + random.below(4);
            let text = (0..lines).map(|_| {
                let words = 3 + random.below(11);
                format!("- {}", random.words(words))
            });
            let text = text.collect::<Vec<_>>().join("\n");
            builder.add_changelog_entry(author, text, self.built_at - entry * (DAY_SECS / 2));
        }
    }

    fn files(&mut self, builder: &mut PackageBuilder) -> Result<(), rpm::Error> {
        let random = &mut self.random;
        if random.one_in(60) {
            return Ok(()); // a package of dependencies alone
        }
        let name = &self.name;
        let count = random.around(if self.number.is_multiple_of(3) { 9.0 } else { 30.0 }, 1.5, MAX_FILES);
        let folders: Vec<String> = (0..=count / 12)
            .map(|number| {
                format!("/usr/share/{name}/{}{number}/{}", random.pick(&WORDS[..20]), random.pick(&LANGUAGES))
            })
            .collect();
        for folder in &folders {
            builder.with_dir_entry(FileOptions::dir(folder))?;
        }
        if self.number.is_multiple_of(3) {
            builder
                .with_file_contents(vec![7; 2_000], FileOptions::new(format!("/usr/bin/{name}")).permissions(0o755))?;
            builder.with_file_contents("a=1\n", FileOptions::new(format!("/etc/{name}.conf")))?;
            builder.with_ghost(FileOptions::ghost(format!("/var/log/{name}.log")))?;
        }
        for number in 0..count {
            let folder = &folders[random.below(folders.len() as u32) as usize];
            let path = format!(
                "{folder}/{}-{number}.{}",
                random.pick(&WORDS[..20]),
                ["txt", "so", "py", "html"][number as usize % 4]
            );
            builder.with_file_contents(vec![b'x'; random.below(80) as usize], FileOptions::new(path))?;
        }
        Ok(())
    }
}
