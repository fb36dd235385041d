//! What schedules carry from update to update, the values of what they watch, and the loss scale: all variables of run-time
//! scalars but `STEP` and `UPDATES`.
use crate::session::Moment;
use std::collections::BTreeMap;
use stmc_ir::HostExpr;
use stmc_ir::host::{LOSS_SCALE, STEP, UPDATES};
use stmc_ir::module::{HostState, Module, Watch};

/// The variables by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Schedules {
    values: BTreeMap<String, f64>,
}

/// The loss scale at first, by how much it grows after how many good updates, and by how much it falls after a bad one: those
/// of Micikevicius et al., Mixed Precision Training, as PyTorch's `GradScaler` has them.
const FIRST: f64 = 65536.0;
const GROWTH: f64 = 2.0;
const BACKOFF: f64 = 0.5;
const INTERVAL: f64 = 2000.0;
/// Here it stays: 1 over it is still a normal f32.
const MOST: f64 = 8.507_059_173_023_462e37;
/// Updates since the scale last changed.
const GOOD: &str = "loss_scale.good";
/// Updates that were skipped.
const SKIPPED: &str = "loss_scale.skipped";

impl Schedules {
    /// As they are before the first update.
    pub fn new(module: &Module) -> Schedules {
        let mut values: BTreeMap<String, f64> =
            module.states.iter().map(|s| (s.name.clone(), s.first)).collect();
        for watch in module.train.iter().flat_map(|t| &t.watched) {
            values.insert(watch.variable(), f64::NAN);
            values.insert(watch.count_variable(), 0.0);
        }
        if module.train.as_ref().is_some_and(|t| t.loss_scale.is_some()) {
            values
                .extend([(LOSS_SCALE, FIRST), (GOOD, 0.0), (SKIPPED, 0.0)].map(|(n, x)| (n.to_string(), x)));
        }
        Schedules { values }
    }

    /// By what the loss of the next update is scaled, and how many updates were skipped so far. `None`: it is not scaled.
    pub fn loss_scale(&self) -> Option<(f64, f64)> {
        Some((*self.values.get(LOSS_SCALE)?, *self.values.get(SKIPPED)?))
    }

    /// The gradients of a scaled loss were finite.
    pub fn fitted(&mut self) {
        let good = self.values[GOOD] + 1.0;
        let grows = good >= INTERVAL;
        self.values.insert(GOOD.into(), if grows { 0.0 } else { good });
        if grows {
            let grown = (self.values[LOSS_SCALE] * GROWTH).min(MOST);
            self.values.insert(LOSS_SCALE.into(), grown);
        }
    }

    /// A gradient of a scaled loss was not finite.
    pub fn overflowed(&mut self) {
        self.values.insert(GOOD.into(), 0.0);
        self.values.insert(LOSS_SCALE.into(), self.values[LOSS_SCALE] * BACKOFF);
        self.values.insert(SKIPPED.into(), self.values[SKIPPED] + 1.0);
    }

    /// The value of an expression.
    pub fn eval(&self, expr: &HostExpr, moment: Moment) -> f64 {
        expr.eval(&|name| match name {
            STEP => Some(moment.step as f64),
            UPDATES => Some(moment.updates as f64),
            _ => self.values.get(name).copied(),
        })
    }

    /// Goes on to the update after this one.
    pub fn advance(&mut self, states: &[HostState], moment: Moment) {
        let next: Vec<f64> = states.iter().map(|s| self.eval(&s.next, moment)).collect();
        for (state, value) in states.iter().zip(next) {
            self.values.insert(state.name.clone(), value);
        }
    }

    /// Takes note of a metric.
    pub fn observe(&mut self, watch: &Watch, value: f64) {
        self.values.insert(watch.variable(), value);
        *self.values.entry(watch.count_variable()).or_default() += 1.0;
    }

    /// For a file: Rust writes a number with as many digits as it takes to read it back.
    pub fn saved(&self) -> BTreeMap<String, String> {
        self.values.iter().map(|(name, x)| (name.clone(), x.to_string())).collect()
    }

    /// What a file says; what it does not name stays.
    pub fn restore(&mut self, saved: &BTreeMap<String, String>) {
        for (name, value) in &mut self.values {
            if let Some(number) = saved.get(name).and_then(|text| text.parse().ok()) {
                *value = number;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stmc_ir::host::HostBinary;

    #[test]
    fn a_loss_scale_grows_after_two_thousand_good_updates_and_falls_at_once() {
        let named = [(LOSS_SCALE, FIRST), (GOOD, 0.0), (SKIPPED, 0.0)];
        let values = named.map(|(n, x)| (n.to_string(), x)).into_iter().collect();
        let mut schedules = Schedules { values };
        (0..1999).for_each(|_| schedules.fitted());
        assert_eq!(schedules.loss_scale(), Some((65536.0, 0.0)));
        schedules.fitted();
        assert_eq!(schedules.loss_scale(), Some((131072.0, 0.0)));
        schedules.overflowed();
        schedules.overflowed();
        assert_eq!(schedules.loss_scale(), Some((32768.0, 2.0)));
        (0..1999).for_each(|_| schedules.fitted());
        schedules.overflowed();
        (0..1999).for_each(|_| schedules.fitted());
        assert_eq!(schedules.loss_scale(), Some((16384.0, 3.0)), "good updates count anew");
        (0..2000 * 200).for_each(|_| schedules.fitted());
        assert_eq!(schedules.loss_scale(), Some((MOST, 3.0)));
        assert!(f32::MIN_POSITIVE <= (1.0 / MOST) as f32 && MOST.log2() == 126.0);
        assert_eq!(Schedules::default().loss_scale(), None);
    }

    #[test]
    fn states_go_on_together_and_survive_a_file() {
        // Fibonacci: both nexts see the values before.
        let sum = HostExpr::binary(HostBinary::Add, HostExpr::var("a"), HostExpr::var("b"));
        let state =
            |name: &str, next: &HostExpr| HostState { name: name.into(), first: 1.0, next: next.clone() };
        let states = vec![state("a", &HostExpr::var("b")), state("b", &sum)];
        let module = Module { states: states.clone(), ..Module::default() };
        let mut schedules = Schedules::new(&module);
        for step in 0..10 {
            schedules.advance(&states, Moment::evaluation(step));
            let mut read = Schedules::new(&module);
            read.restore(&schedules.saved());
            assert_eq!(read, schedules);
        }
        assert_eq!(schedules.eval(&HostExpr::var("b"), Moment::evaluation(10)), 144.0);
        for x in [f64::INFINITY, 0.1 + 0.2, f64::MIN_POSITIVE / 3.0] {
            schedules.values.insert("a".into(), x);
            let mut read = Schedules::new(&module);
            read.restore(&schedules.saved());
            assert_eq!(read.values["a"], x);
        }
    }
}
