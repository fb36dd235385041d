//! The declarations of a file.
use super::{Builder, doc_lines};
use crate::ast::*;
use crate::grammar::{Pair, Parts, Rule};

impl Builder<'_> {
    /// A declaration: one item, or several where commas continue it.
    pub(super) fn item(&mut self, pair: Pair, out: &mut Vec<Item>) {
        let span = self.span(&pair);
        let mut add = |kind, span| out.push(Item { doc: None, kind, span });
        match pair.as_rule() {
            Rule::let_decl => self.bindings(pair).into_iter().for_each(|l| {
                let span = l.span;
                add(ItemKind::Let(l), span);
            }),
            Rule::axis_decl => self.axis_names(pair).into_iter().for_each(|a| {
                let span = a.name.span;
                add(ItemKind::Axis(a), span);
            }),
            Rule::use_decl => add(ItemKind::Use(self.use_decl(pair)), span),
            Rule::axes_decl => add(ItemKind::Axes(self.axes_decl(pair)), span),
            Rule::hyper_decl => add(ItemKind::Hyper(self.hyper(pair)), span),
            Rule::assert_decl => add(ItemKind::Assert(self.assert_decl(pair)), span),
            Rule::fn_decl => add(ItemKind::Fn(self.fn_decl(pair)), span),
            Rule::layer_decl => add(ItemKind::Layer(self.layer(pair)), span),
            Rule::model_decl => add(ItemKind::Model(self.model(pair)), span),
            Rule::schedule_decl => add(ItemKind::Schedule(self.schedule(pair)), span),
            Rule::optimizer_decl => add(ItemKind::Optimizer(self.optimizer(pair)), span),
            Rule::data_decl => add(ItemKind::Data(self.data(pair)), span),
            Rule::train_decl => add(ItemKind::Train(self.train(pair)), span),
            Rule::tune_decl => add(ItemKind::Tune(self.tune(pair)), span),
            rule => unreachable!("{rule:?} is not a declaration"),
        }
    }

    fn use_decl(&mut self, pair: Pair) -> Use {
        let mut parts = Parts::of(pair);
        let file = parts.maybe(Rule::string).map(|p| self.text(&p));
        let mut path = vec![];
        while let Some(word) = parts.maybe(Rule::name) {
            path.push(self.name(&word));
        }
        let imports = match parts.next() {
            None => Imports::Path(None),
            Some(p) if p.as_rule() == Rule::use_list => {
                Imports::Names(Parts::of(p).map(|n| self.use_name(n)).collect())
            }
            Some(alias) => Imports::Path(Some(self.take_name(&mut Parts::of(alias)))),
        };
        Use { file, path, imports }
    }

    fn use_name(&mut self, pair: Pair) -> UseName {
        let mut parts = Parts::of(pair);
        let name = self.take_name(&mut parts);
        let alias = parts.maybe(Rule::use_alias).map(|p| self.take_name(&mut Parts::of(p)));
        UseName { name, alias }
    }

    fn hyper(&mut self, pair: Pair) -> Hyper {
        let mut parts = Parts::of(pair);
        let name = self.take_name(&mut parts);
        let ty = parts.maybe(Rule::type_).map(|p| self.ty(p));
        let default = self.expr(parts.need(Rule::default));
        let domain = parts.maybe(Rule::domain).map(|p| self.expr(Parts::of(p).need(Rule::expr)));
        Hyper { name, ty, default, domain }
    }

    /// A `fn_decl`.
    pub(super) fn fn_decl(&mut self, pair: Pair) -> FnDecl {
        let mut parts = Parts::of(pair);
        let name = self.take_name(&mut parts);
        let parameters = self.parameters(parts.need(Rule::parameters));
        let result = self.result(&mut parts);
        let body = self.any_body(&mut parts, &format!("the function `{}`", name.text));
        FnDecl { name, parameters, result, body }
    }

    fn layer(&mut self, pair: Pair) -> LayerDecl {
        let mut parts = Parts::of(pair);
        let name = self.take_name(&mut parts);
        let settings = self.parameters(parts.need(Rule::parameters));
        let inputs = self.parameters(parts.need(Rule::parameters));
        let result = self.result(&mut parts);
        let body = self.any_body(&mut parts, &format!("the layer `{}`", name.text));
        LayerDecl { name, settings, inputs, result, body }
    }

    fn model(&mut self, pair: Pair) -> ModelDecl {
        let mut parts = Parts::of(pair);
        let name = self.take_name(&mut parts);
        let inputs = self.parameters(parts.need(Rule::parameters));
        let outputs = self.result(&mut parts).expect("the grammar asks for a model's outputs");
        let body = self.any_body(&mut parts, &format!("the model `{}`", name.text));
        ModelDecl { name, inputs, outputs, body }
    }

    fn schedule(&mut self, pair: Pair) -> ScheduleDecl {
        let mut parts = Parts::of(pair);
        let name = self.take_name(&mut parts);
        let settings = self.parameters(parts.need(Rule::parameters));
        let time = self.take_name(&mut Parts::of(parts.need(Rule::time_name)));
        let body = self.any_body(&mut parts, &format!("the schedule `{}`", name.text));
        ScheduleDecl { name, settings, time, body }
    }

    fn optimizer(&mut self, pair: Pair) -> OptimizerDecl {
        let mut parts = Parts::of(pair);
        let name = self.take_name(&mut parts);
        let settings = self.parameters(parts.need(Rule::parameters));
        let mut names = Parts::of(parts.need(Rule::weight_names));
        let (weight, gradient) = (self.take_name(&mut names), self.take_name(&mut names));
        let body = self.step_block(parts.need(Rule::block), "an optimizer");
        OptimizerDecl { name, settings, weight, gradient, body }
    }

    fn train(&mut self, pair: Pair) -> TrainDecl {
        let mut parts = Parts::of(pair);
        let model = self.take_name(&mut parts);
        let data = self.take_name(&mut parts);
        TrainDecl { model, data, keys: self.keys(parts.need(Rule::keys)) }
    }

    fn tune(&mut self, pair: Pair) -> TuneDecl {
        TuneDecl { keys: self.keys(Parts::of(pair).need(Rule::keys)) }
    }

    fn keys(&mut self, pair: Pair) -> Vec<Key> {
        Parts::of(pair).map(|p| self.key(p)).collect()
    }

    fn key(&mut self, pair: Pair) -> Key {
        let mut parts = Parts::of(pair);
        let doc = doc_lines(&mut parts, Rule::doc);
        let name = self.take_name(&mut parts);
        let value = self.expr(parts.need(Rule::expr));
        Key { doc, span: name.span.to(value.span), name, value }
    }

    fn result(&mut self, parts: &mut Parts) -> Option<Type> {
        parts.maybe(Rule::result).map(|p| self.ty(Parts::of(p).need(Rule::type_)))
    }

    fn any_body(&mut self, parts: &mut Parts, what: &str) -> Block {
        let body = parts.next().expect("the grammar asks for a body");
        self.body(body, what)
    }
}
