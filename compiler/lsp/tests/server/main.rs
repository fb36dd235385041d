//! What an editor is answered: a scripted client speaks the protocol to the server.
#![allow(clippy::unwrap_used)] // Tests say what they expect.
mod client;

use client::{Client, byte, place, position, snippet};
use gen_lsp_types as lsp;
use serde_json::json;

/// A program with a bit of everything, and no mistakes.
const NET: &str = r#"//! A net.
use std.nn.{Conv, Linear as Dense}
use std.loss.mse
use std.metric.rmse
use std.optim.Adam

axes space = (row, col)
hyper width: int = 8

data rain {
    from storms(size: 16, length: 6, count: 40, seed: 1)
    field rain: f32[sequence, time, row, col] unit "mm/h"
    sample at s in sequence {
        past:   rain[sequence: s, time: 0 .. 3]
        future: rain[sequence: s, time: 3]
    }
    split { train: sequence < 30, valid: rest }
}

/// Twice as much.
fn twice(x, by: float = 2) = x * by

/// A block of convolutions.
layer Block(wide: int) (x: [channel, space]) -> [channel: 1, space] {
    first = Conv(wide)
    last  = Conv(1, kernel: 1)
    let hidden = x |> first |> relu
    hidden |> last
}

model Net(past: f32[time, row, col]) -> { next: f32[row, col] } {
    block = Block(width)
    let run = scan frame in past along time {
        carry total: [row, col] = 0
        total' = total + twice(frame |> unsqueeze(channel) |> block |> squeeze(channel))
        yield total'
    }
    { next: run.total }
}

train Net on rain {
    loss      = mse(next, future)
    metrics   = { error: rmse(next, future) }
    optimizer = Adam(lr: 1e-3)
    batch     = 10
    keep      = best(valid.error)
}
"#;

/// The program with a cursor after the first place where `text` stands.
fn at(text: &str, word: &str) -> String {
    let net = net();
    let start = net.find(text).unwrap_or_else(|| panic!("`{text}` is in the program"));
    let at = start + text.find(word).expect("the word is in the text");
    format!("{}<|>{}", &net[..at], &net[at..])
}

fn net() -> String {
    NET.replace("use std.nn.{Conv,", "use std.nn.{Conv, relu,")
}

