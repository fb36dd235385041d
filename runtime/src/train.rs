//! The training loop. What a step computes is the program's business; here is when to run which entry, what to log, when to
//! save and when to stop.
//!
//! Invariant: everything that the next step depends on is in the checkpoint, so a resumed run continues bit for bit.
use crate::curves::{self, EpochScores};
use crate::error::{Result, RunError};
use crate::feed::{self, Data, Feed, Stream};
use crate::files;
use crate::folder::{self, Checkpoint, Life, Mark, RunFolder};
use crate::progress::Progress;
use crate::report;
use crate::score::{Score, digits};
use crate::session::{Moment, Session};
use crate::state::{Ending, State};
use crate::tensor::Named;
use crate::update::{Applied, Update};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use stmc_base::{Code, Diagnostic, Span};
use stmc_data::Position;
use stmc_ir::Precision;
use stmc_ir::module::{OutputRole, Resets, Train, Watch};
use stmc_ir::program::BufferId;

/// A training run.
pub struct Trainer<'s, 'a> {
    session: &'s mut Session<'a>,
    train: &'a Train,
    data: Data,
    folder: RunFolder,
    state: State,
    feeds: Feeds,
    update: Update,
    terms: Vec<Term>,
    progress: Progress,
    interrupted: Arc<AtomicBool>,
    began: Instant,
    saved: Instant,
    history: Vec<EpochScores>,
    /// The learning rate of the last update. `None`: there was none in this process, or the rule has no rate.
    rate: Option<f64>,
    phases: u64,
}

/// How a run went.
#[derive(Clone, PartialEq, Debug)]
pub struct Outcome {
    /// Where its results lie.
    pub path: PathBuf,
    /// Where it stands.
    pub state: State,
    /// Metrics of the parts that were left, with the weights that were kept. Empty: it was interrupted.
    pub scores: Vec<(String, Vec<Score>)>,
}

/// How a phase of a run ended.
pub enum Leg {
    /// It was the last one, or it was interrupted.
    Over(Box<Outcome>),
    /// Another phase follows.
    Next(Box<Handed>),
}

/// What a phase hands to the next one.
pub struct Handed {
    folder: RunFolder,
    /// The weights that it kept, and what belongs to them.
    kept: Checkpoint,
    /// Where the run stands.
    state: State,
}

/// What a run is told besides the program.
#[derive(Clone)]
pub struct Options {
    /// Ask it to finish its step, save and return.
    pub interrupted: Arc<AtomicBool>,
    /// Whether a person watches.
    pub watch: Watching,
    /// Phases of the run, at least one.
    pub phases: u64,
}

/// Who watches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Watching {
    /// A person, or a log.
    Shown,
    /// Nobody.
    Silent,
}

struct Feeds {
    train: Feed,
    /// By part: those that are evaluated after every epoch.
    epoch: Vec<(String, Feed)>,
    /// Evaluated at the end.
    test: Option<Feed>,
}

struct Term {
    name: String,
    span: Span,
    buffer: BufferId,
}

/// A long epoch is saved in between.
const SAVE_EVERY: Duration = Duration::from_secs(300);
/// Lines of the log per epoch, besides its own.
const LINES_PER_EPOCH: usize = 10;
/// Evaluated after every epoch.
const VALID: &str = "valid";
/// Evaluated at the end.
const TEST: &str = "test";

impl<'s, 'a> Trainer<'s, 'a> {
    /// A new run: fits what the data need, and saves the first weights.
    pub fn begin(
        session: &'s mut Session<'a>,
        data: &Data,
        folder: RunFolder,
        options: &Options,
    ) -> Result<Trainer<'s, 'a>> {
        Trainer::first(session, data, folder, State::default(), options)
    }

    /// The next phase of a run. The session is that of the phase's own program.
    pub fn next(
        session: &'s mut Session<'a>,
        data: &Data,
        handed: Handed,
        options: &Options,
    ) -> Result<Trainer<'s, 'a>> {
        let Handed { folder, kept, state } = handed;
        let resets = session.module.train.as_ref().map_or(Resets::default(), |t| t.resets);
        session.set_weights(&kept.weights)?;
        session.set_averages(&kept.averages)?;
        if !resets.rules {
            session.set_moments(&kept.moments)?;
        }
        if !resets.schedules {
            session.schedules.restore(&state.schedules);
        }
        Trainer::first(session, data, folder, state.next_phase(kept.state.clock, resets), options)
    }

