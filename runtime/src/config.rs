//! What a run was made from: enough to compile it again and to go on, or to evaluate it elsewhere.
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use stmc_base::{Schema, Sources};

/// `config.json` of a run directory.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Config {
    /// The version of `stmc` that began the run.
    pub version: String,
    /// The name of the model.
    pub model: String,
    /// Which of the file's models was asked for. `None`: it has one.
    #[serde(default)]
    pub chosen: Option<String>,
    /// The main file with its imports and the library modules used, in the order in which they were read.
    pub sources: Sources,
    /// `--set frames=3`: name and text.
    pub set: BTreeMap<String, String>,
    /// The values of all hypers, as text.
    pub hypers: BTreeMap<String, String>,
    /// The folder that relative data paths start from.
    pub folder: PathBuf,
    /// What the data looked like: predictions need no more of them.
    pub schema: Option<Schema>,
    /// The device and its instruction path: results are bit for bit the same only on an equal one.
    pub device: String,
    /// The seed.
    pub seed: u64,
}
