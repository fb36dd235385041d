//! Where training stands: with the weights and moments, everything that the next step depends on. Early stopping and the
//! choice of the best weights are functions of it.
use crate::update::Applied;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use stmc_ir::module::{Resets, Train, Watch};

/// How far training has come.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct State {
    /// Updates done, skipped ones among them.
    pub step: u64,
    /// The phase that the next update belongs to, from 0.
    pub phase: u64,
    /// Updates done in it.
    pub done: u64,
    /// Updates since schedules and rules began, which a phase may have them do anew.
    pub clock: Clock,
    /// The epoch that the next update belongs to, from 0; phases go on counting.
    pub epoch: u64,
    /// Updates done in it: the position in the order of samples.
    pub batch: u64,
    /// Sums of the loss terms over those updates.
    pub sums: Vec<f64>,
    /// Which weights are the result so far. `None`: nothing was compared yet.
    pub best: Option<Best>,
    /// Best value of what `stop` watches.
    pub stop_best: Option<f64>,
    /// Epochs since then.
    pub stalled: u64,
    /// How far what `stop` watches lay above the training loss in the last epochs, where that matters; the oldest first.
    #[serde(default)]
    pub gaps: Vec<f64>,
    /// What schedules carry and watch, by name: numbers that keep every bit, infinity among them, as text.
    #[serde(default)]
    pub schedules: BTreeMap<String, String>,
    /// Whether no further update is to be made in this phase, and why.
    pub ending: Option<Ending>,
    /// Bytes of `metrics.jsonl` that belong to the steps done.
    pub log_bytes: u64,
    /// Time spent so far. The one thing here that differs from run to run.
    pub seconds: f64,
}

/// What schedules and update rules count.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Clock {
    /// Updates that schedules have seen.
    pub schedules: u64,
    /// Updates that the rules' state has seen.
    pub rules: u64,
}

/// The best weights so far.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Best {
    /// Of what `keep` watches.
    pub value: f64,
    /// Updates that made them.
    pub step: u64,
    /// Epochs that made them.
    pub epoch: u64,
}

/// Why training ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// All steps are done.
    Done,
    /// What `stop` watches no longer improves.
    Stalled,
    /// It lies too far above the training loss.
    Overfits,
}

/// Epochs over which that is averaged.
const GAP_EPOCHS: usize = 5;

impl State {
    /// Counts an update whose loss terms were these. Whether it ended an epoch.
    pub fn advance(&mut self, train: &Train, terms: &[f64], applied: Applied) -> bool {
        self.sums.resize(terms.len(), 0.0);
        for (sum, term) in self.sums.iter_mut().zip(terms) {
            *sum += term;
        }
        self.step += 1;
        self.done += 1;
        if applied == Applied::Made {
            self.clock.schedules += 1;
            self.clock.rules += 1;
        }
        self.batch += 1;
        self.batch >= train.steps_per_epoch as u64 || self.done >= train.steps as u64
    }

    /// The state at the beginning of the next phase, which goes on from weights with this clock. Comparisons begin anew: the
    /// phase may have another task.
    pub fn next_phase(&self, kept: Clock, resets: Resets) -> State {
        let clock = Clock {
            schedules: if resets.schedules { 0 } else { self.clock.schedules },
            rules: if resets.rules { 0 } else { kept.rules },
        };
        let (step, epoch, seconds) = (self.step, self.epoch, self.seconds);
        State { step, epoch, phase: self.phase + 1, clock, seconds, ..State::default() }
    }

    /// Means of the loss terms over the updates of this epoch.
    pub fn means(&self) -> Vec<f64> {
        self.sums.iter().map(|sum| sum / self.batch as f64).collect()
    }

    /// Closes the epoch, given what `stop` and `keep` watch. Whether the weights are the best so far.
    pub fn close_epoch(&mut self, train: &Train, value: impl Fn(&Watch) -> Option<f64>) -> bool {
        let trained: f64 = self.means().iter().sum();
        self.epoch += 1;
        self.batch = 0;
        self.sums.clear();
        if self.done >= train.steps as u64 {
            self.ending = Some(Ending::Done);
        }
        if let Some(stop) = &train.stop
            && let Some(now) = value(&stop.watch)
        {
            if improves(&stop.watch, now, self.stop_best, stop.by) {
                (self.stop_best, self.stalled) = (Some(now), 0);
            } else if self.epoch > stop.after as u64 {
                self.stalled += 1;
            }
            if self.stalled >= stop.epochs as u64 {
                self.ending = self.ending.or(Some(Ending::Stalled));
            }
            if let Some(most) = stop.gap.filter(|_| self.epoch > stop.after as u64) {
                self.gaps.push(now - trained);
                let from = self.gaps.len().saturating_sub(GAP_EPOCHS);
                self.gaps.drain(..from);
                let mean = self.gaps.iter().sum::<f64>() / GAP_EPOCHS as f64;
                if self.gaps.len() == GAP_EPOCHS && mean > most {
                    self.ending = self.ending.or(Some(Ending::Overfits));
                }
            }
        }
        let Some(keep) = &train.keep else { return false };
        let Some(now) = value(keep) else { return false };
        let better = improves(keep, now, self.best.map(|b| b.value), 0.0);
        if better {
            self.best = Some(Best { value: now, step: self.step, epoch: self.epoch });
        }
        better
    }
}