    /// The beginning of a phase.
    fn first(
        session: &'s mut Session<'a>,
        data: &Data,
        folder: RunFolder,
        state: State,
        options: &Options,
    ) -> Result<Trainer<'s, 'a>> {
        keep_fits(session, data, folder.path(), state.phase)?;
        let mut trainer = Trainer::new(session, data, folder, state, options)?;
        trainer.save(Mark::Last, Life::Marked)?;
        Ok(trainer)
    }

    /// Goes on from the last checkpoint of a run.
    pub fn resume(
        session: &'s mut Session<'a>,
        data: &Data,
        mut folder: RunFolder,
        options: &Options,
    ) -> Result<Trainer<'s, 'a>> {
        let nothing = || RunError::file(folder.path(), "nothing was saved yet; start the run anew");
        let checkpoint = folder::load(folder.path(), Mark::Last)?.ok_or_else(nothing)?;
        restore_fits(data, folder.path(), checkpoint.state.phase)?;
        session.set_weights(&checkpoint.weights)?;
        session.set_averages(&checkpoint.averages)?;
        session.set_moments(&checkpoint.moments)?;
        session.schedules.restore(&checkpoint.state.schedules);
        folder.cut_log(checkpoint.state.log_bytes)?;
        Trainer::new(session, data, folder, checkpoint.state, options)
    }

    fn new(
        session: &'s mut Session<'a>,
        data: &Data,
        folder: RunFolder,
        mut state: State,
        options: &Options,
    ) -> Result<Trainer<'s, 'a>> {
        let module = session.module;
        let train =
            module.train.as_ref().ok_or_else(|| RunError::Tensor("there is no `train` block".into()))?;
        if !matches!(state.ending, Some(Ending::Stalled | Ending::Overfits)) {
            state.ending = (state.done >= train.steps as u64).then_some(Ending::Done);
        }
        let feeds = Feeds::new(session, data, train)?;
        let update = Update::new(session)?;
        let terms = session.at(feeds.train.entry).outputs.iter().filter_map(|port| match &port.role {
            OutputRole::Loss { name, span } => {
                Some(Term { name: name.clone(), span: *span, buffer: port.buffer })
            }
            _ => None,
        });
        let phase = match options.phases {
            0 | 1 => String::new(),
            n => format!("phase {} of {n}, ", state.phase + 1),
        };
        let progress = match options.watch {
            Watching::Shown => Progress::new(phase, state.done, train.steps as u64),
            Watching::Silent => Progress::silent(phase, state.done, train.steps as u64),
        };
        let history = history(&folder::read_log(folder.path())?, train);
        let now = Instant::now();
        Ok(Trainer {
            terms: terms.collect(),
            rate: None,
            session,
            train,
            data: data.clone(),
            folder,
            state,
            feeds,
            update,
            progress,
            interrupted: options.interrupted.clone(),
            began: now,
            saved: now,
            history,
            phases: options.phases,
        })
    }

    /// Trains until all steps of the phase are done, `stop` says so, or an interrupt asks for it.
    pub fn run(mut self) -> Result<Leg> {
        let before = self.state.seconds;
        while self.state.ending.is_none() {
            if !self.epoch(before)? {
                self.progress.finish();
                self.save(Mark::Last, Life::Marked)?;
                let path = self.folder.path().to_path_buf();
                let outcome = Outcome { path, state: self.state, scores: vec![] };
                return Ok(Leg::Over(Box::new(outcome)));
            }
        }
        self.progress.finish();
        if self.state.phase + 1 < self.phases {
            let kept = folder::kept(self.folder.path())?;
            return Ok(Leg::Next(Box::new(Handed { folder: self.folder, kept, state: self.state })));
        }
        let scores = self.final_scores()?;
        let path = self.folder.path().to_path_buf();
        Ok(Leg::Over(Box::new(Outcome { path, state: self.state, scores })))
    }

