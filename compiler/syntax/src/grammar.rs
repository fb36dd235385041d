//! What pest makes of `grammar/stm.pest`: the parser, its rules, and the few facts about its pairs that all need.
use pest::iterators::Pairs;
use stmc_base::{SourceId, Span};

pub(crate) use generated::{Grammar, Rule};

#[allow(missing_docs)] // The derive writes the enum of rules; the grammar's file documents them.
mod generated {
    /// The generated parser.
    #[derive(pest_derive::Parser)]
    #[grammar = "../../grammar/stm.pest"]
    pub(crate) struct Grammar;
}

/// A piece of text that matched a rule.
pub(crate) type Pair<'i> = pest::iterators::Pair<'i, Rule>;

/// Where a pair stands. Its own end is not to be trusted: pest skips blanks and comments before it finds that an
/// optional tail is missing, and counts them in. The end of its last token is right.
pub(crate) fn span(source: SourceId, pair: &Pair) -> Span {
    let start = pair.as_span().start();
    let mut last = pair.clone();
    while !is_compound_token(last.as_rule())
        && let Some(inner) = last.clone().into_inner().next_back()
    {
        last = inner;
    }
    Span::new(source, start, last.as_span().end())
}

/// Tokens that have inner pairs.
fn is_compound_token(rule: Rule) -> bool {
    matches!(rule, Rule::percent)
}

/// The children of a pair that carry meaning, in order: words and punctuation that only mark a place are left out.
#[derive(Clone)]
pub(crate) struct Parts<'i>(Pairs<'i, Rule>);

impl<'i> Parts<'i> {
    /// The parts of a pair.
    pub(crate) fn of(pair: Pair<'i>) -> Parts<'i> {
        Parts(pair.into_inner())
    }

    /// The rule of the next part. `None`: there is none.
    pub(crate) fn peek(&mut self) -> Option<Rule> {
        while let Some(rule) = self.0.peek().map(|p| p.as_rule()) {
            if !marks_a_place(rule) {
                return Some(rule);
            }
            self.0.next();
        }
        None
    }

    /// The next part, if it is of this rule.
    pub(crate) fn maybe(&mut self, rule: Rule) -> Option<Pair<'i>> {
        if self.peek() == Some(rule) { self.0.next() } else { None }
    }

    /// The next part, which the grammar promises to be of this rule.
    pub(crate) fn need(&mut self, rule: Rule) -> Pair<'i> {
        match self.maybe(rule) {
            Some(pair) => pair,
            None => panic!("the grammar promises a {rule:?} before {:?}", self.peek()),
        }
    }
}

impl<'i> Iterator for Parts<'i> {
    type Item = Pair<'i>;
    fn next(&mut self) -> Option<Pair<'i>> {
        self.peek()?;
        self.0.next()
    }
}

/// Line breaks, punctuation and key words that stand for nothing by themselves.
fn marks_a_place(rule: Rule) -> bool {
    use Rule::*;
    matches!(
        rule,
        newline
            | semicolon
            | comma
            | colon
            | dot
            | equals
            | tilde
            | arrow
            | fat_arrow
            | EOI
            | open_brace
            | close_brace
            | open_paren
            | close_paren
            | open_bracket
            | close_bracket
            | kw_let
            | kw_if
            | kw_then
            | kw_else
            | kw_for
            | kw_in
            | kw_scan
            | kw_carry
            | kw_yield
            | kw_use
            | kw_as
            | kw_axis
            | kw_axes
            | kw_hyper
            | kw_fn
            | kw_layer
            | kw_model
            | kw_schedule
            | kw_optimizer
            | kw_data
            | kw_train
            | kw_on
            | kw_tune
            | kw_assert
            | kw_param
            | kw_buffer
            | kw_along
            | kw_at
            | kw_from
            | kw_field
            | kw_unit
            | kw_missing
            | kw_sample
            | kw_step
            | kw_split
            | kw_balance
            | kw_by
            | kw_augment
            | kw_each
    )
}