/// What is not finite never improves; anything else improves on nothing.
fn improves(watch: &Watch, now: f64, before: Option<f64>, by: f64) -> bool {
    now.is_finite()
        && match before {
            None => true,
            Some(before) if watch.maximize => now > before + by,
            Some(before) => now < before - by,
        }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stmc_ir::module::Stalled;

    /// Epochs with these values of what `stop` and `keep` watch: where training ends, and which is the best.
    fn check(maximize: bool, values: &[f64], ends_after: u64, best: Option<u64>) {
        check_with((0.0, 0), maximize, values, ends_after, best);
    }

    /// With the least improvement that counts, and the epochs that do not.
    fn check_with(
        (by, after): (f64, usize),
        maximize: bool,
        values: &[f64],
        ends_after: u64,
        best: Option<u64>,
    ) {
        let watch = Watch { part: "valid".into(), metric: "loss".into(), maximize };
        let train = Train {
            stop: Some(Stalled { watch: watch.clone(), epochs: 2, by, after, gap: None }),
            keep: Some(watch),
            steps_per_epoch: 1,
            ..train(values.len())
        };
        let mut state = State::default();
        for value in values {
            assert!(state.advance(&train, &[1.0], Applied::Made));
            // A state goes through its file between any two epochs.
            let text = serde_json::to_string(&state).unwrap();
            assert_eq!(serde_json::from_str::<State>(&text).unwrap(), state);
            state.close_epoch(&train, |_| Some(*value));
            if state.ending.is_some() {
                break;
            }
        }
        assert_eq!((state.epoch, state.best.map(|b| b.epoch)), (ends_after, best), "{values:?}");
    }

    fn train(steps: usize) -> Train {
        let graph = stmc_ir::Graph::default();
        Train {
            batch: 1,
            epochs: steps,
            steps_per_epoch: 1,
            steps,
            seed: 0,
            accumulate: 1,
            clip: None,
            optimizers: vec![stmc_ir::module::Optimizer { name: "None".into(), states: vec![], graph }],
            ema: None,
            start: None,
            save_every: None,
            precision: stmc_ir::Precision::F32,
            loss_scale: None,
            resets: Resets::default(),
            rate: None,
            metrics: vec![],
            stop: None,
            keep: None,
            watched: vec![],
        }
    }

    #[test]
    fn training_ends_where_the_loss_lies_above_that_of_training_for_five_epochs() {
        let watch = Watch { part: "valid".into(), metric: "loss".into(), maximize: false };
        let ends = |gap, after, values: &[f64]| {
            let stop = Stalled { watch: watch.clone(), epochs: 100, by: 0.0, after, gap: Some(gap) };
            let train = Train { stop: Some(stop), ..train(100) };
            let mut state = State::default();
            for value in values {
                state.advance(&train, &[0.75, 0.25], Applied::Made);
                state.close_epoch(&train, |_| Some(*value));
                if state.ending.is_some() {
                    break;
                }
            }
            (state.epoch, state.ending)
        };
        // The training loss is 1 in each epoch.
        let over = Some(Ending::Overfits);
        assert_eq!(ends(0.5, 0, &[2.0; 9]), (5, over));
        assert_eq!(ends(0.5, 2, &[2.0; 9]), (7, over));
        assert_eq!(ends(0.5, 0, &[1.4; 9]), (9, None));
        assert_eq!(ends(0.5, 0, &[0.0, 1.0, 1.0, 1.0, 1.0, 2.0, 3.0, 3.0]), (7, over));
    }

    #[test]
    fn training_ends_after_two_epochs_without_improvement() {
        let (nan, inf) = (f64::NAN, f64::INFINITY);
        // The best is the best, however little better it is.
        check_with((0.5, 0), false, &[3.0, 2.9, 2.8, 2.0], 3, Some(3));
        check_with((0.5, 0), true, &[3.0, 3.6, 3.7, 3.8, 9.0], 4, Some(4));
        check_with((0.0, 3), false, &[1.0, 2.0, 2.0, 2.0, 2.0, 2.0], 5, Some(1));
        check(false, &[3.0, 2.0, 1.0], 3, Some(3));
        check(false, &[3.0, 3.0, 3.0, 1.0], 3, Some(1));
        check(false, &[3.0, 4.0, 2.0, 5.0, 5.0, 1.0], 5, Some(3));
        check(true, &[3.0, 4.0, 2.0, 4.0, 9.0], 4, Some(2));
        check(false, &[nan, inf, 1.0], 2, None);
        check(false, &[inf, 1.0, nan, -inf, 0.0], 4, Some(2));
    }
}