    /// Runs the rest of an epoch. Whether it came to its end, and not to an interrupt.
    fn epoch(&mut self, before: f64) -> Result<bool> {
        let accumulate = self.train.accumulate.max(1);
        let from =
            Position { epoch: self.state.epoch as usize, batch: self.state.batch as usize * accumulate };
        let left = self.train.steps_per_epoch - self.state.batch as usize;
        let mut stream = self.feeds.train.stream(from, left * accumulate);
        let every = (self.train.steps_per_epoch / LINES_PER_EPOCH).max(1) as u64;
        loop {
            if self.interrupted.load(Ordering::Relaxed) {
                return Ok(false);
            }
            let (terms, applied) = self.update(&mut stream, accumulate)?;
            let closes = self.state.advance(self.train, &terms, applied);
            self.state.seconds = before + self.began.elapsed().as_secs_f64();
            self.progress.step(self.state.epoch, self.state.done, terms.iter().sum());
            if self.state.batch.is_multiple_of(every) {
                self.log_step(&terms)?;
            }
            let stays = self.train.save_every.is_some_and(|n| self.state.step.is_multiple_of(n as u64));
            let life = if stays { Life::Stays } else { Life::Marked };
            if closes {
                self.close_epoch(life)?;
                return Ok(true);
            }
            if stays || self.saved.elapsed() > SAVE_EVERY {
                self.save(Mark::Last, life)?;
            }
        }
    }

    /// One update. The terms of the loss before it, means over its micro-steps.
    fn update(&mut self, stream: &mut Stream, accumulate: usize) -> Result<(Vec<f64>, Applied)> {
        let (step, clock) = (self.state.step, self.state.clock);
        let moment = |micro: usize| {
            let pass = (step * accumulate as u64 + micro as u64) as u32;
            Moment { step: clock.schedules, updates: clock.rules, pass }
        };
        let mut terms = vec![0.0; self.terms.len()];
        for micro in 0..accumulate {
            let batch = stream.next(self.session)?;
            batch.expect("an epoch has as many batches as its updates need");
            self.session.run(self.feeds.train.entry, moment(micro))?;
            for (sum, term) in terms.iter_mut().zip(&self.terms) {
                let value = self.session.number(term.buffer)?;
                if !value.is_finite() {
                    return Err(not_a_number(term, value, &self.state, self.train.precision).into());
                }
                *sum += value / accumulate as f64;
            }
            self.update.accumulate(self.session, moment(micro))?;
        }
        // The rate that this update has, before schedules go on.
        let rate = self.session.rate(clock.schedules);
        let applied = self.update.apply(self.session, moment(0))?;
        match (applied, self.session.schedules.loss_scale()) {
            (Applied::Made, _) => self.rate = rate,
            (Applied::Skipped, Some((scale, _))) if scale < LEAST_SCALE => {
                return Err(hopeless(&self.terms[0], &self.state).into());
            }
            (Applied::Skipped, _) => {}
        }
        Ok((terms, applied))
    }

    fn close_epoch(&mut self, life: Life) -> Result<()> {
        let means = self.state.means();
        let parts = self.feeds.epoch.iter();
        let scores: Result<Vec<(String, Vec<Score>)>> = parts
            .map(|(part, feed)| {
                let step = self.state.clock.schedules;
                let scores = feed::scores(self.session, feed, &self.train.metrics, step)?;
                Ok((part.clone(), scores))
            })
            .collect();
        let scores = scores?;
        for watch in &self.train.watched {
            if let Some(value) = watched(watch, &scores) {
                self.session.schedules.observe(watch, value);
            }
        }
        let best = self.state.close_epoch(self.train, |watch| watched(watch, &scores));
        self.log_epoch(&means, &scores)?;
        self.save(if best { Mark::Best } else { Mark::Last }, life)?;
        let valid = scores.into_iter().find(|s| s.0 == VALID).map_or(vec![], |s| s.1);
        self.progress.epoch(self.state.epoch, self.state.done, &summary(means.iter().sum(), &valid));
        self.history.push(EpochScores { epoch: self.state.epoch, train_loss: means.iter().sum(), valid });
        let text = curves::svg(&curves::panels(&self.history));
        files::replace(&self.folder.path().join("curves.svg"), text.as_bytes())
    }

    /// Takes the weights that were kept, and evaluates the parts that were not used.
    fn final_scores(&mut self) -> Result<Vec<(String, Vec<Score>)>> {
        let kept = report::load_kept(self.session, self.folder.path())?;
        let step = kept.clock.schedules;
        let metrics = &self.train.metrics;
        let valid = self.feeds.epoch.iter().filter(|f| f.0 == VALID).map(|f| (&f.0[..], &f.1));
        let feeds = valid.chain(self.feeds.test.iter().map(|f| (TEST, f)));
        let mut scores = vec![];
        for (part, feed) in feeds {
            scores.push((part.to_string(), feed::scores(self.session, feed, metrics, step)?));
        }
        let parts = scores.iter().map(|(part, scores)| (part.clone(), score_values(scores)));
        let line = json!({ "final": Map::from_iter(parts), "step": kept.step });
        self.folder.append(&line)?;
        self.film(step)?;
        Ok(scores)
    }

