//! Which declaration each name of a program's texts refers to. It looks at trees alone, so it also knows the texts that
//! nothing uses yet and those that have mistakes.
//!
//! What it cannot tell (a member of a value that only an elaboration knows) has no symbol: no wrong one.
mod declare;
mod expr;
mod walk;

use std::collections::BTreeMap;
use std::sync::Arc;
use stmc_base::{SourceId, Sources, Span};
use stmc_model::{ItemRef, Resolved};

stmc_base::define_id!(
    /// A symbol's number.
    pub struct SymbolId
);

/// Everything that is declared and where it is named.
#[derive(Clone, Debug, Default)]
pub struct Symbols {
    all: Vec<Symbol>,
    uses: Vec<Use>,
    /// Top-level declarations.
    items: BTreeMap<ItemRef, SymbolId>,
    /// What stands in the parentheses, and what a layer or model gives.
    signatures: BTreeMap<SymbolId, Signature>,
    /// A model's input or output and the sample's part of that name are one quantity, and renamed together.
    links: Vec<(SymbolId, SymbolId)>,
}

/// A declaration.
#[derive(Clone, Debug)]
pub struct Symbol {
    /// As declared.
    pub name: Arc<str>,
    /// What it is.
    pub kind: Kind,
    /// The name in its declaration.
    pub span: Span,
    /// The declaration without a body.
    pub head: Span,
    /// Its `///` lines.
    pub doc: Option<String>,
    /// Where it can be named by its name alone. `None`: nowhere, or wherever its file's top-level names can.
    pub scope: Option<Span>,
}

/// What a symbol is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// `hyper`
    Hyper,
    /// `let`, or what a loop binds.
    Value,
    /// `fn`
    Function,
    /// `layer`
    Layer,
    /// `model`
    Model,
    /// `schedule`
    Schedule,
    /// `optimizer`
    Optimizer,
    /// `data`
    Data,
    /// A static parameter.
    Setting,
    /// A static parameter that stands for axes.
    AxisSetting,
    /// A static parameter that can be called.
    FnSetting,
    /// A tensor parameter.
    Input,
    /// `param` or `buffer`
    Weight,
    /// `carry`
    Carry,
    /// `name = Layer(…)`
    SubLayer,
    /// `field`
    Field,
    /// A part of a sample.
    Part,
    /// An output of a model, an entry of a record that a layer gives.
    Output,
    /// A metric, or a term of the loss.
    Metric,
    /// An entry of a record.
    Entry,
    /// An axis.
    Axis,
    /// Several axes under one name.
    Axes,
    /// Another name for an import.
    Alias(SymbolId),
    /// A file, by its place among the units.
    Module(usize),
}

impl Kind {
    /// For people: `layer`, `setting`.
    pub fn text(self) -> &'static str {
        match self {
            Kind::Hyper => "hyper",
            Kind::Value => "value",
            Kind::Function => "function",
            Kind::Layer => "layer",
            Kind::Model => "model",
            Kind::Schedule => "schedule",
            Kind::Optimizer => "optimizer",
            Kind::Data => "data",
            Kind::Setting | Kind::AxisSetting | Kind::FnSetting => "setting",
            Kind::Input => "input",
            Kind::Weight => "weight",
            Kind::Carry => "carry",
            Kind::SubLayer => "layer",
            Kind::Field => "field",
            Kind::Part => "part of a sample",
            Kind::Output => "output",
            Kind::Metric => "metric",
            Kind::Entry => "entry",
            Kind::Axis => "axis",
            Kind::Axes => "axes",
            Kind::Alias(_) => "import",
            Kind::Module(_) => "module",
        }
    }

    /// Whether it is called where a value of that name is in scope, too.
    fn is_called(self) -> bool {
        !matches!(
            self,
            Kind::Part
                | Kind::Output
                | Kind::Metric
                | Kind::Carry
                | Kind::Weight
                | Kind::Input
                | Kind::Setting
                | Kind::Field
        )
    }
}

