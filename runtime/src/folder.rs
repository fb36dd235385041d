//! A run directory: what the run was made from, its log, and its checkpoints.
//!
//! ```text
//! config.json            the sources, settings and seed
//! fits.safetensors       what `fit` found in the data; of later phases `fits.2.safetensors` …
//! metrics.jsonl          one line per epoch, and some steps; cut to the checkpoint's length on resume
//! checkpoints/000120/    weights.safetensors  optimizer.safetensors  state.json; average.safetensors where averages are kept;
//!                        an empty file `stays` where `save_every` asked for it
//! last -> checkpoints/000120
//! best -> checkpoints/000080
//! curves.svg             losses and metrics by epoch
//! forecast.gif           at the end, if the model forecasts images
//! ```
//!
//! Invariant: `last` and `best`, once they exist, point to whole checkpoints at every moment. A checkpoint is written under
//! another name, flushed and renamed; then the pointers are switched, each in one step, `best` before `last`: a crash
//! between the two repeats the epoch that made the best weights, and makes them again.
use crate::config::Config;
use crate::error::{Result, RunError};
use crate::files;
use crate::state::State;
use crate::tensor::{self, Named};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// An open run directory. No other process can open it to write meanwhile.
pub struct RunFolder {
    path: PathBuf,
    log: File,
}

/// What a checkpoint holds.
#[derive(Clone, PartialEq, Debug)]
pub struct Checkpoint {
    /// By path, in disk order.
    pub weights: Named,
    /// The averages of the weights; empty where none are kept.
    pub averages: Named,
    /// The optimizer's state.
    pub moments: Named,
    /// Where training stood.
    pub state: State,
    /// How long it lives.
    pub life: Life,
}

impl Checkpoint {
    /// The weights as an evaluation uses them: their averages where they are kept.
    pub fn evaluated(&self) -> Named {
        let average = |name: &str| self.averages.iter().find(|a| a.0 == name);
        self.weights.iter().map(|weight| average(&weight.0).unwrap_or(weight).clone()).collect()
    }
}

/// How long a checkpoint lives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Life {
    /// Until no mark names it any more.
    Marked,
    /// As long as the run directory.
    Stays,
}

/// Which checkpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mark {
    /// The newest.
    Last,
    /// The one that `keep` chose.
    Best,
}

const CHECKPOINTS: &str = "checkpoints";
const DRAFT: &str = ".draft";
const CONFIG: &str = "config.json";
const LOG: &str = "metrics.jsonl";
const STATE: &str = "state.json";
const WEIGHTS: &str = "weights.safetensors";
const AVERAGES: &str = "average.safetensors";
const MOMENTS: &str = "optimizer.safetensors";
const STAYS: &str = "stays";

impl Mark {
    fn name(self) -> &'static str {
        match self {
            Mark::Last => "last",
            Mark::Best => "best",
        }
    }
}

impl RunFolder {
    /// Makes the directory of a new run; it must not hold another one.
    pub fn create(path: &Path, config: &Config) -> Result<RunFolder> {
        files::make_folder(path)?;
        if path.join(CONFIG).exists() {
            return Err(RunError::file(path, "there is a run in it; resume it, or choose another directory"));
        }
        files::make_folder(&path.join(CHECKPOINTS))?;
        let log = open_log(path)?;
        let text = serde_json::to_string_pretty(config).expect("a config is plain data");
        files::replace(&path.join(CONFIG), text.as_bytes())?;
        Ok(RunFolder { path: path.into(), log })
    }

    /// Makes `parent/name-1`, or the next number that is free.
    pub fn create_numbered(parent: &Path, name: &str, config: &Config) -> Result<RunFolder> {
        files::make_folder(parent)?;
        for n in 1u32.. {
            let path = parent.join(format!("{name}-{n}"));
            match std::fs::create_dir(&path) {
                Ok(()) => return RunFolder::create(&path, config),
                Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
                Err(e) => return Err(RunError::file(&path, e)),
            }
        }
        unreachable!("some number is free")
    }

