//! `stmc fmt`: files, folders and standard input into the house style.
mod common;

use common::{command, errors, fails, folder, stmc, succeeds, text};
use std::io::Write;
use std::process::Stdio;

const UGLY: &str = "let  a=1 // one\nlet bc =  2\n";
const NICE: &str = "let a  = 1  // one\nlet bc = 2\n";

#[test]
fn a_file_is_rewritten_once() {
    let path = folder("fmt-file").join("a.stm");
    std::fs::write(&path, UGLY).expect("the folder can be written");
    assert!(succeeds(&["fmt", &text(&path)]).contains("a.stm: formatted"));
    assert_eq!(std::fs::read_to_string(&path).expect("it is there"), NICE);
    assert_eq!(succeeds(&["fmt", &text(&path)]), "");
    let left = std::fs::read_dir(path.parent().expect("a folder")).expect("it is there").count();
    assert_eq!(left, 1, "nothing is left beside the file");
}

#[test]
fn check_shows_what_would_change_and_changes_nothing() {
    let path = folder("fmt-check").join("a.stm");
    std::fs::write(&path, UGLY).expect("the folder can be written");
    let output = stmc(&["fmt", "--check", &text(&path)]);
    assert_eq!(output.status.code(), Some(1));
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(shown.contains("\n-let  a=1 // one\n") && shown.contains("\n+let a  = 1  // one\n"), "{shown}");
    assert_eq!(std::fs::read_to_string(&path).expect("it is there"), UGLY);
    std::fs::write(&path, NICE).expect("the folder can be written");
    assert_eq!(succeeds(&["fmt", "--check", &text(&path)]), "");
}

#[test]
fn a_folder_is_searched_and_a_wrong_file_does_not_stop_the_others() {
    let folder = folder("fmt-folder");
    std::fs::create_dir(folder.join("inner")).expect("the folder can be written");
    for (name, program) in [("a.stm", "let a = (\n"), ("inner/b.stm", UGLY), ("notes.txt", UGLY)] {
        std::fs::write(folder.join(name), program).expect("the folder can be written");
    }
    let said = fails(&["fmt", &text(&folder)]);
    assert!(said.contains("E0103") && said.contains("a.stm"), "{said}");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).expect("it is there");
    assert_eq!((read("a.stm").as_str(), read("inner/b.stm").as_str()), ("let a = (\n", NICE));
    assert_eq!(read("notes.txt"), UGLY);
}

#[test]
fn standard_input_goes_to_standard_output() {
    let mut child =
        command(&["fmt", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the binary runs");
    child.stdin.take().expect("it is piped").write_all(UGLY.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("the binary ends");
    assert_eq!(String::from_utf8_lossy(&output.stdout), NICE, "{}", errors(&output));
}

#[test]
fn what_is_not_there_is_named() {
    assert!(fails(&["fmt", "nowhere.stm"]).contains("nowhere.stm: there is no such file"));
    let empty = folder("fmt-empty");
    let output = stmc(&["fmt", &text(&empty)]);
    assert_eq!(output.status.code(), Some(2), "{}", errors(&output));
}
