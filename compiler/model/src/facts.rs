//! What an elaboration learns of places in the user's text: the types and values that an editor shows there. Nothing is
//! gathered unless it was asked for.
use crate::elab::Elab;
use crate::value::{Layer, Tensor, Value, show};
use std::collections::BTreeMap;
use stmc_base::{SourceId, Span};

/// What was learnt, by place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts(BTreeMap<Span, Vec<Fact>>);

/// What a place stood for once: a layer's body stands for something else in each of its uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// `f32[batch, time: 4, channel: 32]`, `0.002`, `(row, col)`.
    pub text: String,
    /// What may follow a point: the axes of a tensor, the entries of a record, a run's carries.
    pub members: Vec<String>,
}

impl Facts {
    /// Everything that a place stood for, without repetitions, in the order met.
    pub fn at(&self, span: Span) -> &[Fact] {
        self.0.get(&span).map_or(&[], Vec::as_slice)
    }

    /// The smallest place around a byte of which something is known.
    pub fn around(&self, source: SourceId, at: usize) -> Option<(Span, &[Fact])> {
        let at = at as u32;
        let holds = |s: &Span| s.source == source && s.start <= at && at <= s.end;
        let smallest = self.0.iter().filter(|(s, _)| holds(s)).min_by_key(|(s, _)| s.end - s.start);
        smallest.map(|(span, facts)| (*span, facts.as_slice()))
    }

    /// The largest place that ends at a byte: the whole of `a.b(c)` before a point.
    pub fn ending(&self, source: SourceId, end: usize) -> Option<&[Fact]> {
        let ends = |s: &Span| s.source == source && s.end == end as u32;
        self.0.iter().filter(|(s, _)| ends(s)).min_by_key(|(s, _)| s.start).map(|(_, facts)| facts.as_slice())
    }

    /// These first, then what others say of the same places.
    #[must_use]
    pub fn with(mut self, others: Facts) -> Facts {
        for (span, facts) in others.0 {
            facts.into_iter().for_each(|fact| self.add(span, fact));
        }
        self
    }

    pub(crate) fn add(&mut self, span: Span, fact: Fact) {
        let known = self.0.entry(span).or_default();
        if !known.contains(&fact) {
            known.push(fact);
        }
    }
}

impl<'a> Elab<'a> {
    /// Notes what a place in the user's text stands for, if anybody asked.
    pub(crate) fn note(&mut self, span: Span, value: &Value<'a>) {
        if self.notes.is_none() || self.in_library(span) {
            return;
        }
        let fact = Fact { text: self.describe(value), members: self.members(value) };
        self.notes.get_or_insert_default().push((span, fact));
    }

    /// Notes a text.
    pub(crate) fn note_text(&mut self, span: Span, text: String) {
        if let Some(notes) = &mut self.notes {
            notes.push((span, Fact { text, members: vec![] }));
        }
    }

    /// How much was noted so far: what a repeated pass says again is taken back.
    pub(crate) fn noted(&self) -> usize {
        self.notes.as_ref().map_or(0, Vec::len)
    }

    /// Takes back what was noted since.
    pub(crate) fn forget_since(&mut self, noted: usize) {
        if let Some(notes) = &mut self.notes {
            notes.truncate(noted);
        }
    }

