//! The command line: arguments in, library calls, text and exit codes out. 0: done; 1: the program or the world is at fault;
//! 2: the command line is; 130: interrupted (what was done is saved).
mod args;
mod doc;
mod fmt;
mod new;
mod shell;

use crate::error::{diagnostic_json, render};
use crate::quantity::plural;
use crate::run::{StepFiles, StepInput};
use crate::tune::Trial;
use crate::{
    Again, BenchOptions, Checked, Error, ImportFiles, Options, Stage, StepCost, Target, TrainOptions,
};
use args::{Args, Command, Format, Shared};
use clap::Parser;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use stmc_base::diagnostic::Style;
use stmc_base::{Code, Schema};
use stmc_model::Tuning;
use stmc_runtime::score::digits;
use stmc_runtime::{Outcome, Watching, files, tensor};

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let args = Args::parse();
    let format = args.shared.message_format;
    match run(args) {
        Ok(code) => code,
        Err(error) => {
            report(&error, format);
            ExitCode::from(if matches!(error, Error::Usage(_)) { 2 } else { 1 })
        }
    }
}

fn style() -> Style {
    style_for(std::io::stderr().is_terminal())
}

/// How text for this output is written. See <https://no-color.org>.
fn style_for(is_terminal: bool) -> Style {
    let plain = !is_terminal || std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
    if plain { Style::Plain } else { Style::Colour }
}

fn report(error: &Error, format: Format) {
    match format {
        Format::Human => eprint!("{}", error.render(style())),
        Format::Json => error.json().iter().for_each(|line| println!("{line}")),
    }
}