    /// A forecast for a sample that the model has not seen, if it forecasts images.
    fn film(&mut self, step: u64) -> Result<()> {
        for part in [TEST, VALID] {
            if let Some(film) = report::film(self.session, &self.data, part, step)? {
                let path = self.folder.path().join("forecast.gif");
                let bytes = film.encode().map_err(|e| RunError::file(&path, e))?;
                return files::replace(&path, &bytes);
            }
        }
        Ok(())
    }

    fn log_step(&mut self, terms: &[f64]) -> Result<()> {
        let state = &self.state;
        let mut line = json!({ "step": state.step, "epoch": state.epoch, "loss": terms.iter().sum::<f64>(), "seconds": state.seconds });
        self.describe(&mut line, terms);
        self.folder.append(&line)
    }

    fn log_epoch(&mut self, means: &[f64], scores: &[(String, Vec<Score>)]) -> Result<()> {
        let state = &self.state;
        let mut line = json!({ "epochs": state.epoch, "step": state.step, "train_loss": means.iter().sum::<f64>(), "seconds": state.seconds });
        self.describe(&mut line, means);
        for (part, scores) in scores {
            line[part] = score_values(scores);
        }
        self.folder.append(&line)
    }

    /// The learning rate of the last update, the loss scale, and the terms of the loss if there are several.
    fn describe(&self, line: &mut Value, terms: &[f64]) {
        if self.phases > 1 {
            line["phase"] = (self.state.phase + 1).into();
        }
        if let Some(rate) = self.rate {
            line["rate"] = rate.into();
        }
        if let Some((scale, skipped)) = self.session.schedules.loss_scale() {
            line["scale"] = scale.into();
            line["skipped"] = (skipped as u64).into();
        }
        if terms.len() > 1 {
            let named = self.terms.iter().zip(terms).map(|(term, x)| (term.name.clone(), Value::from(*x)));
            line["terms"] = Value::Object(named.collect());
        }
    }

    fn save(&mut self, mark: Mark, life: Life) -> Result<()> {
        let weights = self.session.weights()?;
        self.check_weights(&weights)?;
        let (averages, moments) = (self.session.averages()?, self.session.moments()?);
        self.state.schedules = self.session.schedules.saved();
        let mut checkpoint = Checkpoint { weights, averages, moments, state: self.state.clone(), life };
        self.folder.save(&mut checkpoint, mark)?;
        self.state = checkpoint.state;
        self.saved = Instant::now();
        Ok(())
    }

    /// A checkpoint with a NaN in it would be good for nothing.
    fn check_weights(&self, weights: &Named) -> Result<()> {
        let broken = weights
            .iter()
            .zip(&self.session.module.params)
            .find(|(w, _)| w.1.numbers().any(|x| !x.is_finite()));
        let Some(((path, _), param)) = broken else { return Ok(()) };
        let message = format!("the weight `{path}` is no longer a number after step {}", self.state.step);
        Err(Diagnostic::new(Code::E0806, param.span, message).help(REMEDY).into())
    }
}

impl Feeds {
    fn new(session: &mut Session<'_>, data: &Data, train: &Train) -> Result<Feeds> {
        let mut epoch = vec![];
        for part in watched_parts(train) {
            if let Some(feed) = feed::evaluation(session, data, "eval", &part)? {
                epoch.push((part, feed));
            }
        }
        let test = feed::evaluation(session, data, "eval", TEST)?;
        Ok(Feeds { train: feed::training(session, data, train)?, epoch, test })
    }
}

/// What `fit` found in the data of a phase.
fn fits_file(phase: u64) -> String {
    match phase {
        0 => "fits.safetensors".into(),
        n => format!("fits.{}.safetensors", n + 1),
    }
}

/// Fits what the data of a phase need, and keeps it.
pub(crate) fn keep_fits(
    session: &mut Session<'_>,
    data: &Data,
    run: &std::path::Path,
    phase: u64,
) -> Result<()> {
    let fitted = feed::fit(session, data)?;
    if fitted.is_empty() { Ok(()) } else { crate::tensor::write(&run.join(fits_file(phase)), &fitted) }
}