/// A place where a symbol is named.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Use {
    /// The name, without a prime.
    pub span: Span,
    /// What it refers to.
    pub symbol: SymbolId,
    /// How it is written.
    pub written: Written,
}

/// How a name is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Written {
    /// As itself.
    Plain,
    /// The key of `{ o }`, which is short for `{ o: o }`.
    ShortKey,
    /// The value of `{ o }`.
    ShortValue,
}

/// The parts of a declaration that a call names.
#[derive(Clone, Debug, Default)]
pub struct Signature {
    /// Statics, or all parameters of a function.
    pub settings: Vec<SymbolId>,
    /// Tensors of a layer or a model.
    pub inputs: Vec<SymbolId>,
    /// Its weights, whose first values a sub-layer may replace.
    pub weights: Vec<SymbolId>,
    /// The entries of a result that is a record.
    pub results: Vec<SymbolId>,
}

impl Symbols {
    /// Those of a program.
    pub fn of(resolved: &Resolved, sources: &Sources) -> Symbols {
        walk::symbols(resolved, sources)
    }

    /// A symbol.
    pub fn symbol(&self, id: SymbolId) -> &Symbol {
        &self.all[id.index()]
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (SymbolId, &Symbol)> {
        self.all.iter().enumerate().map(|(i, s)| (SymbolId::from_index(i), s))
    }

    /// The symbol that is named or declared at a byte, and the name's place.
    pub fn at(&self, source: SourceId, at: usize) -> Option<(SymbolId, Span)> {
        let at = at as u32;
        let holds = |s: Span| s.source == source && s.start <= at && at <= s.end && s.start < s.end;
        let used = self.uses.iter().filter(|u| holds(u.span)).map(|u| (u.symbol, u.span));
        let declared = self.iter().filter(|(_, s)| holds(s.span)).map(|(id, s)| (id, s.span));
        // Where two names touch, the one that begins here.
        used.chain(declared).max_by_key(|(_, s)| (s.start, std::cmp::Reverse(s.end)))
    }

    /// What an import stands for; any other symbol stands for itself.
    pub fn target(&self, id: SymbolId) -> SymbolId {
        match self.symbol(id).kind {
            Kind::Alias(target) => target,
            _ => id,
        }
    }

    /// Every place where the symbol is named, its declaration too; what must bear the same name is one with it.
    pub fn places(&self, id: SymbolId) -> Vec<Use> {
        let same = self.linked(id);
        let declared =
            same.iter().map(|s| Use { span: self.symbol(*s).span, symbol: *s, written: Written::Plain });
        let mut places: Vec<Use> = self.uses.iter().filter(|u| same.contains(&u.symbol)).copied().collect();
        for declared in declared {
            // A short entry both declares and uses.
            if !places.iter().any(|p| p.span == declared.span) {
                places.push(declared);
            }
        }
        places.sort_by_key(|u| u.span);
        places
    }

    /// The symbol of a declared name.
    pub fn item(&self, at: ItemRef) -> Option<SymbolId> {
        self.items.get(&at).copied()
    }

    /// What a call of the symbol names. `None`: it is not called.
    pub fn signature(&self, id: SymbolId) -> Option<&Signature> {
        self.signatures.get(&id)
    }

    /// Local symbols that can be named at a byte.
    pub fn visible(&self, source: SourceId, at: usize) -> impl Iterator<Item = (SymbolId, &Symbol)> {
        let at = at as u32;
        self.iter().filter(move |(_, s)| {
            s.scope.is_some_and(|scope| scope.source == source && scope.start <= at && at <= scope.end)
        })
    }

    fn linked(&self, id: SymbolId) -> Vec<SymbolId> {
        let mut same = vec![id];
        let mut next = 0;
        while let Some(one) = same.get(next).copied() {
            next += 1;
            for (a, b) in &self.links {
                for (from, to) in [(*a, *b), (*b, *a)] {
                    if from == one && !same.contains(&to) {
                        same.push(to);
                    }
                }
            }
        }
        same
    }
}
