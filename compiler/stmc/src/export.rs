//! What a run has come to as a file for other programs.
use crate::{Again, Error};
use clap::ValueEnum;
use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;
use stmc_base::Span;
use stmc_ir::Module;
use stmc_ir::interpret::Context;
use stmc_ir::module::InputRole;
use stmc_onnx::{Fixed, Unwritable};
use stmc_passes::pipeline;
use stmc_runtime::frozen::{self, Frozen};
use stmc_runtime::{RunError, Tensor, files, predict};

/// A format of files for other programs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Format {
    /// Weights by path, and what they belong to
    Safetensors,
    /// The model itself, with its weights: it runs elsewhere
    Onnx,
}

impl Format {
    /// What the end of a file's name says. `None`: nothing.
    pub fn of(path: &Path) -> Option<Format> {
        let extension = path.extension()?.to_str()?;
        Format::value_variants().iter().copied().find(|f| f.extension() == extension)
    }

    /// What the names of such files end with.
    pub fn extension(self) -> &'static str {
        match self {
            Format::Safetensors => "safetensors",
            Format::Onnx => "onnx",
        }
    }
}

/// Writes the weights that a run kept, or its model with them, into a file.
pub fn export(again: &Again, format: Format, out: &Path) -> Result<(), Error> {
    let phase = again.kept_phase()?;
    let module = phase.module();
    let frozen = frozen::read(module, &again.path).map_err(Error::world)?;
    match format {
        Format::Safetensors => files::whole(out, |draft| frozen::write(draft, &frozen, module)),
        Format::Onnx => files::replace(out, &onnx(again, module, &frozen)?),
    }
    .map_err(Error::world)
}

/// The graph of `predict` after all graph passes, with what the run kept in place of its weights.
fn onnx(again: &Again, module: &Module, frozen: &Frozen) -> Result<Vec<u8>, Error> {
    let entry = module.entry("predict");
    let entry = entry.ok_or_else(|| Error::World("the program has no entry `predict`".into()))?;
    let axes = Rc::new(RefCell::new(module.axes.clone()));
    let mut entry = pipeline::optimize(&axes, entry, &[], module.train.as_ref());
    entry.inputs.iter_mut().for_each(|role| name_what_a_sample_needs(module, role));
    let fixed = entry.inputs.iter().map(|role| fixed(module, frozen, role).map_err(Error::world));
    let fixed = fixed.collect::<Result<_, _>>()?;
    let seed = module.train.as_ref().map_or(0, |t| t.seed);
    let written = stmc_onnx::write(&stmc_onnx::Frozen {
        name: &module.name,
        axes: &axes.borrow(),
        entry: &entry,
        fixed,
        context: Context { host: frozen.scalars.clone(), seed, update: 0 },
        notes: vec![("stmc".into(), frozen::note(module).to_string())],
    });
    written.map_err(|what| unwritable(again, &what))
}

/// What the way back to physical units needs of each sample is given as the model's inputs are.
fn name_what_a_sample_needs(module: &Module, role: &mut InputRole) {
    if let (InputRole::Slab { slab, axes }, Some(plan)) = (&*role, &module.data)
        && plan.slabs[*slab].is_moved()
    {
        *role = InputRole::Named { name: plan.slab_name(*slab), axes: axes.clone() };
    }
}

/// What takes the place of an input. `None`: it stays.
fn fixed(module: &Module, frozen: &Frozen, role: &InputRole) -> Result<Option<Fixed>, RunError> {
    let of = |name: &str, axes: &[stmc_ir::AxisId], tensor: &Tensor| {
        Some(Fixed { name: name.into(), axes: axes.to_vec(), bits: tensor.bits.clone() })
    };
    match role {
        InputRole::Param(id) => {
            let param = &module.params[id.index()];
            let found = frozen.weights.iter().find(|w| w.0 == param.path).map(|w| &w.1);
            let missing = || RunError::Tensor(format!("the run has no weight `{}`", param.path));
            Ok(of(&param.path, &param.disk, found.ok_or_else(missing)?))
        }
        InputRole::Slab { slab, axes } => {
            let plan = module.data.as_ref().expect("slabs are read from data");
            let name = format!("{}{}", frozen::FITS, plan.fields[plan.slabs[*slab].field].name);
            Ok(of(&name, axes, &predict::fitted(module, *slab, &frozen.fits)?))
        }
        InputRole::Named { .. } | InputRole::Valid | InputRole::Mask { .. } => Ok(None),
    }
}

fn unwritable(again: &Again, what: &Unwritable) -> Error {
    let sources = &again.compiled.checked.sources;
    let place = |span: Span| format!("{}: ", sources.place(span));
    let place = what.span.map(place).unwrap_or_default();
    Error::World(format!("{place}{} cannot be written as ONNX", what.what))
}
