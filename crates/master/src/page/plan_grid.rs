//! A release's plan as a grid: packages down, repositories across, in each cell what happens there and for which
//! architectures; and beside it how sure the place is, and why.

use std::collections::BTreeMap;

use anima_types::{
    id::RepositoryId,
    release::{PlanEntry, Release, Trust},
    repository::Repository,
};

use super::words::{State, count};

/// Packages of a plan on a page; a mass rebuild has tens of thousands, which are for the API.
const MAX_ROWS: usize = 150;

/// The grid.
pub struct Grid {
    /// Repositories without their architecture, in the product's order.
    pub heads: Vec<String>,
    /// Packages, those that somebody should look at first.
    pub rows: Vec<Row>,
    /// How many more there are.
    pub unshown: usize,
}

/// A package, on all architectures.
pub struct Row {
    /// Name, version and release.
    pub package: String,
    /// One for each head.
    pub cells: Vec<Cell>,
    /// How sure the place is.
    pub trust: TrustWord,
    /// Why there.
    pub reason: String,
    /// Whether somebody should look.
    pub asks: bool,
    rank: (bool, Trust),
}

/// What happens to a package in a repository.
#[derive(Clone, Default)]
pub struct Cell {
    /// `+`, `↑`, `↓`, `=`; nothing where nothing happens.
    pub sign: &'static str,
    /// The same as a word.
    pub word: &'static str,
    /// The architectures, with the address of each file.
    pub files: Vec<(String, String)>,
    /// What it takes the place of.
    pub replaces: String,
}

/// How sure a place is: a word, and a colour by its class.
#[derive(Clone, Copy)]
pub struct TrustWord {
    /// The word.
    pub word: &'static str,
    /// `good`, `run`, `wait` or `bad`.
    pub class: &'static str,
    /// One character.
    pub glyph: &'static str,
}

impl From<Trust> for TrustWord {
    fn from(trust: Trust) -> TrustWord {
        let (class, glyph) = match trust {
            Trust::Person | Trust::Exact | Trust::SameVersion | Trust::SameName => ("good", "●"),
            Trust::SameSource | Trust::ByRule => ("run", "◐"),
            Trust::Default => ("bad", "✕"),
        };
        TrustWord { word: trust.name(), class, glyph }
    }
}

/// What a repository has after the release, against what users see now.
pub struct After {
    /// Its id.
    pub repository: RepositoryId,
    /// Its address.
    pub path: String,
    /// `@12`, or that there is none.
    pub now: String,
    /// Packages now.
    pub before: i64,
    /// Packages then.
    pub after: i64,
    /// What is new there, takes the place of something, and goes.
    pub changes: [usize; 3],
}

/// Lays a plan out. `repositories` are the product's.
pub fn grid(plan: &[PlanEntry], repositories: &[Repository]) -> Grid {
    let mut heads: Vec<String> = Vec::new();
    let bases: BTreeMap<RepositoryId, (&Repository, String)> =
        repositories.iter().map(|repository| (repository.id, (repository, base(repository)))).collect();
    for repository in repositories {
        let base = base(repository);
        if !heads.contains(&base) {
            heads.push(base);
        }
    }
    let mut rows: BTreeMap<String, Row> = BTreeMap::new();
    for entry in plan {
        let Some((repository, base)) = bases.get(&entry.repository) else { continue };
        let package = format!("{}-{}", entry.nevra.name, entry.nevra.evr);
        let row = rows.entry(package.clone()).or_insert_with(|| Row {
            package,
            cells: vec![Cell::default(); heads.len()],
            trust: entry.trust.into(),
            reason: entry.reason.clone(),
            asks: false,
            rank: (true, entry.trust),
        });
        let is_downgrade = entry.replaces.iter().any(|old| old.evr > entry.nevra.evr);
        // The least sure place of a package is the one to look at.
        if entry.trust > row.rank.1 {
            (row.trust, row.reason, row.rank.1) = (entry.trust.into(), entry.reason.clone(), entry.trust);
        }
        row.asks |= entry.trust == Trust::Default || is_downgrade;
        row.rank.0 = !row.asks;
        let Some(cell) = heads.iter().position(|head| head == base).and_then(|at| row.cells.get_mut(at)) else {
            continue;
        };
        (cell.sign, cell.word) = match (entry.replaces.is_empty(), is_downgrade) {
            (true, _) => ("+", "new"),
            (false, false) => ("↑", "takes the place of"),
            (false, true) => ("↓", "downgrade, takes the place of"),
        };
        let arch = repository.arch.clone().unwrap_or_else(|| entry.nevra.arch.clone());
        let of_other = entry.nevra.arch != arch && entry.nevra.arch != "noarch";
        let label = if of_other { format!("{} for {arch}", entry.nevra.arch) } else { arch };
        cell.files.push((label, format!("/api/v1/artifacts/{}", entry.artifact)));
        let replaces = entry.replaces.iter().map(|old| old.evr.to_string()).collect::<Vec<_>>().join(", ");
        if !cell.replaces.contains(&replaces) {
            cell.replaces = replaces;
        }
    }
    let is_used = |at: usize| rows.values().any(|row| !row.cells[at].sign.is_empty());
    let used: Vec<usize> = (0..heads.len()).filter(|&at| is_used(at)).collect();
    let mut rows: Vec<Row> = rows.into_values().collect();
    rows.sort_by_key(|row| row.rank.0);
    let unshown = rows.len().saturating_sub(MAX_ROWS);
    rows.truncate(MAX_ROWS);
    for row in &mut rows {
        row.cells = used.iter().map(|&at| row.cells[at].clone()).collect();
    }
    Grid { heads: used.into_iter().map(|at| heads[at].clone()).collect(), rows, unshown }
}