/// Fitted values as they were when the phase began.
pub fn restore_fits(data: &Data, run: &std::path::Path, phase: u64) -> Result<()> {
    feed::restore_fits(data, &read_fits(run, phase)?)
}

/// Fitted values of a phase of a run, by name.
pub fn read_fits(run: &std::path::Path, phase: u64) -> Result<crate::tensor::Named> {
    let file = run.join(fits_file(phase));
    if file.exists() { crate::tensor::read(&file) } else { Ok(vec![]) }
}

/// A loss scale below this one saves no gradient: something else is wrong.
const LEAST_SCALE: f64 = 1.0 / 16384.0;
const REMEDY: &str = "a smaller learning rate or `clip = norm(1.0)` often helps";

fn not_a_number(term: &Term, value: f64, state: &State, precision: Precision) -> Diagnostic {
    let what = if value.is_nan() { "not a number" } else { "infinite" };
    let (step, epoch) = (state.step + 1, state.epoch + 1);
    let message = format!("the loss term `{}` is {what} at step {step}, in epoch {epoch}", term.name);
    let help = match state.step {
        0 => {
            "no update was made yet: look for NaN or huge values in the data, and for `log`, `sqrt` or `/` of zero"
        }
        _ => REMEDY,
    };
    let range = match precision {
        Precision::F16 => "; f16 ends at 65504, `precision = \"bf16\"` has the range of f32",
        _ => "",
    };
    Diagnostic::new(Code::E0806, term.span, message).help(format!("{help}{range}"))
}

/// The gradients of no scale were finite.
fn hopeless(term: &Term, state: &State) -> Diagnostic {
    let (step, epoch) = (state.step + 1, state.epoch + 1);
    let message = format!(
        "the gradient is infinite or not a number at step {step}, in epoch {epoch}, whatever the loss is scaled by"
    );
    let help = "look for `sqrt` and `/` at zero, whose gradient is infinite; `precision = \"bf16\"` has the range of f32";
    Diagnostic::new(Code::E0806, term.span, message).help(help)
}

/// `valid`, and what `stop`, `keep` and schedules watch.
fn watched_parts(train: &Train) -> Vec<String> {
    let watches = train.stop.iter().map(|s| &s.watch).chain(&train.keep).chain(&train.watched);
    let mut parts = vec![VALID.to_string()];
    for watch in watches {
        if !parts.contains(&watch.part) {
            parts.push(watch.part.clone());
        }
    }
    parts
}

fn watched(watch: &Watch, scores: &[(String, Vec<Score>)]) -> Option<f64> {
    let part = scores.iter().find(|s| s.0 == watch.part)?;
    part.1.iter().find(|s| s.name == watch.metric)?.number()
}

fn score_values(scores: &[Score]) -> Value {
    Value::Object(scores.iter().map(|s| (s.name.clone(), s.json())).collect())
}

/// What the line of an epoch says.
fn summary(loss: f64, valid: &[Score]) -> String {
    let numbers = valid.iter().filter_map(|s| Some((s, s.number()?))).take(4);
    let shown = numbers.map(|(s, x)| format!("{} {}", s.name, digits(x)));
    let shown: Vec<String> = shown.collect();
    let valid = if shown.is_empty() { String::new() } else { format!("; valid {}", shown.join(", ")) };
    format!("train loss {}{valid}", digits(loss))
}

/// The epochs of a log, for the curves of a resumed run.
fn history(log: &[Value], train: &Train) -> Vec<EpochScores> {
    let units: BTreeMap<&str, &Option<String>> =
        train.metrics.iter().map(|m| (&m.name[..], &m.unit)).collect();
    let score = |name: &str, value: f64| Score {
        name: name.into(),
        unit: units.get(name).and_then(|u| (*u).clone()),
        axes: vec![],
        values: vec![value],
    };
    let epoch = |line: &Value| {
        let logged = |name: &str| Some(score(name, line.get(VALID)?.get(name)?.as_f64()?));
        Some(EpochScores {
            epoch: line.get("epochs")?.as_u64()?,
            train_loss: line["train_loss"].as_f64().unwrap_or(f64::NAN),
            valid: train.metrics.iter().filter_map(|m| logged(&m.name)).collect(),
        })
    };
    log.iter().filter_map(epoch).collect()
}

impl Outcome {
    /// Whether it is over, and why. `None`: it was interrupted.
    pub fn ending(&self) -> Option<Ending> {
        self.state.ending
    }
}
