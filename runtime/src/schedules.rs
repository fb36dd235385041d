//! What schedules carry from update to update, and the values of what they watch: all variables of run-time scalars but `STEP` and `UPDATES`.
use crate::session::Moment;
use std::collections::BTreeMap;
use stmc_ir::HostExpr;
use stmc_ir::host::{STEP, UPDATES};
use stmc_ir::module::{HostState, Module, Watch};

/// The variables by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Schedules {
    values: BTreeMap<String, f64>,
}

impl Schedules {
    /// As they are before the first update.
    pub fn new(module: &Module) -> Schedules {
        let mut values: BTreeMap<String, f64> =
            module.states.iter().map(|s| (s.name.clone(), s.first)).collect();
        for watch in module.train.iter().flat_map(|t| &t.watched) {
            values.insert(watch.variable(), f64::NAN);
            values.insert(watch.count_variable(), 0.0);
        }
        Schedules { values }
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