fn run(args: Args) -> Result<ExitCode, Error> {
    let shared = args.shared;
    let done = Ok(ExitCode::SUCCESS);
    match args.command {
        Command::New { name, template } => new::run(&name, template).and(done),
        Command::Check { file } => {
            let checked = crate::check_file(&file, &options(&shared)?)?;
            warn(&checked, shared.message_format);
            say(
                &format!("{}: no errors, {}", file.display(), plural(checked.warnings.len(), "warning")),
                shared.message_format,
            );
            done
        }
        Command::Train { file, out, resume } => train(&shared, file.as_deref(), out, resume.as_deref()),
        Command::Tune { file, out } => tune(&shared, &file, out),
        Command::Eval { run, on } => {
            let again = Again::open(&run, on.as_deref(), &shared.set)?;
            let mut device = crate::device(shared.device, shared.threads)?;
            let scores = crate::evaluate(&again, &mut *device)?;
            print!("{}", stmc_runtime::score::table(&scores));
            done
        }
        Command::Predict { run, input, out } => {
            let again = Again::without_data(&run, &shared.set)?;
            let mut device = crate::device(shared.device, shared.threads)?;
            let mut inputs = vec![];
            for text in &input {
                let (name, path) = text.split_once('=').ok_or_else(|| {
                    Error::Usage(format!("`--input {text}`: write `--input name=file.npy`"))
                })?;
                inputs.push((
                    name.to_string(),
                    stmc_runtime::predict::read_array(Path::new(path)).map_err(Error::world)?,
                ));
            }
            let outputs = crate::predict(&again, &mut *device, &inputs)?;
            make_folder(&out)?;
            for (name, tensor) in outputs {
                let path = out.join(format!("{name}.npy"));
                stmc_runtime::predict::write_array(&path, &tensor).map_err(Error::world)?;
                println!("{}: {:?}", path.display(), tensor.shape);
            }
            done
        }
        Command::Import { file, torch, map, out } => {
            let compiled = crate::compile_file(&file, &options(&shared)?)?;
            warn(&compiled.checked, shared.message_format);
            let mut device = crate::device(shared.device, shared.threads)?;
            let adopted = compiled.import(&mut *device, &ImportFiles { torch, map, out })?;
            println!("{}\n{}", adopted.text(), adopted.path.display());
            done
        }
        Command::Export { run, to, out } => {
            let format = to.or(crate::Format::of(&out)).ok_or_else(|| {
                Error::Usage(format!(
                    "{}: which format? Say `--to onnx` or `--to safetensors`",
                    out.display()
                ))
            })?;
            let again = Again::without_data(&run, &shared.set)?;
            crate::export(&again, format, &out)?;
            println!("{}", out.display());
            done
        }
        Command::Summary { file } => {
            let compiled = crate::compile_file(&file, &options(&shared)?)?;
            warn(&compiled.checked, shared.message_format);
            print!("{}", crate::summary(&compiled));
            done
        }
        Command::Emit { after: Some(pass), .. } if pass == "list" => {
            print(&crate::passes())?;
            done
        }
        Command::Emit { file, after: Some(pass), .. } => {
            print(&crate::emit_after(&file, &options(&shared)?, &pass)?)?;
            done
        }
        Command::Emit { file, stage, target, arch, dir, after: None } => {
            if arch.is_some() && target != Some(Target::Cuda) {
                return Err(Error::Usage("`--arch` is for `--target cuda`".into()));
            }
            emit(&file, &options(&shared)?, stage, target, arch.as_deref(), dir.as_deref())?;
            done
        }
        Command::Bench { file, step: _, samples, json, turns } => {
            let mut device = crate::device(shared.device, shared.threads)?;
            let how = BenchOptions { samples, ..BenchOptions::default() };
            let mut lines = std::io::stdin().lines();
            let mut told = |cost: StepCost| {
                let line = || serde_json::to_string(&cost).expect("a cost is plain data") + "\n";
                print(&if json { line() } else { cost.text() }).ok()?;
                if turns { lines.next()?.ok()?.trim().parse().ok() } else { None }
            };
            crate::bench_in_turns(&file, &options(&shared)?, &mut *device, &how, &mut told)?;
            done
        }
        Command::Profile { file, steps, json } => {
            let mut device = crate::device(shared.device, shared.threads)?;
            let profile = crate::profile(&file, &options(&shared)?, &mut *device, steps)?;
            let line = || serde_json::to_string(&profile).expect("a profile is plain data") + "\n";
            print(&if json { line() } else { profile.text() })?;
            done
        }
        Command::Schema { file } => {
            let schema = crate::schema_of(&file, &options(&shared)?)?;
            println!("{}", serde_json::to_string_pretty(&schema).expect("a schema is plain data"));
            done
        }
        Command::Step { file, weights, batch: Some(batch), masks, map, steps, out: Some(out) } => {
            let mut device = crate::device(shared.device, shared.threads)?;
            let files = StepFiles { weights, batch, masks, map };
            let results = crate::step(&file, &options(&shared)?, &files, &mut *device, steps)?;
            files::whole(&out, |draft| tensor::write(draft, &results)).map_err(Error::world)?;
            println!("{}: {} tensors", out.display(), results.len());
            done
        }
        Command::Step { file, .. } => {
            for StepInput { name, dtype, axes } in crate::step_inputs(&file, &options(&shared)?)? {
                let axes: Vec<String> =
                    axes.iter().map(|(axis, extent)| format!("{axis}: {extent}")).collect();
                println!("{name}: {}[{}]", dtype.name(), axes.join(", "));
            }
            done
        }
        Command::Fmt { files, check } => {
            let action = if check { fmt::Action::Compare } else { fmt::Action::Write };
            fmt::run(&files, action, shared.message_format)
        }
        Command::Doc { name, html } => doc::run(name.as_deref(), html.as_deref()).and(done),
        Command::Explain { code: None } => {
            let lines = Code::ALL.iter().map(|c| format!("{c}  {}\n", c.title()));
            print(&lines.collect::<String>())?;
            done
        }
        Command::Explain { code: Some(code) } => {
            let found =
                Code::find(&code).ok_or_else(|| Error::Usage(format!("there is no diagnostic `{code}`")))?;
            print(&explanation(found))?;
            done
        }
        Command::Lsp => stmc_lsp::serve_stdio(stmc_lsp::library_folder()).map_err(Error::World).and(done),
        Command::Completions { shell } => shell::completions(shell).and(done),
        Command::Man { out } => shell::manual(out.as_deref()).and(done),
    }
}

/// What a code means, a program that leads to it, and the same put right.
fn explanation(code: Code) -> String {
    let (wrong, right) = code.example();
    let shown = |text: &str| text.lines().map(|l| format!("    {l}\n")).collect::<String>();
    let (title, story) = (code.title(), code.explanation());
    format!(
        "{code}: {title}\n\n{story}\n\nThis leads to it:\n\n{}\nand this does not:\n\n{}",
        shown(wrong),
        shown(right)
    )
}