fn hover(client: &mut Client, text: &str) -> Option<String> {
    let (uri, position) = client.open("net.stm", text);
    let params = place(&uri, position);
    let hover = client.request::<lsp::HoverRequest>(params).unwrap()?;
    match hover.contents {
        lsp::Contents::MarkupContent(markup) => Some(markup.value),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_program_without_mistakes_has_no_messages() {
    let mut client = Client::new();
    let (uri, _) = client.open("net.stm", &net());
    assert_eq!(client.diagnostics(&uri), []);
}

#[test]
fn messages_follow_the_keys() {
    let mut client = Client::new();
    let (uri, _) = client.open("net.stm", &net());
    assert_eq!(client.diagnostics(&uri), []);
    let text = net();
    let start = text.find("hidden |> last").unwrap();
    let range = lsp::Range::new(position(&text, start), position(&text, start + "hidden".len()));
    client.edit(&uri, range, "hiden");
    let found = client.diagnostics(&uri);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(found[0].code, Some("E0401".to_string().into()));
    assert_eq!(found[0].range.start, position(&text, start));
    let back = lsp::Range::new(position(&text, start), position(&text, start + "hiden".len()));
    client.edit(&uri, back, "hidden");
    assert_eq!(client.diagnostics(&uri), []);
}

#[test]
fn a_file_says_what_it_is_at_every_place() {
    let mut client = Client::new();
    for (text, word, says) in [
        ("|> relu\n", "relu", &["fn relu(x)"][..]),
        ("let hidden = x", "hidden", &["f32[batch, row: 16, col: 16, channel: 8]"]),
        ("x |> first |> relu", "first", &["first = Conv(wide)", "Conv(out: 8, kernel: 3, over: (row, col)"]),
        ("first = Conv(wide)", "Conv", &["layer Conv(out: int", "N-d convolution"]),
        (
            "= Block(width)",
            "Block",
            &["layer Block(wide: int) (x: [channel, space])", "A block of convolutions."],
        ),
        ("= Block(width)", "width", &["hyper width: int = 8"]),
        ("twice(frame", "twice", &["fn twice(x, by: float = 2)", "Twice as much."]),
        ("scan frame in past", "past", &["f32[batch, time: 3, row: 16, col: 16]"]),
        ("scan frame in past", "frame", &["f32[batch, row: 16, col: 16]"]),
        ("carry total", "total", &["f32[batch, row: 16, col: 16]"]),
        ("along time", "time", &["axis time"]),
        ("field rain", "rain", &["f32[sequence: 40, time: 6, row: 16, col: 16]", "unit \"mm/h\""]),
        ("unsqueeze(channel)", "unsqueeze", &["unsqueeze(x, axis)", "new axis of extent 1"]),
        ("batch     = 10", "batch", &["Samples of an update"]),
        ("mse(next, future)", "next", &["f32[batch, row: 16, col: 16]"]),
        ("frame |> unsqueeze(channel) |> block", "|>", &["f32[batch, row: 16, col: 16, channel: 1]"]),
        ("use std.nn.{", "nn", &["std/nn.stm", "Layers."]),
    ] {
        let shown = hover(&mut client, &at(text, word)).unwrap_or_default();
        for part in says {
            assert!(shown.contains(part), "`{word}` in `{text}` says\n{shown}\nbut not `{part}`");
        }
    }
    assert_eq!(hover(&mut client, &at("//! A net", "A net")), None);
}

#[test]
fn a_layer_says_the_types_of_its_uses() {
    let text = "layer Half() (x: [channel]) -> [channel] { <|>x * 0.5 }
        model Net(a: f32[channel: 2], b: f32[channel: 3]) -> { a: f32[channel: 2], b: f32[channel: 3] } {
            half = Half()
            third = Half()
            { a: half(a), b: third(b) }
        }";
    let shown = hover(&mut Client::new(), text).unwrap();
    assert!(shown.contains("f32[batch, channel: 2]") && shown.contains("f32[batch, channel: 3]"), "{shown}");
}

#[test]
fn names_lead_to_their_declarations() {
    let mut client = Client::new();
    for (text, word, leads) in [
        ("hidden |> last", "hidden", ("net.stm", "hidden")),
        ("hidden |> last", "last", ("net.stm", "last")),
        ("x |> first |> relu", "x", ("net.stm", "x")),
        ("Block(width)", "Block", ("net.stm", "Block")),
        ("run.total", "total", ("net.stm", "total")),
        ("total' = ", "total", ("net.stm", "total")),
        ("mse(next, future)", "future", ("net.stm", "future")),
        ("mse(next, future)", "next", ("net.stm", "next")),
        ("best(valid.error)", "error", ("net.stm", "error")),
        ("on rain", "rain", ("net.stm", "rain")),
        ("first = Conv(wide)", "Conv", ("nn.stm", "Conv")),
        ("Linear as Dense", "Dense", ("nn.stm", "Linear")),
        ("Conv(1, kernel: 1)", "kernel", ("nn.stm", "kernel")),
        ("mse(next, future)", "mse", ("loss.stm", "mse")),
        ("|> relu\n", "relu", ("nn.stm", "relu")),
        ("[channel, space]", "space", ("net.stm", "space")),
    ] {
        let (uri, position) = client.open("net.stm", &at(text, word));
        let params = place(&uri, position);
        let found = client.request::<lsp::DefinitionRequest>(params).unwrap();
        let Some(lsp::DefinitionResponse::Definition(lsp::Definition::Location(location))) = found else {
            panic!("`{word}` in `{text}` leads nowhere: {found:?}");
        };
        let file = location.uri.to_file_path().unwrap();
        let there = std::fs::read_to_string(&file).unwrap_or_else(|_| net());
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        assert_eq!((name.as_str(), snippet(&there, location.range)), leads, "`{word}` in `{text}`");
    }
}

#[test]
fn a_text_of_the_library_is_read_like_any_other() {
    let mut client = Client::new();
    let text = include_str!("../../../../stdlib/nn.stm");
    let cursor = text.find("Linear(max(1").unwrap();
    let marked = format!("{}<|>{}", &text[..cursor], &text[cursor..]);
    let (uri, position) = client.open("library/std/nn.stm", &marked);
    assert_eq!(client.diagnostics(&uri), []);
    let params = place(&uri, position);
    let found = client.request::<lsp::DefinitionRequest>(params).unwrap();
    assert!(format!("{found:?}").contains("nn.stm"), "{found:?}");
    assert_eq!(rename(&mut client, &uri, position, "a"), Err("this text belongs to the library".into()));
}

fn completions(client: &mut Client, text: &str) -> Vec<lsp::CompletionItem> {
    let (uri, position) = client.open("net.stm", text);
    let params = place(&uri, position);
    match client.request::<lsp::CompletionRequest>(params).unwrap() {
        Some(lsp::CompletionResponse::CompletionItemList(items)) => items,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_can_be_written_is_offered() {
    let mut client = Client::new();
    let net = net();
    // A text that replaces a place, and what is offered at its cursor; `!` begins what is not.
    for (place, typed, offered) in [
        ("    hidden |> last", "    hid<|>", &["hidden", "x", "wide", "first", "Conv", "mean", "!frame"][..]),
        ("    hidden |> last", "    hidden |> <|>", &["last", "relu", "Dense", "ConvLstm"]),
        ("    hidden |> last", "    mean(hidden, over: <|>)", &["space", "channel", "row", "!hidden"]),
        ("    hidden |> last", "    hidden.<|>", &["channel", "row", "col", "!hidden"]),
        ("    hidden |> last", "    let n = hidden.ch<|>\n    hidden |> last", &["channel"]),
        ("    last  = Conv(1, kernel: 1)", "    last = Conv(1, <|>)", &["kernel", "stride", "groups"]),
        ("    last  = Conv(1, kernel: 1)", "    last = Conv(<|>", &["out", "kernel"]),
        ("    { next: run.total }", "    { next: run.<|> }", &["total"]),
        ("    batch     = 10", "    <|>", &["batch", "epochs", "clip", "!loss", "!optimizer"]),
        ("    keep      = best(valid.error)", "    keep = best(valid.<|>)", &["error", "loss"]),
        ("use std.loss.mse", "use std.<|>", &["nn", "loss", "recurrent"]),
        ("use std.loss.mse", "use std.loss.<|>", &["mse", "huber"]),
        ("use std.loss.mse", "use std.loss.{mse, <|>}", &["huber"]),
        ("axes space = (row, col)", "axes space = (row, col)\nhy<|>", &["hyper", "layer", "!scan"]),
        ("    split { train", "    fi<|>\n    split { train", &["field", "sample"]),
        ("    loss      = mse(next, future)", "    loss = mse(ne<|>)", &["next", "future", "past"]),
        ("hyper width: int = 8", "hyper width: <|> = 8", &["int", "float", "!width"]),
        ("rain[sequence: s, time: 3]", "rain[<|>]", &["sequence", "time", "row"]),
    ] {
        assert!(net.contains(place), "{place}");
        let items = completions(&mut client, &net.replacen(place, typed, 1));
        let labels: Vec<&str> = items.iter().map(|i| i.label.as_str()).collect();
        for word in offered {
            match word.strip_prefix('!') {
                Some(word) => assert!(!labels.contains(&word), "`{typed}` offers `{word}`"),
                None => assert!(labels.contains(word), "`{typed}` does not offer `{word}` but {labels:?}"),
            }
        }
    }
    // Nothing in comments and strings.
    assert_eq!(completions(&mut client, &net.replace("A net.", "A <|>net.")), []);
}

#[test]
fn a_layer_of_the_library_comes_with_its_import() {
    let mut client = Client::new();
    let items = completions(&mut client, &net().replace("    hidden |> last", "    hidden |> ConvL<|>"));
    let item = items.iter().find(|i| i.label == "ConvLstm").unwrap();
    let edit = &item.additional_text_edits.as_ref().unwrap()[0];
    assert_eq!(edit.new_text, "use std.recurrent.ConvLstm\n");
    assert_eq!(edit.range.start, lsp::Position::new(5, 0));
}

fn rename(
    client: &mut Client,
    uri: &lsp::Uri,
    at: lsp::Position,
    name: &str,
) -> Result<Vec<(String, Vec<String>)>, String> {
    let params = json!({ "textDocument": { "uri": uri }, "position": at, "newName": name });
    let params = serde_json::from_value(params).unwrap();
    let edit = client.request::<lsp::RenameRequest>(params)?.unwrap();
    let mut files: Vec<(String, Vec<String>)> = edit
        .changes
        .unwrap()
        .into_iter()
        .map(|(uri, edits)| {
            let name = uri.path().rsplit('/').next().unwrap().to_string();
            let places = edits
                .iter()
                .map(|e| format!("{}:{} {}", e.range.start.line, e.range.start.character, e.new_text));
            (name, places.collect())
        })
        .collect();
    files.sort();
    Ok(files)
}

#[test]
fn names_are_changed_everywhere_or_not_at_all() {
    let mut client = Client::new();
    for (text, word, name, count) in [
        ("let hidden", "hidden", "deep", Ok(2)),
        ("wide: int", "wide", "broad", Ok(2)),
        ("layer Block", "Block", "Cell", Ok(2)),
        ("carry total", "total", "sum_so_far", Ok(5)),
        ("model Net(past", "past", "before", Ok(3)),
        ("{ next: f32", "next", "after", Ok(4)),
        ("error: rmse", "error", "rmse_of_next", Ok(2)),
        ("(row, col)", "row", "y", Ok(5)),
        ("hidden |> last", "hidden", "x", Err("`x` is declared twice")),
        ("let hidden", "hidden", "scan", Err("`scan` is no name")),
        ("first = Conv(wide)", "Conv", "Convolution", Err("`Conv` belongs to the library")),
        ("along time", "time", "t", Err("the library knows this axis")),
        ("unsqueeze(channel)", "unsqueeze", "add", Err("no name of yours")),
    ] {
        let (uri, position) = client.open("net.stm", &at(text, word));
        match (rename(&mut client, &uri, position, name), count) {
            (Ok(files), Ok(count)) => {
                assert_eq!(files.len(), 1);
                assert_eq!(files[0].1.len(), count, "`{word}` in `{text}`: {files:?}");
            }
            (Err(why), Err(part)) => assert!(why.contains(part), "`{word}` in `{text}`: {why}"),
            (found, _) => panic!("`{word}` in `{text}`: {found:?}"),
        }
    }
}

#[test]
fn a_short_entry_is_written_out_when_half_of_it_is_renamed() {
    let mut client = Client::new();
    let text = "model Net(a: f32[channel: 2]) -> { b: f32[channel: 2], d: f32[channel: 2] } {
    let b = a * 2
    { b, d: a }
}
";
    for (word, edits) in [("let b", ["1:8 c", "2:6 b: c"]), ("{ b: f32", ["0:35 c", "2:6 c: b"])] {
        let cursor = text.find(word).unwrap() + word.find('b').unwrap();
        let (uri, position) = client.open("net.stm", &format!("{}<|>{}", &text[..cursor], &text[cursor..]));
        assert_eq!(rename(&mut client, &uri, position, "c").unwrap()[0].1, edits);
    }
}

#[test]
fn a_name_is_changed_in_the_files_that_import_it() {
    let mut client = Client::new();
    std::fs::write(client.path("main.stm"), MAIN).unwrap();
    let (uri, position) =
        client.open("blocks.stm", "layer <|>Half() (x: [channel]) -> [channel] { x * 0.5 }\n");
    let files = rename(&mut client, &uri, position, "Halved").unwrap();
    assert_eq!(files.len(), 2, "{files:?}");
    assert_eq!(files[0], ("blocks.stm".into(), vec!["0:6 Halved".to_string()]));
    assert_eq!(files[1], ("main.stm".into(), vec!["0:17 Halved".to_string(), "2:11 Halved".to_string()]));
}

/// Imports a file beside it.
const MAIN: &str = "use \"blocks.stm\".Half
model Net(a: f32[channel: 2]) -> { b: f32[channel: 2] } {
    half = Half()
    { b: half(a) }
}
";

#[test]
fn messages_follow_the_files_that_are_imported() {
    let mut client = Client::new();
    let (uri, _) = client.open("main.stm", MAIN);
    let found = client.diagnostics(&uri);
    assert_eq!(found[0].code, Some("E0410".to_string().into()), "{found:#?}");
    let (blocks, _) = client.open("blocks.stm", "layer Half() (x: [channel]) -> [channel] { x * 0.5 }\n");
    assert_eq!(client.diagnostics(&uri), []);
    assert_eq!(client.diagnostics(&blocks), []);
    // The mistake is shown in the file that has it.
    let at = "layer Half() (x: [channel]) -> [channel] { ".len() as u32;
    client.edit(&blocks, lsp::Range::new(lsp::Position::new(0, at), lsp::Position::new(0, at + 1)), "y");
    assert_eq!(client.diagnostics(&blocks)[0].code, Some("E0401".to_string().into()));
}

#[test]
fn a_model_is_checked_without_its_data() {
    let mut client = Client::new();
    let text = net().replace("storms(size: 16, length: 6, count: 40, seed: 1)", "\"rain.npy\"");
    let (uri, _) = client.open("net.stm", &text);
    let found = client.diagnostics(&uri);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(found[0].code, Some("E0903".to_string().into()));
    let (uri, _) = client.open("net.stm", &text.replace("x |> first", "y |> first"));
    let codes: Vec<_> = client.diagnostics(&uri).into_iter().map(|d| d.code).collect();
    assert_eq!(codes, [Some("E0903".to_string().into()), Some("E0401".to_string().into())]);
    // What `stmc schema` once said of the data stands in for them.
    let axes = json!([{ "extent": 40 }, { "extent": 6 }, { "extent": 16 }, { "extent": 16 }]);
    let variable = json!({ "name": "", "dtype": "f32", "axes": axes });
    let schema = json!({ "sources": [{ "origin": "rain.npy", "variables": [variable] }] });
    std::fs::write(client.path("net.schema.json"), schema.to_string()).unwrap();
    let (uri, _) = client.open("net.stm", &text);
    assert_eq!(client.diagnostics(&uri), []);
}

#[test]
fn a_file_is_formatted() {
    let mut client = Client::new();
    let (uri, _) = client.open("net.stm", "let a   =  1\nlet b = [ 1,2 ]\n\n\n\nlet c = 3\n");
    let params = json!({ "textDocument": { "uri": uri }, "options": { "tabSize": 4, "insertSpaces": true } });
    let params = serde_json::from_value(params).unwrap();
    let edits = client.request::<lsp::DocumentFormattingRequest>(params).unwrap().unwrap();
    assert_eq!(edits.len(), 1);
    assert_eq!(edits[0].new_text, "let a = 1\nlet b = [1, 2]\n");
    assert_eq!(edits[0].range, lsp::Range::new(lsp::Position::new(0, 0), lsp::Position::new(4, 0)));
}

/// The text with the first remedy applied that is offered where `at` stands, and its title.
fn remedied(client: &mut Client, text: &str, at: usize) -> Option<(String, String)> {
    let (uri, _) = client.open("net.stm", text);
    let range = lsp::Range::new(position(text, at), position(text, at));
    let params = json!({ "textDocument": { "uri": uri }, "range": range, "context": { "diagnostics": [] } });
    let params = serde_json::from_value(params).unwrap();
    let offered = client.request::<lsp::CodeActionRequest>(params).unwrap().unwrap();
    let Some(lsp::CodeActionResponse::CodeAction(action)) = offered.into_iter().next() else { return None };
    assert!(action.diagnostics.is_some() && action.kind == Some(lsp::CodeActionKind::QuickFix));
    let mut edits = action.edit.unwrap().changes.unwrap().remove(&uri).unwrap();
    edits.sort_by_key(|e| (e.range.start.line, e.range.start.character));
    let mut fixed = text.to_string();
    for edit in edits.iter().rev() {
        let places: Vec<usize> = [edit.range.start, edit.range.end].map(|p| byte(text, p)).to_vec();
        fixed.replace_range(places[0]..places[1], &edit.new_text);
    }
    Some((fixed, action.title))
}

#[test]
fn remedies_are_applied() {
    let mut client = Client::new();
    // A piece of the program, the same with a mistake, and what is left after the remedy, where it is not the piece.
    for (right, wrong, after) in [
        ("hidden |> last", "hiden |> last", ""),
        ("[channel, space]) ->", "[chanel, space]) ->", ""),
        ("batch     = 10", "batches   = 10", "batch   = 10"),
        ("batch     = 10", "batch: 10", "batch = 10"),
        ("kernel: 1", "kernal: 1", ""),
        ("kernel: 1", "kernel = 1", ""),
        ("best(valid.error)", "best(valid.eror)", ""),
        ("train Net on rain", "train Nett on rain", ""),
        ("train Net on rain", "train Net on rains", ""),
        ("use std.loss.mse", "use std.los.mse", ""),
        ("use std.loss.mse", "use std.loss.msee", ""),
        ("use std.optim.Adam\n", "", "use std.metric.rmse\nuse std.optim.Adam"),
        ("hyper width: int", "hypr width: int", ""),
        ("hyper width: int", "hyper width: intt", ""),
        ("hyper width: int = 8", "hyper width: int = 16 // 2", "hyper width: int = div(16, 2)"),
        ("= x * by", "= x ** by", "= x ^ by"),
        ("// nothing", "# nothing", ""),
        ("\"mh/h\"", "'mh/h'", ""),
        ("let hidden = x", "var hidden = x", ""),
        ("bias: false)", "bias: False)", ""),
        ("fn twice(", "def twice(", ""),
        ("layer Block", "leyer Block", ""),
        (
            "total' = total + twice(",
            "total' = total + mean(past) + twice(",
            "mean(past, over: (time, row, col))",
        ),
        ("hidden |> last\n", "hidden + last(hidden)\n", "hidden + squeeze(last(hidden), channel)"),
        ("{ next: run.total }", "{ next: run.total > 0 }", "f32("),
    ] {
        let base = net()
            .replace("by: float = 2) = x * by", "by: float = 2) = x * by // nothing")
            .replace("Conv(1, kernel: 1)", "Conv(1, kernel: 1, bias: false)")
            .replace("unit \"mm/h\"", "unit \"mh/h\"");
        assert!(base.contains(right), "{right}");
        let text = base.replacen(right, wrong, 1);
        let (uri, _) = client.open("net.stm", &text);
        let found = client.diagnostics(&uri);
        let after = if after.is_empty() { right } else { after };
        let fixed = found.iter().find_map(|d| remedied(&mut client, &text, byte(&text, d.range.start)));
        let Some((fixed, title)) = fixed else { panic!("`{wrong}` has no remedy: {found:#?}") };
        assert!(fixed.contains(after), "`{title}` does not give `{after}`:\n{fixed}");
        let (uri, _) = client.open("net.stm", &fixed);
        // The server tells only what has changed.
        let left = client.diagnostics(&uri);
        let errors: Vec<_> = left.iter().filter(|d| found.contains(d)).collect();
        assert!(errors.is_empty(), "`{title}` leaves {errors:#?}");
    }
}

#[test]
fn columns_are_counted_as_agreed() {
    let utf8 = lsp::PositionEncodingKind::UTF8;
    let utf16 = lsp::PositionEncodingKind::UTF16;
    // 𝛼 is one character, two half words and four bytes.
    let text = "hyper name: string = \"größe 𝛼\" // 𝛼 ß\nassert \"größe 𝛼\" == \"𝛼\" + undefined\n";
    for (offered, agreed, column) in [
        (vec![utf8.clone(), utf16.clone()], utf8, 34),
        (vec![utf16.clone()], utf16.clone(), 28),
        (vec![], utf16, 28),
    ] {
        let mut client = Client::counting(&offered);
        assert_eq!(client.encoding, Some(agreed));
        let (uri, _) = client.open("net.stm", text);
        let found = client.diagnostics(&uri);
        let start = lsp::Position::new(1, column);
        assert!(found.iter().any(|d| d.range.start == start), "{found:#?}");
        let end = lsp::Position::new(1, column + "undefined".len() as u32);
        client.edit(&uri, lsp::Range::new(start, end), "\"ß\"");
        let found = client.diagnostics(&uri);
        assert!(found.iter().all(|d| d.code != Some("E0401".to_string().into())), "{found:#?}");
    }
}
