//! The standard library and what the compiler knows without a declaration.
use crate::module::{Entry, Module};
use stmc_model::vocabulary;

/// All that there is to look up.
#[derive(Clone, Debug)]
pub struct Library {
    /// What is built in comes first, a file of the user last.
    pub modules: Vec<Module>,
}

/// The module of what needs no import.
pub const BUILT_IN: &str = "built-in";

impl Library {
    /// What every program can use.
    pub fn standard() -> Library {
        let standard = stmc_model::library::modules().map(|name| {
            let text = stmc_model::library::module(name).expect("a listed module has a text");
            Module::read(name, text).expect("the library parses")
        });
        Library { modules: std::iter::once(built_in()).chain(standard).collect() }
    }

    /// The module of that name. `None`: there is none.
    pub fn module(&self, name: &str) -> Option<&Module> {
        self.modules.iter().find(|m| m.name == name)
    }
}

fn built_in() -> Module {
    let keys = |kind, keys: Vec<&vocabulary::Key>| -> Vec<Entry> {
        keys.iter().map(|(name, doc)| word(name, kind, (*name).to_string(), doc)).collect()
    };
    let functions = vocabulary::functions().iter();
    let functions = functions.map(|f| word(f.name, "function", f.signature(), f.doc)).collect();
    Module {
        name: BUILT_IN.into(),
        doc:
            "What the language has without an import: functions, values, and the keys of `train` and `tune`."
                .into(),
        text: None,
        entries: [
            functions,
            keys("value", vocabulary::CONSTANTS.iter().collect()),
            keys("key of train", vocabulary::train().collect()),
            keys("key of tune", vocabulary::tune().collect()),
        ]
        .concat(),
    }
}

fn word(name: &str, kind: &'static str, signature: String, doc: &str) -> Entry {
    Entry { name: name.into(), kind, signature, parameters: vec![], doc: doc.into(), source: None, line: 0 }
}
