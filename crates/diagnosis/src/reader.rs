//! Reads a log line by line, and remembers what matters.

use std::collections::{BTreeMap, VecDeque};

use anima_types::diagnosis::{Finding, LogLine, MAX_FINDINGS, Need};
use anima_types::work::Failure;

use crate::class::{Class, Classes, Groups, Rank};
use crate::text::{cut, plain, shown};
use crate::{End, Section};

/// Lines that are shown before and after the one that says it.
const LINES_AROUND: usize = 3;
/// Of one step so many findings are remembered: more are never shown.
const MAX_KEPT: usize = 64;
/// A sentence names so many items at most; the log has all of them.
const MAX_NAMED: usize = 5;
/// So many findings of one class are shown: the first compile error matters, and rarely the ninth.
const MAX_OF_CLASS: usize = 3;
/// Lines that follow one another are gathered up to this number.
const MAX_ITEMS: usize = 1_000;

/// What was read so far.
#[derive(Debug, Default)]
pub struct Reader {
    section: Option<Section>,
    failed: Option<Section>,
    kept: Vec<Kept>,
    /// The newest context of classes that have one, in this step.
    contexts: BTreeMap<&'static str, Groups>,
    /// The last lines.
    recent: VecDeque<LogLine>,
    /// What the shell of the step ran last: its line, the command, the lines around it.
    last_command: Option<(u64, String, Vec<LogLine>)>,
    /// Whether packages were written, and nothing was said against it.
    is_good: bool,
}

/// A line of a class, with what was gathered for it.
#[derive(Debug)]
struct Kept {
    class: &'static Class,
    section: Option<Section>,
    line: u64,
    groups: Groups,
    items: Vec<String>,
    /// Whether the next line may be one of its items.
    takes_items: bool,
    excerpt: Vec<LogLine>,
}

impl Reader {
    /// Takes the next line, with its number from 1.
    pub fn see(&mut self, number: u64, line: &str) {
        let line = plain(line);
        let line = line.as_ref();
        self.see_step(number, line);
        self.kept.iter_mut().for_each(|kept| kept.see(number, line));
        let hits = Classes::known().of_line(self.section, line);
        for class in hits.context_of {
            if let Some(groups) = class.context.as_ref().and_then(|context| context.groups(line)) {
                self.contexts.insert(&class.code, groups);
            }
        }
        if let Some((class, groups)) = hits.class {
            self.find(class, groups, number, line);
        }
        if self.recent.len() == LINES_AROUND {
            self.recent.pop_front();
        }
        self.recent.push_back(LogLine { number, text: cut(line) });
    }

    fn see_step(&mut self, number: u64, line: &str) {
        if let Some(section) = Section::begins(line)
            && self.section != Some(section)
        {
            // What came before did not keep the build from going on.
            self.section = Some(section);
            self.last_command = None;
            self.failed = None;
            self.kept.clear();
            self.contexts.clear();
        }
        if let Some(command) = line.strip_prefix("+ ") {
            self.last_command = Some((number, shown(command), self.excerpt(number, line)));
        } else if let Some((_, _, excerpt)) = &mut self.last_command
            && excerpt.len() <= 2 * LINES_AROUND
        {
            excerpt.push(LogLine { number, text: cut(line) });
        }
        if let Some(section) = Section::fails(line) {
            self.failed = Some(section);
        }
        if line.starts_with("Wrote: ") {
            self.is_good = true;
        } else if line.starts_with("error: ") || line.starts_with("RPM build errors") || line.starts_with("FAILED (") {
            self.is_good = false;
        }
    }

    fn find(&mut self, class: &'static Class, mut groups: Groups, line: u64, text: &str) {
        let section = self.section;
        let what = groups.get("what").cloned().unwrap_or_default();
        for (name, value) in self.contexts.get(class.code.as_str()).into_iter().flatten() {
            groups.entry(name.clone()).or_insert_with(|| value.clone());
        }
        let same = |kept: &&mut Kept| kept.class.code == class.code && kept.section == section;
        if class.gather
            && let Some(first) = self.kept.iter_mut().find(same)
        {
            first.add(what);
            return;
        }
        let is_known = |kept: &Kept| kept.class.code == class.code && kept.groups == groups;
        if self.kept.iter().any(is_known) {
            return;
        }
        if self.kept.len() == MAX_KEPT {
            // The worst that is kept makes room for what is better.
            let worst = self.kept.iter().enumerate().max_by_key(|(at, kept)| (kept.class.rank, *at));
            match worst {
                Some((at, kept)) if kept.class.rank > class.rank => drop(self.kept.remove(at)),
                _ => return,
            }
        }
        let excerpt = self.excerpt(line, text);
        let mut kept =
            Kept { class, section, line, groups, items: Vec::new(), takes_items: class.items.is_some(), excerpt };
        if class.gather {
            kept.add(what);
        }
        self.kept.push(kept);
    }

    /// Returns a line with those before it.
    fn excerpt(&self, number: u64, line: &str) -> Vec<LogLine> {
        self.recent.iter().cloned().chain([LogLine { number, text: cut(line) }]).collect()
    }

    /// Returns the step that failed, or that was under way at the end.
    pub fn section(&self) -> Option<Section> {
        self.failed.or(self.section)
    }

