//! Which of a file's models the compiler works on, with which `train` and which `data` block.
use crate::names;
use crate::resolve::Resolved;
use stmc_syntax::ast::{self, DataKind, ItemKind};

/// A model with its blocks, by their places among the main file's declarations.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Choice {
    model: Option<usize>,
    train: Option<usize>,
    data: Option<usize>,
}

impl Resolved {
    /// All that a file has to check: what each `train` block trains, then the models that none trains.
    pub fn choices(&self) -> Vec<Choice> {
        let mut all: Vec<Choice> = self.trains().map(|(n, _)| self.trained(n, None)).collect();
        for (n, _) in self.models_at() {
            if !all.iter().any(|c| c.model == Some(n)) {
                all.push(self.untrained(Some(n)));
            }
        }
        if all.is_empty() {
            all.push(self.untrained(None));
        }
        all
    }

    /// The one that is meant: by the model's name, else the only one. Otherwise what to say to a person.
    pub fn choice(&self, name: Option<&str>) -> Result<Choice, String> {
        match name {
            Some(name) => self.choice_of(name),
            None => self.only_choice(),
        }
    }

    /// From now on the compiler works on this one.
    pub fn choose(&mut self, choice: Choice) {
        self.chosen = choice;
    }

    /// What the compiler works on where nothing else was said: the first `train` block, else the first model.
    pub(crate) fn first_choice(&self) -> Choice {
        match self.trains().next() {
            Some((n, _)) => self.trained(n, None),
            None => self.untrained(self.models_at().next().map(|m| m.0)),
        }
    }

    fn only_choice(&self) -> Result<Choice, String> {
        let trained: Vec<&str> = self.trains().map(|(_, t)| t.model.text.as_ref()).collect();
        let models: Vec<&str> = self.models_at().map(|(_, m)| m.name.text.as_ref()).collect();
        let (several, what) =
            if trained.is_empty() { (models, "has the models") } else { (trained, "trains") };
        match several[..] {
            [] | [_] => Ok(self.first_choice()),
            [first, ..] => {
                let all = names::listed(several.iter().copied());
                Err(format!("the file {what} {all}: choose one, `--model {first}`"))
            }
        }
    }

    fn choice_of(&self, name: &str) -> Result<Choice, String> {
        let Some((model, _)) = self.models_at().find(|(_, m)| &*m.name.text == name) else {
            let models: Vec<&str> = self.models_at().map(|(_, m)| m.name.text.as_ref()).collect();
            let near = names::nearest(name, models.iter().copied()).map(|n| format!("did you mean `{n}`?"));
            let help = near.unwrap_or_else(|| format!("its models are {}", names::listed(models)));
            return Err(format!("the file has no model `{name}`; {help}"));
        };
        let all: Vec<usize> = self.trains().map(|t| t.0).collect();
        let own: Vec<usize> = self.trains().filter(|(_, t)| &*t.model.text == name).map(|t| t.0).collect();
        match (&own[..], &all[..]) {
            ([train], _) => Ok(self.trained(*train, None)),
            // The file's only recipe is for all of its models.
            ([], [train]) => Ok(self.trained(*train, Some(model))),
            ([], []) => Ok(self.untrained(Some(model))),
            ([], _) => {
                Err(format!("none of the file's `train` blocks trains `{name}`; add `train {name} on …`"))
            }
            _ => Err(format!("the file has several `train` blocks for `{name}`; only one can be there")),
        }
    }

    /// A `train` block with its data, and its own model unless another one takes its place.
    fn trained(&self, train: usize, model: Option<usize>) -> Choice {
        let ItemKind::Train(block) = &self.units[0].file.items[train].kind else {
            unreachable!("it is a `train` block")
        };
        let own = || self.models_at().find(|(_, m)| m.name.text == block.model.text).map(|m| m.0);
        let data = self.datas().find(|(_, d)| d.name.text == block.data.text).or_else(|| self.datas().next());
        Choice { model: model.or_else(own), train: Some(train), data: data.map(|d| d.0) }
    }

    /// A model alone; its inputs may be parts of some data's samples.
    fn untrained(&self, model: Option<usize>) -> Choice {
        let inputs = model.map(|n| &self.units[0].file.items[n].kind);
        let fits = |data: &ast::DataDecl| match inputs {
            Some(ItemKind::Model(m)) => m.inputs.iter().all(|input| has_part(data, &input.name.text)),
            _ => false,
        };
        let data = self.datas().find(|(_, d)| fits(d)).or_else(|| self.datas().next());
        Choice { model, train: None, data: data.map(|d| d.0) }
    }

    fn trains(&self) -> impl Iterator<Item = (usize, &ast::TrainDecl)> {
        let items = self.main_items().enumerate();
        items.filter_map(|(n, i)| if let ItemKind::Train(t) = &i.kind { Some((n, t)) } else { None })
    }

    fn models_at(&self) -> impl Iterator<Item = (usize, &ast::ModelDecl)> {
        let items = self.main_items().enumerate();
        items.filter_map(|(n, i)| if let ItemKind::Model(m) = &i.kind { Some((n, m)) } else { None })
    }

    fn datas(&self) -> impl Iterator<Item = (usize, &ast::DataDecl)> {
        let items = self.main_items().enumerate();
        items.filter_map(|(n, i)| if let ItemKind::Data(d) = &i.kind { Some((n, d)) } else { None })
    }

    fn chosen_item(&self, place: Option<usize>) -> Option<&ItemKind> {
        place.map(|n| &self.units[0].file.items[n].kind)
    }

    /// The `data` block. `None`: the file has none.
    pub(crate) fn data(&self) -> Option<&ast::DataDecl> {
        self.chosen_item(self.chosen.data)
            .and_then(|i| if let ItemKind::Data(d) = i { Some(d) } else { None })
    }

    /// The `train` block. `None`: there is none for the model.
    pub(crate) fn train(&self) -> Option<&ast::TrainDecl> {
        self.chosen_item(self.chosen.train)
            .and_then(|i| if let ItemKind::Train(t) = i { Some(t) } else { None })
    }

    /// The model. `None`: the file has none, or not the one that is to be trained.
    pub(crate) fn model(&self) -> Option<&ast::ModelDecl> {
        self.chosen_item(self.chosen.model)
            .and_then(|i| if let ItemKind::Model(m) = i { Some(m) } else { None })
    }
}

/// Whether a sample has a part of that name.
fn has_part(data: &ast::DataDecl, name: &str) -> bool {
    data.statements.iter().any(|s| match &s.kind {
        DataKind::Sample(_) => crate::data::sample_parts(data).iter().any(|(part, _)| &**part == name),
        _ => false,
    })
}
