//! What a run has come to, for use elsewhere: nothing here can be trained any further.
use crate::error::Result;
use crate::folder;
use crate::schedules::Schedules;
use crate::session::Moment;
use crate::tensor::{self, Named};
use crate::train::read_fits;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;
use stmc_ir::Module;

/// The weights that a run kept, and all else that a prediction depends on.
#[derive(Clone, PartialEq, Debug)]
pub struct Frozen {
    /// By path, in disk order, as an evaluation uses them.
    pub weights: Named,
    /// What `fit` found, by name.
    pub fits: Named,
    /// The values of `Module::scalars`, as a device sees them.
    pub scalars: Vec<f64>,
}

/// Names of fitted values in a file of weights begin so.
pub const FITS: &str = "fit.";
/// The version of what `write` notes in a file.
const FORMAT: u32 = 1;

/// Of a run of this module.
pub fn read(module: &Module, run: &Path) -> Result<Frozen> {
    let kept = folder::kept(run)?;
    let mut schedules = Schedules::new(module);
    schedules.restore(&kept.state.schedules);
    let moment = Moment::evaluation(kept.state.clock.schedules);
    let scalars = module.scalars.iter().map(|e| f64::from(schedules.eval(e, moment) as f32)).collect();
    Ok(Frozen { weights: kept.evaluated(), fits: read_fits(run, kept.state.phase)?, scalars })
}

/// One file: weights by path, fitted values as `fit.fit0`, `fit.fit1` …, and what they belong to as JSON under `stmc` in its metadata.
pub fn write(path: &Path, frozen: &Frozen, module: &Module) -> Result<()> {
    let fits = frozen.fits.iter().map(|(name, tensor)| (format!("{FITS}{name}"), tensor.clone()));
    let tensors: Named = frozen.weights.iter().cloned().chain(fits).collect();
    tensor::write_noted(path, &tensors, ("stmc", note(module).to_string()))
}

/// What a file of weights belongs to: the model, its hypers, the units of the data, the axes of each weight.
pub fn note(module: &Module) -> serde_json::Value {
    let axes = module.params.iter().map(|p| {
        let names: Vec<&str> = p.disk.iter().map(|a| module.axes.name(*a)).collect();
        (&p.path[..], names)
    });
    json!({
        "format": FORMAT,
        "version": env!("CARGO_PKG_VERSION"),
        "model": module.name,
        "hypers": module.hypers,
        "units": units(module),
        "axes": axes.collect::<BTreeMap<_, _>>(),
    })
}

/// The units of the fields of the data that have one.
pub fn units(module: &Module) -> BTreeMap<&str, &str> {
    let fields = module.data.iter().flat_map(|plan| &plan.fields);
    fields.filter_map(|f| Some((&f.name[..], f.unit.as_deref()?))).collect()
}