fn options(shared: &Shared) -> Result<Options, Error> {
    let read = |path: &PathBuf| -> Result<Schema, Error> {
        let named = |e: &dyn std::fmt::Display| Error::World(format!("{}: {e}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|e| named(&crate::front::reason(&e)))?;
        serde_json::from_str(&text).map_err(|e| named(&e))
    };
    let (set, model) = (shared.set.clone(), shared.model.clone());
    Ok(Options { set, schema: shared.schema.as_ref().map(read).transpose()?, model, names: None })
}

fn warn(checked: &Checked, format: Format) {
    match format {
        Format::Human => eprint!("{}", render(&checked.sources, &checked.warnings, style())),
        Format::Json => {
            checked.warnings.iter().for_each(|w| println!("{}", diagnostic_json(&checked.sources, w)));
        }
    }
}

/// A line for people; other programs are not told.
fn say(line: &str, format: Format) {
    if format == Format::Human {
        println!("{line}");
    }
}

fn train(
    shared: &Shared,
    file: Option<&Path>,
    out: Option<PathBuf>,
    resume: Option<&Path>,
) -> Result<ExitCode, Error> {
    let interrupted = stmc_runtime::signals::interrupted().map_err(Error::world)?;
    let options = TrainOptions { out, watch: Watching::Shown, interrupted };
    let mut device = crate::device(shared.device, shared.threads)?;
    let outcome = if let Some(run) = resume {
        if !shared.set.is_empty() {
            return Err(Error::Usage(
                "a run goes on with the settings that it began with; drop `--set`".into(),
            ));
        }
        let again = Again::open(run, None, &[])?;
        crate::resume(&again, &mut *device, &options)?
    } else {
        let file = file.ok_or_else(|| Error::Usage("which file? `stmc train model.stm`".into()))?;
        let compiled = crate::compile_file(file, &self::options(shared)?)?;
        warn(&compiled.checked, shared.message_format);
        compiled.train(&mut *device, &options)?
    };
    Ok(finish(&outcome))
}

fn tune(shared: &Shared, file: &Path, out: Option<PathBuf>) -> Result<ExitCode, Error> {
    let interrupted = stmc_runtime::signals::interrupted().map_err(Error::world)?;
    let options = TrainOptions { out, watch: Watching::Silent, interrupted };
    let mut device = crate::device(shared.device, shared.threads)?;
    let mut told = |trial: &Trial, tuning: &Tuning| {
        let set: Vec<String> = trial.set.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let value = trial
            .value
            .map_or("failed".into(), |x| format!("{}.{} {}", tuning.part, tuning.metric, digits(x)));
        let count = crate::tune::count(tuning);
        say(&format!("trial {} of {count}: {}: {value}", trial.number, set.join(" ")), shared.message_format);
    };
    let tuned = crate::tune(file, &self::options(shared)?, &mut *device, &options, &mut told)?;
    let path = tuned.path.display();
    if tuned.interrupted {
        println!("interrupted; the same command goes on with {path}");
        return Ok(ExitCode::from(130));
    }
    match tuned.best() {
        Some(best) => {
            let set: String =
                best.set.iter().map(|(name, value)| format!(" --set '{name}={value}'")).collect();
            println!(
                "the best is trial {}: {}\n  stmc train {}{set}",
                best.number,
                best.path.display(),
                file.display()
            );
            Ok(ExitCode::SUCCESS)
        }
        None => Err(Error::World(format!("{path}: no trial has a value"))),
    }
}

fn finish(outcome: &Outcome) -> ExitCode {
    let path = outcome.path.display();
    if outcome.ending().is_none() {
        println!("interrupted and saved; go on with `stmc train --resume {path}`");
        return ExitCode::from(130);
    }
    println!("\n{}\n{path}", crate::scores(outcome));
    ExitCode::SUCCESS
}

fn emit(
    file: &Path,
    options: &Options,
    stage: Option<Stage>,
    target: Option<Target>,
    arch: Option<&str>,
    dir: Option<&Path>,
) -> Result<(), Error> {
    let Some(target) = target else {
        return print(&crate::emit_stage(file, options, stage.unwrap_or(Stage::Program))?);
    };
    let mut texts = crate::emit_target(file, options, target)?;
    if let Some(arch) = arch {
        for (name, text) in &mut texts {
            *text = format!("// nvcc -cubin -arch={arch} {name}.cu\n{text}");
        }
    }
    let Some(dir) = dir else {
        let all: Vec<String> = texts.iter().map(|(name, text)| format!("// {name}\n{text}\n")).collect();
        return print(&all.concat());
    };
    make_folder(dir)?;
    for (name, text) in &texts {
        let path = dir.join(format!("{name}.{}", target.extension()));
        std::fs::write(&path, text).map_err(|e| unwritable(&path, &e))?;
    }
    println!("{}: {}", dir.display(), plural(texts.len(), "kernel"));
    Ok(())
}

fn make_folder(path: &Path) -> Result<(), Error> {
    std::fs::create_dir_all(path).map_err(|e| unwritable(path, &e))
}

fn unwritable(path: &Path, error: &std::io::Error) -> Error {
    Error::World(format!("{}: {}", path.display(), crate::front::reason(error)))
}

/// A reader that closes early (`| head`) is no error.
fn print(text: &str) -> Result<(), Error> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(Error::world(e)),
        _ => Ok(()),
    }
}
