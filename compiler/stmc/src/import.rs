//! Weights from elsewhere as the first checkpoint of a run.
use crate::Error;
use crate::front::Compiled;
use std::path::{Path, PathBuf};
use stmc_ir::Device;
use stmc_ir::module::InputRole;
use stmc_runtime::adopt::{self, Adopted};
use stmc_runtime::import::Map;

/// What `import` works on.
#[derive(Clone, Debug)]
pub struct ImportFiles {
    /// A state dict of PyTorch, saved as safetensors.
    pub torch: PathBuf,
    /// Renames, squeezes, slices, concatenates, permutes, leaves out. `None`: names and shapes agree.
    pub map: Option<PathBuf>,
    /// The run directory. `None`: `runs/<file>-<n>`.
    pub out: Option<PathBuf>,
}

impl Compiled {
    /// Makes a run directory whose weights are those of a file. It can be evaluated, predicted with, and trained further.
    pub fn import(&self, device: &mut dyn Device, files: &ImportFiles) -> Result<Adopted, Error> {
        let fail = |e| Error::run(&self.checked.sources, e);
        let map =
            files.map.as_deref().map(stmc_runtime::import::read_map).transpose().map_err(Error::world)?;
        let given = stmc_runtime::tensor::read(&files.torch).map_err(Error::world)?;
        self.fits_are_there()?;
        let config = self.config(&*device);
        let folder = || self.folder(files.out.as_deref(), &config);
        let mut session = self.session(device)?;
        let source = shown(&files.torch);
        let map = map.unwrap_or_else(Map::default);
        let data = self.checked.data.as_ref();
        adopt::adopt(&mut session, data, (&source, &given), &map, folder).map_err(fail)
    }

    /// A model that reads what is fitted to the data is nothing without them.
    fn fits_are_there(&self) -> Result<(), Error> {
        let module = &self.checked.module;
        let reads = |role: &InputRole| matches!(role, InputRole::Slab { .. });
        let needs = module.entry("predict").is_some_and(|e| e.inputs.iter().any(reads));
        match needs && self.checked.data.is_none() {
            true => Err(Error::World(
                "the model reads what is fitted to its data, and there are none: a schema stands in for them"
                    .into(),
            )),
            false => Ok(()),
        }
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
