//! A search over the hypers of a file: trials one after the other, each an ordinary run in a folder of its own.
//!
//! `trials.csv` in the search's folder gets a row when a trial is over. Which hypers a trial has follows from the seed and the rows
//! before it, so a search that was broken off goes on as if nothing had happened.
mod choose;

use crate::front::{self, Options};
use crate::run::{self, Again, TrainOptions};
use crate::{Error, Outcome};
use std::io::Write;
use std::path::{Path, PathBuf};
use stmc_ir::Device;
use stmc_model::{Search, Tuning};
use stmc_runtime::folder::{self, Mark};

/// The table of a search.
const TABLE: &str = "trials.csv";

/// A trial that is over.
#[derive(Clone, PartialEq, Debug)]
pub struct Trial {
    /// Counted from 1.
    pub number: usize,
    /// The hypers, as `--set` takes them.
    pub set: Vec<(String, String)>,
    /// What is minimised or maximised. `None`: the trial failed, or it has no value.
    pub value: Option<f64>,
    /// Its run.
    pub path: PathBuf,
}

/// A search, over or interrupted.
#[derive(Clone, PartialEq, Debug)]
pub struct Tuned {
    /// Its folder.
    pub path: PathBuf,
    /// What was searched.
    pub tuning: Tuning,
    /// In the order of their numbers.
    pub trials: Vec<Trial>,
    /// It was interrupted; it goes on when it is begun again.
    pub interrupted: bool,
}

impl Tuned {
    /// The best trial, the first of equals. `None`: none has a value.
    pub fn best(&self) -> Option<&Trial> {
        let scored = self.trials.iter().filter_map(|t| Some((t, choose::cost(&self.tuning, t.value?))));
        scored.min_by(|a, b| a.1.total_cmp(&b.1)).map(|(trial, _)| trial)
    }
}

/// Searches as the file's `tune` block says. `told` hears of each trial when it is over. Where the folder holds a part of the same
/// search already, it goes on.
pub fn tune(
    file: &Path,
    options: &Options,
    device: &mut dyn Device,
    run: &TrainOptions,
    told: &mut dyn FnMut(&Trial, &Tuning),
) -> Result<Tuned, Error> {
    // What is wrong in any case is told before the first trial.
    front::check_file(file, options)?;
    let tuning = front::tuning_of(file, options)?.ok_or_else(|| {
        let missing = "there is no `tune` block, such as `tune { minimize = valid.loss }`";
        Error::Usage(format!("{}: {missing}", file.display()))
    })?;
    let name = file.file_stem().map_or("model".into(), |s| s.to_string_lossy());
    let path = run.out.clone().unwrap_or_else(|| Path::new("runs").join(format!("{name}-tune")));
    let mut table = Table::open(&path, &tuning)?;
    let mut tuned = Tuned { path, tuning, trials: vec![], interrupted: false };
    while let Some(set) = choose::next(&tuned.tuning, &tuned.trials) {
        let number = tuned.trials.len() + 1;
        let path = tuned.path.join(format!("trial-{number:03}"));
        let trial = Trial { number, set, value: None, path };
        let trial = match table.known(&trial)? {
            Some(value) => Trial { value, ..trial },
            None => match attempt(file, options, &mut *device, run, &trial)? {
                Attempt::Interrupted => {
                    tuned.interrupted = true;
                    return Ok(tuned);
                }
                attempt => {
                    let value = attempt.value(&tuned.tuning);
                    let trial = Trial { value, ..trial };
                    table.add(&trial)?;
                    told(&trial, &tuned.tuning);
                    trial
                }
            },
        };
        tuned.trials.push(trial);
    }
    Ok(tuned)
}

/// How a trial went.
enum Attempt {
    Over(Box<Outcome>),
    Interrupted,
    /// The program does not hold for these hypers, or the training diverged.
    Failed,
}

impl Attempt {
    /// The value that is looked at. `None`: there is none, or it is no number.
    fn value(&self, tuning: &Tuning) -> Option<f64> {
        let Attempt::Over(outcome) = self else { return None };
        let part = outcome.scores.iter().find(|(part, _)| *part == tuning.part)?;
        let score = part.1.iter().find(|s| s.name == tuning.metric)?;
        score.number().filter(|x| x.is_finite())
    }
}

