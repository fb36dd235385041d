//! `stmc new`: every template is a program that is checked and trained as it is.
mod common;

use common::{command, errors, fails, folder, stmc, succeeds, text};

/// As `stmc new --help` lists them.
fn templates() -> Vec<String> {
    let help = succeeds(&["new", "--help"]);
    let names = help.lines().filter_map(|l| l.trim().strip_prefix("- ")?.split_once(':'));
    names
        .map(|(name, _)| name.to_string())
        .filter(|n| !["human", "json", "cpu", "wgpu", "cuda"].contains(&n.as_str()))
        .collect()
}

#[test]
fn every_template_is_trained_as_it_is() {
    let all = folder("new");
    let templates = templates();
    assert!(templates.len() >= 4, "{templates:?}");
    for template in &templates {
        let here = all.join(format!("my-{template}"));
        let said = succeeds(&["new", &text(&here), "--template", template]);
        let file = format!("my-{template}.stm");
        assert!(said.contains(&format!("stmc train {file}")), "{said}");
        for arguments in [
            &["fmt", "--check", &file][..],
            &["check", &file],
            &["train", &file, "--set", "train.epochs=1", "--out", "runs/first"],
        ] {
            let output = command(arguments).current_dir(&here).output().expect("the binary runs");
            assert!(output.status.success(), "{template}: stmc {}\n{}", arguments.join(" "), errors(&output));
            assert!(!errors(&output).contains("warning["), "{template}: {}", errors(&output));
        }
        assert_eq!(std::fs::read_to_string(here.join(".gitignore")).expect("it is there"), "/runs/\n");
    }
}

#[test]
fn what_is_there_is_kept() {
    let here = folder("new-kept");
    std::fs::write(here.join("notes.txt"), "mine").expect("the folder can be written");
    assert!(fails(&["new", &text(&here)]).contains("this is there already"));
    assert_eq!(std::fs::read_dir(&here).expect("it is there").count(), 1);
    let empty = folder("new-empty");
    succeeds(&["new", &text(&empty)]);
    assert!(empty.join("new-empty.stm").exists());
    assert_eq!(stmc(&["new", ".."]).status.code(), Some(2));
}
