//! What is wrong in a run of several phases, and only there: the settings of later phases, and weights that cannot go on.
use crate::cache::Cache;
use crate::data;
use std::path::Path;
use stmc_base::Diagnostic;
use stmc_model::{Request, Resolved, Settings};

/// The mistakes of phases; those of the first are among them.
pub(crate) fn mistakes(
    resolved: &Resolved,
    settings: &Settings,
    path: &Path,
    cache: &Cache,
) -> Vec<Diagnostic> {
    let phases = match stmc_model::phases(resolved, settings) {
        Ok(phases) if phases.len() > 1 => phases,
        Ok(_) => return vec![],
        Err(wrong) => return wrong,
    };
    let (mut modules, mut wrong) = (vec![], vec![]);
    for phase in &phases {
        let bound = data::bind(resolved, phase, path, &cache.data);
        match stmc_model::elaborate(resolved, phase, bound.plan.as_ref(), &bound.counts, Request::Train) {
            Ok((module, _)) => modules.push(module),
            Err(more) => wrong.extend(more),
        }
    }
    if wrong.is_empty() {
        let spanned: Vec<_> = modules.iter().zip(&phases).collect();
        wrong = stmc_model::check_phases(&spanned);
    }
    wrong
}