/// Trains with the hypers of a trial, or goes on with a training that was interrupted.
fn attempt(
    file: &Path,
    options: &Options,
    device: &mut dyn Device,
    run: &TrainOptions,
    trial: &Trial,
) -> Result<Attempt, Error> {
    let set = options.set.iter().cloned().chain(trial.set.iter().map(|(n, v)| format!("{n}={v}")));
    let options = Options { set: set.collect(), ..options.clone() };
    let train = TrainOptions { out: Some(trial.path.clone()), ..run.clone() };
    let saved = folder::state(&trial.path, Mark::Last).map_err(Error::world)?;
    let result = match saved {
        Some(_) => Again::open(&trial.path, None, &[]).and_then(|again| run::resume(&again, device, &train)),
        None => {
            // A run that saved nothing begins anew.
            if trial.path.exists() {
                std::fs::remove_dir_all(&trial.path).map_err(|e| failed(&trial.path, &e))?;
            }
            front::compile_file(file, &options).and_then(|compiled| compiled.train(device, &train))
        }
    };
    match result {
        Ok(outcome) if outcome.ending().is_none() => Ok(Attempt::Interrupted),
        Ok(outcome) => Ok(Attempt::Over(Box::new(outcome))),
        Err(Error::Program { .. }) => Ok(Attempt::Failed),
        Err(other) => Err(other),
    }
}

/// `trials.csv`: the trials that are over.
struct Table {
    path: PathBuf,
    /// The rows that were there, without the head.
    rows: Vec<String>,
}

impl Table {
    /// The table of a folder, made if new.
    fn open(folder: &Path, tuning: &Tuning) -> Result<Table, Error> {
        let path = folder.join(TABLE);
        let head = row(["trial"]
            .into_iter()
            .chain(tuning.domains.iter().map(|d| d.0.as_str()))
            .chain([format!("{}.{}", tuning.part, tuning.metric).as_str()]));
        if !path.exists() {
            std::fs::create_dir_all(folder).map_err(|e| failed(folder, &e))?;
            std::fs::write(&path, format!("{head}\n")).map_err(|e| failed(&path, &e))?;
        }
        let text = std::fs::read_to_string(&path).map_err(|e| failed(&path, &e))?;
        let mut rows = text.lines().map(str::to_string);
        let table = Table { path, rows: vec![] };
        match rows.next() {
            Some(first) if first == head => Ok(Table { rows: rows.collect(), ..table }),
            _ => Err(table.other()),
        }
    }

    /// The value of a trial that is over. `None`: it is not.
    fn known(&self, trial: &Trial) -> Result<Option<Option<f64>>, Error> {
        let Some(found) = self.rows.get(trial.number - 1) else { return Ok(None) };
        let value = found.rsplit(',').next().expect("a split has a piece");
        match found.strip_suffix(value) {
            Some(before) if before == format!("{},", cells(trial)) => Ok(Some(value.parse().ok())),
            _ => Err(self.other()),
        }
    }

    fn add(&mut self, trial: &Trial) -> Result<(), Error> {
        let value = trial.value.map_or(String::new(), |x| x.to_string());
        let line = format!("{},{value}", cells(trial));
        let opened = std::fs::OpenOptions::new().append(true).open(&self.path);
        let written = opened.and_then(|mut file| writeln!(file, "{line}"));
        written.map_err(|e| failed(&self.path, &e))?;
        self.rows.push(line);
        Ok(())
    }

    fn other(&self) -> Error {
        let path = self.path.display();
        Error::World(format!("{path} is of another search: give this one another folder with `--out`"))
    }
}

/// How trials are counted: so many, or as many as there are combinations.
pub fn count(tuning: &Tuning) -> usize {
    match tuning.search {
        Search::Grid => choose::combinations(tuning),
        Search::Random(trials) | Search::Tpe(trials) => trials,
    }
}

fn cells(trial: &Trial) -> String {
    let number = trial.number.to_string();
    row([number.as_str()].into_iter().chain(trial.set.iter().map(|(_, value)| value.as_str())))
}

/// A row of a CSV file: what has a comma or a quote stands in quotes.
fn row<'a>(cells: impl Iterator<Item = &'a str>) -> String {
    let quoted = |cell: &str| match cell.contains([',', '"']) {
        true => format!("\"{}\"", cell.replace('"', "\"\"")),
        false => cell.to_string(),
    };
    cells.map(quoted).collect::<Vec<_>>().join(",")
}

fn failed(path: &Path, error: &std::io::Error) -> Error {
    Error::World(format!("{}: {}", path.display(), front::reason(error)))
}
