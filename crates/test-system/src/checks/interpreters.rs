//! Is the program that a script names there?

use std::io::Read;

use anima_environment::{Inside, Kind};
use anima_rpm_file::PackageInfo;
use anima_types::work::Check;

use super::judged;

/// What the kernel reads of a script's first line.
const FIRST_LINE_BYTES: u64 = 256;
/// Where `env` looks for a program.
const PATH: [&str; 6] = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
/// Examples in the documentation may be for programs that the package does without, and nobody runs the sources that a debugger shows.
const NOT_RUN: [&str; 2] = ["/usr/share/doc/", "/usr/src/debug/"];
/// What rpm runs itself.
const LUA: &str = "<lua>";

/// Looks at the first line of each program of the package that is a script.
pub fn interpreters(info: &PackageInfo, inside: &Inside) -> Check {
    let is_program = |mode: u16| mode & 0o111 != 0;
    let programs = info
        .files
        .iter()
        .filter(|file| file.is_regular() && is_program(file.mode))
        .filter(|file| !NOT_RUN.iter().any(|folder| file.path.starts_with(folder)));
    let (mut count, mut wrong) = (0, Vec::new());
    for file in programs {
        let Some(line) = shebang(&file.path, inside) else { continue };
        count += 1;
        if let Some(why) = missing(&line, inside) {
            wrong.push(format!("{}: {why}", file.path));
        }
    }
    judged("interpreters", &wrong, format!("{count} scripts have their interpreter"))
}

/// Returns what is missing of the programs that run the package's scriptlets.
pub fn missing_script_interpreters(info: &PackageInfo, inside: &Inside) -> Vec<String> {
    let mut missing: Vec<String> = info
        .scriptlets
        .iter()
        .filter_map(|scriptlet| Some((scriptlet.kind, scriptlet.interpreter.first()?)))
        .filter(|(_, program)| *program != LUA && !is_program(program, inside))
        .map(|(kind, program)| format!("{program} of its script {kind:?} is not there"))
        .collect();
    missing.dedup();
    missing
}

fn shebang(path: &str, inside: &Inside) -> Option<String> {
    let mut start = Vec::new();
    inside.file(path).ok()?.take(FIRST_LINE_BYTES).read_to_end(&mut start).ok()?;
    // A source of Rust may begin with an attribute, `#![…]`; rpm's `brp-mangle-shebangs` knows it, too.
    let line = start.strip_prefix(b"#!").filter(|line| !line.starts_with(b"["))?;
    let line = line.split(|byte| *byte == b'\n').next().unwrap_or(line);
    Some(String::from_utf8_lossy(line).trim().to_owned())
}

/// Returns what is wrong with a script's first line.
fn missing(line: &str, inside: &Inside) -> Option<String> {
    let mut words = line.split_whitespace();
    let Some(program) = words.next() else { return Some("it names no interpreter".to_owned()) };
    if !program.starts_with('/') {
        return Some(format!("its interpreter {program} is not an absolute path"));
    }
    if !is_program(program, inside) {
        return Some(format!("its interpreter {program} is not there"));
    }
    if !program.ends_with("/env") {
        return None;
    }
    // `env -S A=b program arguments`
    let wanted = words.find(|word| !word.starts_with('-') && !word.contains('='))?;
    let is_there = wanted.contains('/') && is_program(wanted, inside)
        || PATH.iter().any(|folder| is_program(&format!("{folder}/{wanted}"), inside));
    (!is_there).then(|| format!("its interpreter {wanted}, which {program} looks for, is not there"))
}

fn is_program(path: &str, inside: &Inside) -> bool {
    path.starts_with('/') && matches!(inside.kind(path), Ok(Some(Kind::File)))
}

#[cfg(test)]
mod tests {
    use anima_rpm_file::{Scriptlet, ScriptletKind};

    use super::*;
    use crate::checks::testing::{Tree, package};

    /// Returns what the check says of a script with this first line.
    fn said(line: &str) -> Check {
        let tree = Tree::new();
        tree.file("/usr/bin/bash", 0o755, b"x");
        tree.file("/usr/bin/env", 0o755, b"x");
        tree.link("/bin", "usr/bin");
        tree.link("/usr/bin/loop", "loop");
        tree.file("/usr/bin/script", 0o755, format!("{line}\necho\n").as_bytes());
        interpreters(&package().file("/usr/bin/script", 0o755).done(), &tree.inside())
    }

    #[test]
    fn an_interpreter_that_is_there_is_green() {
        for line in [
            "#!/usr/bin/bash",
            "#! /bin/bash -e",
            "#!/usr/bin/env bash",
            "#!/usr/bin/env -S LANG=C bash -e",
            "#!/bin/env /bin/bash",
        ] {
            assert_eq!(said(line).detail, "1 scripts have their interpreter", "{line}");
        }
        for line in ["no script", "#![allow(dead_code)]"] {
            assert_eq!(said(line).detail, "0 scripts have their interpreter", "{line}");
        }
    }

    #[test]
    fn an_interpreter_that_is_not_there_is_red() {
        let cases = [
            ("#!/usr/bin/python9", "/usr/bin/script: its interpreter /usr/bin/python9 is not there"),
            (
                "#!/usr/bin/env ruby",
                "/usr/bin/script: its interpreter ruby, which /usr/bin/env looks for, is not there",
            ),
            ("#!bash", "/usr/bin/script: its interpreter bash is not an absolute path"),
            ("#!", "/usr/bin/script: it names no interpreter"),
            ("#!/usr/bin/loop", "/usr/bin/script: its interpreter /usr/bin/loop is not there"),
            ("#!/bin", "/usr/bin/script: its interpreter /bin is not there"),
        ];
        for (line, detail) in cases {
            let check = said(line);
            assert_eq!((check.is_green, check.detail.as_str()), (false, detail), "{line}");
        }
    }

    #[test]
    fn what_nobody_runs_may_name_what_it_likes() {
        let tree = Tree::new();
        tree.file("/usr/share/doc/x/example", 0o755, b"#!/usr/bin/ruby\n");
        tree.file("/usr/share/x/template", 0o644, b"#!/usr/bin/ruby\n");
        tree.file("/usr/src/debug/x/main.rb", 0o755, b"#!/usr/bin/ruby\n");
        let info = package()
            .file("/usr/share/doc/x/example", 0o755)
            .file("/usr/share/x/template", 0o644)
            .file("/usr/src/debug/x/main.rb", 0o755)
            .done();

        assert!(interpreters(&info, &tree.inside()).is_green);
    }

    #[test]
    fn a_scriptlet_needs_its_interpreter_but_lua_is_rpms_own() {
        let tree = Tree::new();
        let scriptlet = |program: &str| Scriptlet {
            kind: ScriptletKind::PostInstall,
            interpreter: vec![program.to_owned()],
            body: None,
        };
        let mut info = package().done();
        info.scriptlets = vec![scriptlet(LUA), scriptlet("/bin/sh")];

        assert_eq!(
            missing_script_interpreters(&info, &tree.inside()),
            ["/bin/sh of its script PostInstall is not there"]
        );
        tree.file("/bin/sh", 0o755, b"x");
        assert!(missing_script_interpreters(&info, &tree.inside()).is_empty());
    }
}
