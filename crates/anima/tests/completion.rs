//! The command line, told to shells and to man: bash completes a command, and man shows a page.

use std::process::{Command, Output};

fn anima(arguments: &[&str]) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_anima")).args(arguments).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    output
}

#[test]
fn bash_completes_a_command_below_a_command() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("anima");
    std::fs::write(&script, anima(&["completion", "bash"]).stdout).unwrap();
    let ask = "COMP_WORDS=(anima build re); COMP_CWORD=2; _anima anima re build; echo \"${COMPREPLY[@]}\"";

    let output = Command::new("bash").arg("-c").arg(format!("source {}; {ask}", script.display())).output().unwrap();

    assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), "restart", "{:?}", output.stderr);
}

#[test]
fn other_shells_have_a_script_that_names_the_commands() {
    for shell in ["zsh", "fish"] {
        let script = String::from_utf8(anima(&["completion", shell]).stdout).unwrap();
        assert!(script.contains("release-system") && script.contains("elevate"), "{shell}");
    }
}

#[test]
fn every_command_has_a_page_of_the_manual_that_names_its_arguments() {
    let folder = tempfile::tempdir().unwrap();

    anima(&["man", folder.path().join("man1").to_str().unwrap()]);

    let page = |name: &str| std::fs::read_to_string(folder.path().join("man1").join(name)).unwrap();
    assert!(page("anima.1").contains("anima\\-build(1)"), "the first names those below it");
    assert!(page("anima-build-create.1").contains("\\-\\-platform"), "{}", page("anima-build-create.1"));
    assert!(page("anima-elevate-plan.1").contains("elevate"));
    let secret = std::fs::read_dir(folder.path().join("man1")).unwrap().count();
    assert!(secret > 60, "{secret} pages");
}
