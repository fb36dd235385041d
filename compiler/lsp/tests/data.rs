//! What is analysed: every model of a file; and where the data are not there, in a block of the file or of one that it imports, on what
//! the fields declare.
#![allow(clippy::unwrap_used)] // Tests say what they expect.
use std::path::Path;
use stmc_lsp::{Analysis, Cache};

const DATA: &str = "data rain {
    from \"nowhere.npz\"
    field rain: f32[time, row, col]
    sample at t in time { past: rain[time: t], next: rain[time: t + 1] }
    split { train: time < 2005-01, test: rest }
}
";

const MODEL: &str = "model M(past: f32[row, col]) -> { y: f32[row, col] } {
    param scale: [row: past.row] ~ 1
    { y: scale * past }
}
train M on rain {
    loss = mean((y - mean(next, over: lev)) ^ 2)
}
";

fn messages(main: &str, imported: &str) -> Vec<String> {
    let read = |_: &Path| Ok(imported.to_string());
    let analysis = Analysis::of(Path::new("/nowhere/main.stm"), main, &read, &Cache::default());
    assert!(analysis.guessed);
    analysis.diagnostics.iter().map(|d| format!("{}: {}", d.code, d.message)).collect()
}

#[test]
fn what_fields_declare_is_taken_wherever_they_stand() {
    let own = messages(&format!("axis lev\n{DATA}{MODEL}"), "");
    let imported = messages(&format!("axis lev\nuse \"rain.stm\".rain\n{MODEL}"), DATA);
    assert_eq!(own, imported);
    let wrong = own.iter().filter(|m| m.starts_with("E0203: there is no axis `lev`"));
    assert_eq!(wrong.count(), 1, "{own:?}");
}

#[test]
fn every_model_is_looked_at() {
    let text = "data rain {
    from storms(size: 8, length: 4, count: 20, seed: 7)
    field rain: f32[storm, time, row, col]
    sample at s in storm { past: rain[storm: s, time: 0], next: rain[storm: s, time: 1] }
    split { train: shuffled(storm) < 80%, test: rest }
}
model First(past: f32[row, col]) -> { y: f32[row, col] } { { y: past } }
model Second(past: f32[row, col]) -> { y: f32[col] } { { y: mean(past, over: lon) } }
model Third(past: f32[row, col]) -> { y: f32[row] } {
    let wide = 2 * past
    { y: mean(wide, over: col) }
}
";
    let read = |_: &Path| Ok(String::new());
    let analysis = Analysis::of(Path::new("/nowhere/main.stm"), text, &read, &Cache::default());
    let told: Vec<_> = analysis.diagnostics.iter().map(|d| (d.code.name(), d.message.as_str())).collect();
    assert_eq!(told, [("E0205", "the axis `lon` is introduced nowhere")]);
    let at = text.find("wide = ").unwrap();
    let (_, facts) = analysis.facts.around(analysis.main, at).unwrap();
    assert!(facts[0].text.contains("row: 8, col: 8"), "{facts:?}");
}