    /// Returns what was found, the likeliest cause first. A log of something that succeeded has no findings.
    pub fn findings(&self, end: End) -> Vec<Finding> {
        if end == End::Exited(0) || (end == End::Unknown && self.is_good) {
            return Vec::new();
        }
        let outside = end.word().and_then(|word| Classes::known().of_end(word));
        let section = self.section();
        let mut kept: Vec<&Kept> = self.kept.iter().filter(|kept| kept.section == section).collect();
        kept.sort_by_key(|kept| (kept.class.rank, kept.line));
        let has_better = outside.is_some() || kept.first().is_some_and(|first| first.class.rank < Rank::Consequence);
        kept.retain(|kept| !(has_better && kept.class.rank == Rank::Consequence));
        if let Some(class) = outside {
            kept.retain(|kept| !class.is_said_by(kept.class));
        }
        let mut count_of: BTreeMap<&str, usize> = BTreeMap::new();
        kept.retain(|kept| {
            let count = count_of.entry(&kept.class.code).or_default();
            *count += 1;
            *count <= MAX_OF_CLASS
        });
        let mut findings: Vec<Finding> = outside.map(|class| self.of_end(class, end)).into_iter().collect();
        findings.extend(kept.into_iter().map(Kept::finding));
        if findings.is_empty() && (end != End::Unknown || self.failed.is_some()) {
            findings.extend(self.last_words());
        }
        findings.truncate(MAX_FINDINGS);
        findings
    }

    /// Returns why the command that wrote the log did not succeed.
    pub fn failure(&self, end: End, how_it_ended: &str) -> Failure {
        let findings = self.findings(end);
        let section = self.section();
        let place = section.map_or("rpmbuild", Section::name);
        let limit = findings.first().and_then(|first| {
            let class = Classes::known().of_code(&first.class)?;
            (class.rank == Rank::Limit).then_some(class.code.as_str())
        });
        let code = limit.unwrap_or_else(|| section.map_or("rpmbuild_failed", Section::failure_code));
        let message = match findings.first() {
            Some(first) if first.class == "command_failed" => {
                format!("{place} failed: {how_it_ended}, and {}", first.message)
            }
            Some(first) => format!("{place} failed: {}", first.message),
            None => format!("{place} failed: {how_it_ended}"),
        };
        let first = findings.first();
        Failure {
            log_line: first.and_then(|first| first.log_line),
            hint: first.and_then(|first| first.cure.clone()),
            findings,
            ..Failure::new(code, message)
        }
    }

    /// What was ended from outside is shown where it stood.
    fn of_end(&self, class: &'static Class, end: End) -> Finding {
        let what = match end {
            End::Signaled(signal) => format!("signal {signal}"),
            _ => String::new(),
        };
        let own = self.kept.iter().find(|kept| class.is_said_by(kept.class));
        Kept {
            class,
            section: self.section(),
            line: own.map_or_else(|| self.recent.back().map_or(0, |line| line.number), |own| own.line),
            groups: [("what".to_owned(), what)].into(),
            items: Vec::new(),
            takes_items: false,
            excerpt: own.map_or_else(|| self.recent.iter().cloned().collect(), |own| own.excerpt.clone()),
        }
        .finding()
    }

    /// A step that says nothing fails with its last command.
    fn last_words(&self) -> Option<Finding> {
        let (line, command, excerpt) = self.last_command.as_ref()?;
        let class = Classes::known().of_code("command_failed")?;
        let kept = Kept {
            class,
            section: self.section(),
            line: *line,
            groups: [("what".to_owned(), command.clone())].into(),
            items: Vec::new(),
            takes_items: false,
            excerpt: excerpt.clone(),
        };
        Some(kept.finding())
    }
}

impl Kept {
    /// Looks at a line that comes after its own.
    fn see(&mut self, number: u64, line: &str) {
        if number <= self.line + LINES_AROUND as u64 {
            self.excerpt.push(LogLine { number, text: cut(line) });
        }
        if self.takes_items {
            let item = self.class.items.as_ref().and_then(|items| items.groups(line)?.remove("item"));
            match item {
                Some(item) => self.add(item),
                None => self.takes_items = false,
            }
        }
        if number <= self.line + self.class.within
            && let Some(groups) = self.class.then.as_ref().and_then(|then| then.groups(line))
        {
            for (name, value) in groups {
                self.groups.entry(name).or_insert(value);
            }
        }
    }

    fn add(&mut self, item: String) {
        if self.items.len() < MAX_ITEMS && !self.items.contains(&item) {
            self.items.push(item);
        }
    }

    fn finding(&self) -> Finding {
        let mut groups = self.groups.clone();
        let mut named = self.items.iter().take(MAX_NAMED).map(|item| shown(item)).collect::<Vec<_>>().join(", ");
        if self.items.len() > MAX_NAMED {
            named += &format!(" and {} more", self.items.len() - MAX_NAMED);
        }
        groups.insert("items".to_owned(), named);
        let what = groups.get("what").filter(|what| !what.is_empty());
        let need =
            self.class.need.zip(what).map(|(kind, name)| Need { kind, name: name.clone(), packages: Vec::new() });
        Finding {
            class: self.class.code.clone(),
            title: self.class.title.clone(),
            message: shown(&self.class.message(&groups)),
            section: self.section.map(|section| section.name().to_owned()),
            log_line: Some(self.line).filter(|&line| line > 0),
            excerpt: self.excerpt.clone(),
            cure: self.class.cure(&groups, &[]),
            need,
        }
    }
}
