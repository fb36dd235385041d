//! Which of a file's models the compiler works on, with which `train` and which `data` block.
use crate::names;
use crate::resolve::{Binding, ItemRef, Resolved};
use stmc_syntax::ast::{self, DataKind, ItemKind};

/// A model with its blocks. Models and data may be imported; the `train` block is the main file's.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Choice {
    model: Option<ItemRef>,
    /// Its place among the main file's declarations.
    train: Option<usize>,
    data: Option<ItemRef>,
}

impl Resolved {
    /// All that a file has to check: what each `train` block trains, then the models that none trains.
    pub fn choices(&self) -> Vec<Choice> {
        let mut all: Vec<Choice> = self.trains().map(|(n, _)| self.trained(n, None)).collect();
        for (at, _) in self.own_models() {
            if !all.iter().any(|c| c.model == Some(at)) {
                all.push(self.untrained(Some(at)));
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
            None => self.untrained(self.own_models().next().map(|m| m.0)),
        }
    }

    /// Whether it works on that.
    pub(crate) fn is_first_choice(&self) -> bool {
        self.chosen.train == self.first_choice().train
    }

    fn only_choice(&self) -> Result<Choice, String> {
        let trained: Vec<&str> = self.trains().map(|(_, t)| t.model.text.as_ref()).collect();
        let models: Vec<&str> = self.own_models().map(|(_, m)| m.name.text.as_ref()).collect();
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
        let Some(model) = self.model_named(name) else {
            let models = self.model_names();
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
    fn trained(&self, train: usize, model: Option<ItemRef>) -> Choice {
        let ItemKind::Train(block) = &self.units[0].file.items[train].kind else {
            unreachable!("it is a `train` block")
        };
        let own = || self.model_named(&block.model.text);
        let data = self.data_named(&block.data.text).or_else(|| self.first_data());
        Choice { model: model.or_else(own), train: Some(train), data }
    }

    /// A model alone; its inputs may be parts of some data's samples.
    fn untrained(&self, model: Option<ItemRef>) -> Choice {
        let inputs = model.map(|at| &self.item(at).kind);
        let fits = |data: &ast::DataDecl| match inputs {
            Some(ItemKind::Model(m)) => m.inputs.iter().all(|input| has_part(data, &input.name.text)),
            _ => false,
        };
        let fitting = self.datas().find(|(_, d)| fits(d)).map(|d| d.0);
        Choice { model, train: None, data: fitting.or_else(|| self.first_data()) }
    }

    /// The model of that name, the file's own or an imported one.
    pub(crate) fn model_named(&self, name: &str) -> Option<ItemRef> {
        self.named(name).filter(|at| matches!(self.item(*at).kind, ItemKind::Model(_)))
    }

    /// The data of that name, the file's own or imported ones.
    pub(crate) fn data_named(&self, name: &str) -> Option<ItemRef> {
        self.named(name).filter(|at| matches!(self.item(*at).kind, ItemKind::Data(_)))
    }

    fn named(&self, name: &str) -> Option<ItemRef> {
        match self.units[0].names.get(name)? {
            Binding::Item(at) => Some(*at),
            Binding::Module(_) => None,
        }
    }

    /// What the file calls its models, imported ones too, sorted.
    pub(crate) fn model_names(&self) -> Vec<&str> {
        self.units[0]
            .names
            .keys()
            .map(|name| name.as_ref())
            .filter(|n| self.model_named(n).is_some())
            .collect()
    }

    fn trains(&self) -> impl Iterator<Item = (usize, &ast::TrainDecl)> {
        let items = self.main_items().enumerate();
        items.filter_map(|(n, i)| if let ItemKind::Train(t) = &i.kind { Some((n, t)) } else { None })
    }

    fn own_models(&self) -> impl Iterator<Item = (ItemRef, &ast::ModelDecl)> {
        let items = self.main_items().enumerate();
        items.filter_map(
            move |(n, i)| {
                if let ItemKind::Model(m) = &i.kind { Some((ItemRef::of_main(n), m)) } else { None }
            },
        )
    }

    /// The file's own data in their order, then imported ones.
    pub(crate) fn datas(&self) -> impl Iterator<Item = (ItemRef, &ast::DataDecl)> {
        let own = (0..self.units[0].file.items.len()).map(ItemRef::of_main);
        let imported = self.units[0].names.values().filter_map(|binding| match binding {
            Binding::Item(at) if at.unit != 0 => Some(*at),
            _ => None,
        });
        own.chain(imported)
            .filter_map(|at| if let ItemKind::Data(d) = &self.item(at).kind { Some((at, d)) } else { None })
    }

    fn first_data(&self) -> Option<ItemRef> {
        self.datas().next().map(|d| d.0)
    }

    fn chosen_item(&self, place: Option<ItemRef>) -> Option<&ItemKind> {
        place.map(|at| &self.item(at).kind)
    }

    /// The `data` block. `None`: the file has none.
    pub fn data(&self) -> Option<&ast::DataDecl> {
        self.chosen_item(self.chosen.data)
            .and_then(|i| if let ItemKind::Data(d) = i { Some(d) } else { None })
    }

    /// The `train` block. `None`: there is none for the model.
    pub(crate) fn train(&self) -> Option<&ast::TrainDecl> {
        self.chosen_item(self.chosen.train.map(ItemRef::of_main))
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
