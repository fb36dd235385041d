//! `start`: weights to begin with, from a file or from what another run kept. By path where any agrees; weights that the file
//! lacks are drawn anew, so a part of another model can be used; those of another shape are told, all at once. Where no path agrees,
//! by order and shape, all of them.
use crate::adopt;
use crate::error::{Result, RunError};
use crate::folder;
use crate::import::{self, Map, Wanted};
use crate::session::Session;
use crate::step;
use crate::tensor::{self, Named};
use serde_json::{Value, json};
use std::path::Path;

/// What was taken, and what not.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Begun {
    /// Weights that were taken.
    pub taken: usize,
    /// Weights that are drawn, for the file lacks them.
    pub drawn: Vec<String>,
    /// Tensors of the file that nothing wants.
    pub unused: Vec<String>,
}

/// Replaces first weights by those of a file or of a run directory.
pub fn load(session: &mut Session<'_>, path: &Path) -> Result<Begun> {
    let given = match path.is_dir() {
        true => result_of(path)?,
        false => tensor::read(path)?,
    };
    let has = |name: &str| given.iter().any(|t| t.0 == name || t.0 == format!("{}{name}", step::WEIGHTS));
    let all: Vec<Wanted> = step::wanted(session);
    let by_path: Vec<Wanted> = all.iter().filter(|w| has(&w.0)).cloned().collect();
    let (wanted, by_order) = if by_path.is_empty() { (all, true) } else { (by_path, false) };
    adopt::fits(session, &path.display().to_string(), &given, step::WEIGHTS)?;
    let found =
        import::pick(&wanted, &given, &Map::default(), step::WEIGHTS).map_err(|e| RunError::file(path, e))?;
    let weights = session.begin_with(&found)?;
    let is_wanted = |name: &str| {
        let bare = name.strip_prefix(step::WEIGHTS).unwrap_or(name);
        by_order || wanted.iter().any(|w| w.0 == bare || w.0 == name)
    };
    Ok(Begun {
        taken: wanted.len(),
        drawn: weights.iter().map(|w| w.0.clone()).filter(|n| !wanted.iter().any(|w| w.0 == *n)).collect(),
        unused: given.iter().map(|t| t.0.clone()).filter(|n| !is_wanted(n)).collect(),
    })
}

/// The weights that a run kept, as its evaluation uses them.
fn result_of(run: &Path) -> Result<Named> {
    folder::config(run)?;
    Ok(folder::kept(run)?.evaluated())
}

impl Begun {
    /// For the log.
    pub fn json(&self, path: &str) -> Value {
        json!({ "start": path, "taken": self.taken, "drawn": self.drawn, "unused": self.unused })
    }

    /// For people.
    pub fn text(&self, path: &str) -> String {
        let mut text = format!("{} weights begin as in {path}", self.taken);
        if !self.drawn.is_empty() {
            text += &format!("; drawn, for it lacks them: {}", self.drawn.join(", "));
        }
        if !self.unused.is_empty() {
            text += &format!("; not used: {}", self.unused.join(", "));
        }
        text
    }
}