    /// Opens the directory of a run to go on with it, and clears away what a crash left behind.
    pub fn open(path: &Path) -> Result<RunFolder> {
        config(path)?;
        let folder = RunFolder { path: path.into(), log: open_log(path)? };
        folder.sweep()?;
        Ok(folder)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds a line to the log.
    pub fn append(&mut self, line: &serde_json::Value) -> Result<()> {
        let path = self.path.join(LOG);
        self.log.write_all(format!("{line}\n").as_bytes()).map_err(|e| RunError::file(&path, e))
    }

    /// Cuts the log to what belongs to a checkpoint.
    pub fn cut_log(&mut self, bytes: u64) -> Result<()> {
        self.log.set_len(bytes).map_err(|e| RunError::file(&self.path.join(LOG), e))
    }

    /// Saves a checkpoint as the last one; with `Mark::Best` as the best one too. `checkpoint.state.log_bytes` is set here.
    pub fn save(&mut self, checkpoint: &mut Checkpoint, mark: Mark) -> Result<()> {
        let length = self.log.sync_all().and_then(|()| self.log.metadata());
        checkpoint.state.log_bytes = length.map_err(|e| RunError::file(&self.path.join(LOG), e))?.len();
        let target = self.write_version(checkpoint)?;
        if mark == Mark::Best {
            files::point(&self.path.join(mark.name()), &target)?;
        }
        files::point(&self.path.join(Mark::Last.name()), &target)?;
        self.sweep()
    }

    fn write_version(&self, checkpoint: &Checkpoint) -> Result<String> {
        let all = self.path.join(CHECKPOINTS);
        let draft = all.join(DRAFT);
        let written = write_checkpoint(&draft, checkpoint).and_then(|()| {
            let name = unused(&all, &format!("{:06}", checkpoint.state.step));
            files::rename(&draft, &all.join(&name))?;
            files::sync_folder(&all)?;
            Ok(format!("{CHECKPOINTS}/{name}"))
        });
        if written.is_err() {
            // Gives the space back; the first error is the one to report.
            let _ = std::fs::remove_dir_all(&draft);
        }
        written
    }

    /// Removes drafts, and checkpoints that no pointer names and that are not to stay.
    fn sweep(&self) -> Result<()> {
        let kept: Vec<PathBuf> = [Mark::Last, Mark::Best]
            .iter()
            .filter_map(|m| files::pointed(&self.path.join(m.name())))
            .collect();
        let all = self.path.join(CHECKPOINTS);
        let entries = std::fs::read_dir(&all).map_err(|e| RunError::file(&all, e))?;
        for entry in entries {
            let entry = entry.map_err(|e| RunError::file(&all, e))?;
            let stays = entry.path().join(STAYS).exists() && entry.file_name() != DRAFT;
            if !stays && !kept.contains(&Path::new(CHECKPOINTS).join(entry.file_name())) {
                files::remove_folder(&entry.path())?;
            }
        }
        Ok(())
    }
}

/// What the run in a directory was made from.
pub fn config(path: &Path) -> Result<Config> {
    let file = path.join(CONFIG);
    if !file.exists() {
        return Err(RunError::file(path, "there is no run in it (no config.json)"));
    }
    serde_json::from_str(&files::read_text(&file)?).map_err(|e| RunError::file(&file, e))
}

/// Reads a checkpoint. `None`: the run has none under this mark.
pub fn load(path: &Path, mark: Mark) -> Result<Option<Checkpoint>> {
    let Some(folder) = checkpoint_folder(path, mark) else { return Ok(None) };
    let (state, averages) = (folder.join(STATE), folder.join(AVERAGES));
    Ok(Some(Checkpoint {
        weights: tensor::read(&folder.join(WEIGHTS))?,
        averages: if averages.exists() { tensor::read(&averages)? } else { vec![] },
        moments: tensor::read(&folder.join(MOMENTS))?,
        life: if folder.join(STAYS).exists() { Life::Stays } else { Life::Marked },
        state: read_state(&state)?,
    }))
}

/// Where training stood at a checkpoint. `None`: the run has none under this mark.
pub fn state(path: &Path, mark: Mark) -> Result<Option<State>> {
    let Some(folder) = checkpoint_folder(path, mark) else { return Ok(None) };
    read_state(&folder.join(STATE)).map(Some)
}

fn read_state(file: &Path) -> Result<State> {
    serde_json::from_str(&files::read_text(file)?).map_err(|e| RunError::file(file, e))
}

/// The checkpoint that is the result of a run so far: the best of the phase that it has come to, else the last.
pub fn kept(path: &Path) -> Result<Checkpoint> {
    let last = load(path, Mark::Last)?.ok_or_else(|| RunError::file(path, "nothing was saved yet"))?;
    let best = load(path, Mark::Best)?.filter(|best| best.state.phase == last.state.phase);
    Ok(best.unwrap_or(last))
}

/// The lines of a run's log.
pub fn read_log(path: &Path) -> Result<Vec<serde_json::Value>> {
    let file = path.join(LOG);
    let parse = |line: &str| serde_json::from_str(line).map_err(|e| RunError::file(&file, e));
    files::read_text(&file)?.lines().map(parse).collect()
}

fn checkpoint_folder(path: &Path, mark: Mark) -> Option<PathBuf> {
    Some(path.join(files::pointed(&path.join(mark.name()))?))
}

fn write_checkpoint(folder: &Path, checkpoint: &Checkpoint) -> Result<()> {
    files::remove_folder(folder)?;
    files::make_folder(folder)?;
    tensor::write(&folder.join(WEIGHTS), &checkpoint.weights)?;
    tensor::write(&folder.join(MOMENTS), &checkpoint.moments)?;
    if !checkpoint.averages.is_empty() {
        tensor::write(&folder.join(AVERAGES), &checkpoint.averages)?;
    }
    if checkpoint.life == Life::Stays {
        files::replace(&folder.join(STAYS), &[])?;
    }
    let state = serde_json::to_string_pretty(&checkpoint.state).expect("a state is plain data");
    files::replace(&folder.join(STATE), state.as_bytes())
}

/// A resumed run may come to the same step again while `best` still points to the checkpoint made before.
fn unused(folder: &Path, name: &str) -> String {
    let numbered = (2..).map(|n| format!("{name}-{n}"));
    std::iter::once(name.to_string())
        .chain(numbered)
        .find(|n| !folder.join(n).exists())
        .expect("some name is free")
}

fn open_log(path: &Path) -> Result<File> {
    let file = path.join(LOG);
    let log = OpenOptions::new().create(true).read(true).append(true).open(&file);
    let log = log.map_err(|e| RunError::file(&file, e))?;
    match log.try_lock() {
        Ok(()) => Ok(log),
        Err(TryLockError::WouldBlock) => Err(RunError::file(path, "another process is writing this run")),
        // File systems without locks exist; the lock only guards against a mistake.
        Err(TryLockError::Error(_)) => Ok(log),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::crash;
    use crate::tensor::Tensor;
    use serde_json::json;

    fn checkpoint(step: u64) -> Checkpoint {
        let tensor = Tensor::floats(vec![4], [step as f32; 4]);
        let state = State { step, ..State::default() };
        Checkpoint {
            weights: vec![("w".into(), tensor.clone())],
            averages: vec![],
            moments: vec![("m.w".into(), tensor)],
            state,
            life: Life::Marked,
        }
    }

    /// The checkpoint under a mark, which must be whole and of one piece.
    fn step_of(path: &Path, mark: Mark) -> u64 {
        let mut found = load(path, mark).unwrap().expect("a checkpoint was saved");
        let expected = checkpoint(found.state.step);
        assert!(found.state.log_bytes <= std::fs::metadata(path.join(LOG)).unwrap().len());
        found.state.log_bytes = 0;
        assert_eq!(found, expected);
        found.state.step
    }

    #[test]
    fn a_crash_at_any_moment_leaves_whole_checkpoints() {
        let mut changes = 0;
        loop {
            let place = tempfile::tempdir().unwrap();
            let path = place.path().join("run");
            let mut folder = RunFolder::create(&path, &Config::default()).unwrap();
            folder.append(&json!({ "step": 1 })).unwrap();
            folder.save(&mut checkpoint(1), Mark::Best).unwrap();
            folder.append(&json!({ "step": 2 })).unwrap();
            let crashed = crash::within(changes, || folder.save(&mut checkpoint(2), Mark::Best).unwrap());
            let (best, last) = (step_of(&path, Mark::Best), step_of(&path, Mark::Last));
            assert!(best >= last, "change {changes}: the best is {best}, the last {last}");
            // Another process goes on.
            drop(folder);
            let mut folder = RunFolder::open(&path).unwrap();
            folder.cut_log(load(&path, Mark::Last).unwrap().unwrap().state.log_bytes).unwrap();
            assert_eq!(read_log(&path).unwrap().len() as u64, last);
            assert!(!path.join(CHECKPOINTS).join(".draft").exists());
            folder.save(&mut checkpoint(2), Mark::Best).unwrap();
            assert_eq!((step_of(&path, Mark::Best), step_of(&path, Mark::Last)), (2, 2));
            if !crashed {
                assert_eq!(last, 2);
                break;
            }
            changes += 1;
        }
        assert!(changes > 10, "a save changes the disk more often than {changes} times");
    }

    #[test]
    fn what_lies_about_is_cleared_away() {
        let place = tempfile::tempdir().unwrap();
        let mut folder = RunFolder::create(place.path(), &Config::default()).unwrap();
        for (step, mark) in [(1, Mark::Best), (2, Mark::Last), (3, Mark::Last)] {
            folder.save(&mut checkpoint(step), mark).unwrap();
        }
        let mut kept: Vec<_> = std::fs::read_dir(place.path().join(CHECKPOINTS))
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        kept.sort();
        assert_eq!(kept, ["000001", "000003"]);
        assert_eq!((step_of(place.path(), Mark::Best), step_of(place.path(), Mark::Last)), (1, 3));
    }
}
