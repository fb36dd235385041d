//! Completions and manual pages, and the help that they are made from.
mod common;

use common::{command, errors, folder, stmc, succeeds, text};

/// All commands, as `stmc --help` lists them.
fn commands() -> Vec<String> {
    let help = succeeds(&["--help"]);
    let list = help.split("Commands:\n").nth(1).and_then(|rest| rest.split("\n\n").next());
    let lines = list.expect("the help lists the commands").lines();
    let first_words = lines.filter(|l| l.starts_with("  ") && !l.starts_with("   "));
    first_words.filter_map(|l| l.split_whitespace().next()).map(str::to_string).collect()
}

#[test]
fn every_command_has_help_with_examples() {
    let commands = commands();
    assert!(commands.len() > 10, "{commands:?}");
    for name in commands.iter().filter(|name| *name != "help") {
        let help = succeeds(&[name, "--help"]);
        // An editor starts `lsp`, not a person.
        let shows = help.contains(&format!("  stmc {name}")) || name == "lsp" && help.contains("'lsp'");
        assert!(shows, "{help}");
    }
}

#[test]
fn completions_know_every_command() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = succeeds(&["completions", shell]);
        for name in commands() {
            assert!(script.contains(&name), "{shell}: {name}");
        }
        assert!(script.contains("message-format"), "{shell}");
    }
    let output = stmc(&["completions", "cmd"]);
    assert_eq!(output.status.code(), Some(2), "{}", errors(&output));
}

#[test]
fn bash_reads_its_completions() {
    let script = folder("completions").join("stmc.bash");
    std::fs::write(&script, succeeds(&["completions", "bash"])).expect("the folder can be written");
    let ask = "source \"$0\" && COMP_WORDS=(stmc fm) COMP_CWORD=1 && _stmc stmc fm stmc && echo \"${COMPREPLY[@]}\"";
    let Ok(output) = std::process::Command::new("bash").args(["-c", ask, &text(&script)]).output() else {
        return common::skipped("completions in bash: there is none");
    };
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "fmt", "{}", errors(&output));
}

#[test]
fn every_command_has_a_manual_page() {
    let folder = folder("man").join("man1");
    assert!(succeeds(&["man", "--out", &text(&folder)]).contains("pages"));
    let page =
        |name: &str| std::fs::read_to_string(folder.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
    assert!(page("stmc.1").contains(".TH stmc 1") && page("stmc.1").contains("Exit codes"));
    for name in commands().iter().filter(|name| *name != "help") {
        assert!(page(&format!("stmc-{name}.1")).contains("SYNOPSIS"), "{name}");
    }
    assert_eq!(succeeds(&["man"]), page("stmc.1"));
}

#[test]
fn nothing_is_coloured_where_nobody_sees_it() {
    let output = command(&["check", "nowhere.stm"]).env("NO_COLOR", "1").output().expect("the binary runs");
    assert!(!errors(&output).contains('\x1b'));
}
