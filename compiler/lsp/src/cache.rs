//! What does not change from one keystroke to the next: the trees of the library, the headers of the data.
use crate::data::DataCache;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use stmc_base::SourceId;
use stmc_syntax::Parsed;

/// A tree is kept for so many analyses that do not need it: several files may be open.
const KEPT: u32 = 16;

/// Kept between analyses.
#[derive(Default)]
pub struct Cache {
    /// Sources of data.
    pub(crate) data: DataCache,
    trees: RefCell<BTreeMap<(SourceId, Arc<str>), Tree>>,
}

struct Tree {
    parsed: Parsed,
    /// Analyses since it was last needed.
    age: u32,
}

impl Cache {
    /// The tree of a text; places in it bear the number of the source.
    pub(crate) fn parse(&self, id: SourceId, text: &str) -> Parsed {
        let mut trees = self.trees.borrow_mut();
        let tree = trees
            .entry((id, text.into()))
            .or_insert_with(|| Tree { parsed: stmc_syntax::parse(id, text), age: 0 });
        tree.age = 0;
        tree.parsed.clone()
    }

    /// An analysis begins: drops the trees of texts that the last ones did not meet.
    pub(crate) fn grow_older(&self) {
        self.trees.borrow_mut().retain(|_, tree| {
            tree.age += 1;
            tree.age <= KEPT
        });
    }
}
