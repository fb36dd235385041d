//! A project of two thousand lines is checked between two keystrokes.
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use stmc::{Error, Options};

/// Files of blocks, each built of those of the file before.
const FILES: usize = 22;
const BLOCKS: usize = 8;

/// What the fastest of some checks may take; a build without optimisation shows only that it ends.
const LIMIT: Duration =
    if cfg!(debug_assertions) { Duration::from_secs(30) } else { Duration::from_millis(100) };
const CHECKS: usize = if cfg!(debug_assertions) { 1 } else { 5 };

/// One file: layers that use the layers of the file before.
fn blocks(file: usize) -> String {
    let mut text = format!("//! The blocks of level {file}.\nuse std.nn.{{Conv, GroupNorm, Linear, relu}}\n");
    if file > 0 {
        let names: Vec<String> = (0..BLOCKS).map(|b| format!("Block{}x{b}", file - 1)).collect();
        writeln!(text, "use \"level{}.stm\".{{{}}}", file - 1, names.join(", ")).expect("a string grows");
    }
    for b in 0..BLOCKS {
        let inner = match file {
            0 => "x".to_string(),
            _ => "x |> inner".to_string(),
        };
        let below = match file {
            0 => String::new(),
            _ => format!("    inner = Block{}x{b}(width)\n", file - 1),
        };
        write!(
            text,
            "
/// A residual block with a gate.
layer Block{file}x{b}(width: int) (x: [channel: width, row, col]) -> [channel: width, row, col] {{
{below}    norm = GroupNorm(2)
    conv = Conv(width, over: (row, col))
    gate = Linear(width)
    let y = {inner}
    let z = y |> norm |> relu |> conv
    y + z * (mean(z, over: (row, col)) |> gate |> sigmoid)
}}
"
        )
        .expect("a string grows");
    }
    text
}

fn main_file() -> String {
    let last = FILES - 1;
    let names: Vec<String> = (0..BLOCKS).map(|b| format!("Block{last}x{b}")).collect();
    let mut text = format!("use \"level{last}.stm\".{{{}}}\n", names.join(", "));
    text += "axes space = (row, col)\n\n";
    text += "model Net(x: f32[channel: 8, row: 16, col: 16]) -> { y: f32[channel, row, col] } {\n";
    for (b, name) in names.iter().enumerate() {
        writeln!(text, "    block{b} = {name}(8)").expect("a string grows");
    }
    let pipe: Vec<String> = (0..BLOCKS).map(|b| format!("block{b}")).collect();
    writeln!(text, "    {{ y: x |> {} }}\n}}", pipe.join(" |> ")).expect("a string grows");
    text
}

fn project() -> (PathBuf, usize) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("large");
    std::fs::create_dir_all(&folder).expect("a folder can be made");
    let mut lines = 0;
    let mut write = |name: String, text: String| {
        lines += text.lines().count();
        std::fs::write(folder.join(name), text).expect("a file can be written");
    };
    (0..FILES).for_each(|f| write(format!("level{f}.stm"), blocks(f)));
    write("main.stm".into(), main_file());
    (folder.join("main.stm"), lines)
}

#[test]
fn a_project_of_two_thousand_lines_is_checked_at_once() {
    let (path, lines) = project();
    let took = (0..CHECKS).map(|_| check(&path)).min().expect("there is a check");
    eprintln!("{lines} lines in {took:.0?}");
    assert!(lines >= 2000 && took < LIMIT, "{lines} lines take {took:.0?}");
}

fn check(path: &Path) -> Duration {
    let begin = Instant::now();
    match stmc::check_file(path, &Options::default()) {
        Ok(_) => begin.elapsed(),
        Err(Error::Program { sources, diagnostics }) => {
            panic!("{}", diagnostics[0].render(&sources, stmc_base::diagnostic::Style::Plain))
        }
        Err(other) => panic!("{other}"),
    }
}
