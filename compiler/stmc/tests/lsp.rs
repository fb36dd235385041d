//! `stmc lsp` serves an editor on standard input and output.
mod common;

use common::{command, folder, repository};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

/// A message as the protocol frames it.
fn framed(message: &serde_json::Value) -> String {
    let text = message.to_string();
    format!("Content-Length: {}\r\n\r\n{text}", text.len())
}

/// The next message.
fn next(from: &mut impl BufRead) -> serde_json::Value {
    let mut length = 0;
    loop {
        let mut line = String::new();
        from.read_line(&mut line).expect("the server writes text");
        match line.trim_end().strip_prefix("Content-Length: ") {
            Some(number) => length = number.parse().expect("a length is a number"),
            None if line.trim_end().is_empty() => break,
            None => {}
        }
    }
    let mut text = vec![0; length];
    from.read_exact(&mut text).expect("the message is as long as it says");
    serde_json::from_slice(&text).expect("a message is JSON")
}

#[test]
fn an_editor_is_served_until_it_says_goodbye() {
    let mut child = command(&["lsp"])
        .env("XDG_CACHE_HOME", folder("lsp"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut input = child.stdin.take().expect("it is piped");
    let mut output = BufReader::new(child.stdout.take().expect("it is piped"));
    let mut say = |message: serde_json::Value| {
        input.write_all(framed(&message).as_bytes()).expect("the server reads");
        input.flush().expect("the server reads");
    };
    let document = serde_json::json!({ "uri": "file:///wrong.stm", "languageId": "stm", "version": 1, "text": "let a = b\nhyper c = a\n" });
    say(
        serde_json::json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": { "processId": null, "rootUri": null, "capabilities": {} } }),
    );
    assert_eq!(next(&mut output)["result"]["serverInfo"]["name"], "stmc");
    say(serde_json::json!({ "jsonrpc": "2.0", "method": "initialized", "params": {} }));
    say(
        serde_json::json!({ "jsonrpc": "2.0", "method": "textDocument/didOpen", "params": { "textDocument": document } }),
    );
    let told = next(&mut output);
    assert_eq!(told["params"]["diagnostics"][0]["code"], "E0401", "{told}");
    say(serde_json::json!({ "jsonrpc": "2.0", "id": 2, "method": "shutdown" }));
    assert_eq!(next(&mut output)["id"], 2);
    say(serde_json::json!({ "jsonrpc": "2.0", "method": "exit" }));
    assert!(child.wait().expect("the server ends").success());
}

/// Codes and messages, in no order.
fn told(diagnostics: &[stmc::Diagnostic]) -> BTreeSet<String> {
    diagnostics.iter().map(|d| format!("{} {}", d.code, d.message)).collect()
}

#[test]
fn an_editor_is_told_what_check_tells() {
    let mut files = vec![];
    for kind in ["data", "model", "syntax"] {
        let folder = repository("tests/suite").join(kind);
        let entries = std::fs::read_dir(&folder).expect("the suite is there");
        files.extend(entries.map(|e| e.expect("the folder can be read").path()));
    }
    let cache = stmc_lsp::Cache::default();
    let mut compared = 0;
    for path in files.iter().filter(|p| p.extension().is_some_and(|e| e == "stm")) {
        let checked = match stmc::check_file(path, &stmc::Options::default()) {
            Ok(checked) => told(&checked.warnings),
            Err(stmc::Error::Program { diagnostics, .. }) => told(&diagnostics),
            Err(other) => panic!("{}: {other}", path.display()),
        };
        let text = std::fs::read_to_string(path).expect("the case is a text");
        let shown = stmc_lsp::Analysis::of(path, &text, &|p| std::fs::read_to_string(p), &cache);
        let shown = told(&shown.diagnostics);
        assert!(checked.is_subset(&shown), "{}: {checked:#?} but {shown:#?}", path.display());
        // An editor goes on to the model where the data have mistakes.
        let of_data = checked.iter().any(|message| message.starts_with("E09"));
        assert!(of_data || checked == shown, "{}: {checked:#?} but {shown:#?}", path.display());
        compared += 1;
    }
    assert!(compared > 50, "only {compared} cases");
}