fn base(repository: &Repository) -> String {
    let end = repository.arch.as_ref().and_then(|arch| repository.path.strip_suffix(&format!("/{arch}")));
    end.unwrap_or(&repository.path).to_string()
}

/// Returns what changes in each repository that changes.
pub fn after(release: &Release, repositories: &[Repository]) -> Vec<After> {
    let of = |repository: &Repository| {
        let entries = || release.plan.iter().filter(|entry| entry.repository == repository.id);
        let gone = release.removals.iter().filter(|removal| removal.repository == repository.id).count();
        let new = entries().filter(|entry| entry.replaces.is_empty()).count();
        let replaced = entries().map(|entry| entry.replaces.len()).sum::<usize>();
        let replacing = entries().count() - new;
        let difference = entries().count() as i64 - replaced as i64 - gone as i64;
        (new + replacing + gone > 0).then(|| After {
            repository: repository.id,
            path: repository.path.clone(),
            now: if repository.current > 0 { format!("@{}", repository.current) } else { "nothing yet".to_string() },
            before: repository.package_count,
            after: repository.package_count + difference,
            changes: [new, replacing, gone],
        })
    };
    repositories.iter().filter_map(of).collect()
}

/// Says what a plan does, in one line.
pub fn counts(release: &Release) -> String {
    let mut places: Vec<_> = release.plan.iter().map(|entry| entry.repository).collect();
    places.sort();
    places.dedup();
    let repositories = if places.len() == 1 { "repository" } else { "repositories" };
    let mut text = format!("{} into {} {repositories}", count(release.plan.len(), "package"), places.len());
    if !release.removals.is_empty() {
        text += &format!(", {} go", release.removals.len());
    }
    if !release.left_out.is_empty() {
        text += &format!(", {} left out", release.left_out.len());
    }
    match release.plan.iter().filter(|entry| entry.trust == Trust::Default).count() {
        0 => text,
        asks => format!("{text}; look at {asks} whose place is only the default"),
    }
}

/// Says how the gates stand, in one line: `10 hold, 1 asks`.
pub fn gates_in_numbers(states: &[State]) -> String {
    let mut numbers: BTreeMap<(usize, &str), usize> = BTreeMap::new();
    let order = ["blocks", "asks for a reason", "tells", "holds"];
    for state in states {
        let place = order.iter().position(|word| *word == state.word).unwrap_or(order.len());
        *numbers.entry((place, state.word)).or_default() += 1;
    }
    let phrase = |((_, word), count): ((usize, &str), usize)| match (word, count) {
        ("holds", 2..) => format!("{count} hold"),
        ("tells", 2..) => format!("{count} tell"),
        ("blocks", 2..) => format!("{count} block"),
        ("asks for a reason", 2..) => format!("{count} ask for a reason"),
        (word, count) => format!("{count} {word}"),
    };
    numbers.into_iter().map(phrase).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use anima_types::{Sha256, repository::Kind};

    fn repository(id: i64, path: &str, arch: Option<&str>) -> Repository {
        Repository {
            id: RepositoryId(id),
            product: "p".into(),
            path: path.into(),
            kind: Kind::Binary,
            arch: arch.map(str::to_string),
            current: 3,
            package_count: 10,
        }
    }

    fn entry(nevra: &str, repository: i64, replaces: &[&str], trust: Trust) -> PlanEntry {
        PlanEntry {
            nevra: nevra.parse().unwrap(),
            artifact: Sha256([1; 32]),
            repository: RepositoryId(repository),
            repository_path: String::new(),
            replaces: replaces.iter().map(|old| old.parse().unwrap()).collect(),
            trust,
            reason: trust.name().into(),
        }
    }

    #[test]
    fn a_package_is_one_line_with_its_architectures_and_what_is_least_sure_comes_first() {
        let repositories = [
            repository(1, "BaseOS/x86_64", Some("x86_64")),
            repository(2, "BaseOS/aarch64", Some("aarch64")),
            repository(3, "AppStream/x86_64", Some("x86_64")),
            repository(4, "source", None),
        ];
        let plan = [
            entry("jq-2-1.x86_64", 1, &["jq-1-1.x86_64"], Trust::SameName),
            entry("jq-2-1.aarch64", 2, &["jq-1-1.aarch64"], Trust::SameName),
            entry("lib-2-1.i686", 1, &[], Trust::Exact),
            entry("vim-1-1.x86_64", 1, &["vim-2-1.x86_64"], Trust::SameName),
            entry("zz-1-1.src", 4, &[], Trust::Default),
        ];

        let grid = grid(&plan, &repositories);

        assert_eq!(grid.heads, ["BaseOS", "source"], "a repository that gets nothing is no column");
        let rows: Vec<String> = grid
            .rows
            .iter()
            .map(|row| {
                let cells = row.cells.iter().map(|cell| {
                    let files: Vec<_> = cell.files.iter().map(|(label, _)| label.as_str()).collect();
                    format!("{}{} {}", cell.sign, files.join(","), cell.replaces)
                });
                format!("{} [{}] {}", row.package, cells.collect::<Vec<_>>().join("] ["), row.trust.word)
            })
            .collect();
        assert_eq!(
            rows,
            [
                "vim-1-1 [↓x86_64 2-1] [ ] same name",
                "zz-1-1 [ ] [+src ] nothing found",
                "jq-2-1 [↑x86_64,aarch64 1-1] [ ] same name",
                "lib-2-1 [+i686 for x86_64 ] [ ] exact"
            ]
        );
    }
}