    fn describe(&self, value: &Value<'a>) -> String {
        if let Some(text) = show(value) {
            return text;
        }
        match value {
            Value::Tensor(t) => self.tensor_text(*t),
            Value::Axes(axes) => match axes.as_slice() {
                [one] => format!("axis {}", self.axis_name(*one)),
                many => format!("({})", listed(many.iter().map(|a| self.axis_name(*a)))),
            },
            Value::ByAxis(by) => {
                let entries = by.iter().map(|(a, v)| format!("{}: {}", self.axis_name(*a), self.describe(v)));
                format!("{{ {} }}", listed(entries))
            }
            Value::List(elements) => self.list_text(elements),
            Value::Record(entries) => {
                let entries = entries.iter().map(|(n, v)| format!("{n}: {}", self.describe(v)));
                format!("{{ {} }}", listed(entries))
            }
            Value::Run(run) => match &run.yields {
                Some(yields) => self.describe(yields),
                None => self.carries_text(&run.carries),
            },
            Value::State(state) => {
                listed(state.iter().map(|(path, t)| format!("{path}: {}", self.tensor_text(*t))))
            }
            Value::Layer(layer) => self.layer_text(layer),
            Value::Range(start, end) => {
                let end_text = |e: &Option<i64>| e.map_or(String::new(), |i| i.to_string());
                format!("{} .. {}", end_text(start), end_text(end)).trim().to_string()
            }
            Value::Optimizer(rule) => format!("optimizer {}", rule.decl.name.text),
            Value::Host(_) => "a number computed before each update".into(),
            other => other.kind().into(),
        }
    }

    /// `f32[batch, time: 4]`: how many samples a batch has is no part of a model's types.
    fn tensor_text(&self, tensor: Tensor) -> String {
        let ty = self.ty(tensor);
        let batch = self.batch();
        let mut dims: Vec<String> = vec![];
        for d in ty.dims() {
            match d.axis == batch {
                true => dims.insert(0, "batch".into()),
                false => dims.push(format!("{}: {}", self.axis_name(d.axis), d.extent)),
            }
        }
        let dtype = format!("{}{}", ty.dtype.name(), if tensor.missing.is_some() { "?" } else { "" });
        match dims.is_empty() {
            true => dtype,
            false => format!("{dtype}[{}]", dims.join(", ")),
        }
    }

    /// Equal elements are told once: `4 of f32[batch, channel: 8]`.
    fn list_text(&self, elements: &[Value<'a>]) -> String {
        let texts: Vec<String> = elements.iter().map(|e| self.describe(e)).collect();
        match texts.as_slice() {
            [first, _, ..] if texts.iter().all(|t| t == first) => format!("{} of {first}", texts.len()),
            _ => format!("[{}]", texts.join(", ")),
        }
    }

    fn carries_text(&self, carries: &[(std::sync::Arc<str>, Value<'a>)]) -> String {
        listed(carries.iter().map(|(n, v)| format!("{n}: {}", self.describe(v))))
    }

    /// `ConvLstm(hidden: 32, kernel: 3, over: (row, col))`
    fn layer_text(&self, layer: &Layer<'a>) -> String {
        let settings = layer.settings.iter().map(|(n, v)| format!("{n}: {}", self.describe(v)));
        format!("{}({})", layer.decl.name.text, listed(settings))
    }

    fn members(&self, value: &Value<'a>) -> Vec<String> {
        match value {
            Value::Tensor(t) => self.axes_of(*t).into_iter().map(|a| self.axis_name(a)).collect(),
            Value::Record(entries) => entries.iter().map(|(n, _)| n.to_string()).collect(),
            Value::ByAxis(by) => by.iter().map(|(a, _)| self.axis_name(*a)).collect(),
            Value::Module(unit) => self.resolved.units[*unit].names.keys().map(|n| n.to_string()).collect(),
            Value::Run(run) => {
                let states = run.states.iter().filter_map(|(path, _)| {
                    let below = path.strip_prefix(&run.owner).unwrap_or(path).trim_start_matches('.');
                    below.split('.').next().map(str::to_string)
                });
                let mut members: Vec<String> = run.carries.iter().map(|(n, _)| n.to_string()).collect();
                members.extend(states);
                members.extend(run.yields.iter().flat_map(|y| self.members(y)));
                members.dedup();
                members
            }
            _ => vec![],
        }
    }
}

fn listed(texts: impl Iterator<Item = String>) -> String {
    texts.collect::<Vec<_>>().join(", ")
}
