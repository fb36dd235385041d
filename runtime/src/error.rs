//! What can end a run: a mistake of the user, with its place in the source; a device; the data; a file.
use std::path::{Path, PathBuf};
use stmc_base::Diagnostic;
use stmc_ir::DeviceError;

/// Why the runtime could not go on.
#[derive(Debug)]
pub enum RunError {
    /// The program as written: a term of the loss is not a number, a part without samples.
    User(Box<Diagnostic>),
    /// The device.
    Device(DeviceError),
    /// The data: a file that cannot be read, or that has changed.
    Data(stmc_data::DataError),
    /// Another file, and what is wrong with it.
    File {
        /// Which.
        path: PathBuf,
        /// One clause: `no space left on device`.
        reason: String,
    },
    /// Tensors from outside do not fit the program.
    Tensor(String),
}

/// What most functions of the runtime give.
pub type Result<T> = std::result::Result<T, RunError>;

impl RunError {
    /// Something is wrong with a file.
    pub fn file(path: &Path, reason: impl std::fmt::Display) -> RunError {
        RunError::File { path: path.into(), reason: reason.to_string() }
    }
}

impl std::fmt::Display for RunError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            RunError::User(diagnostic) => f.write_str(&diagnostic.message),
            RunError::Device(error) => error.fmt(f),
            RunError::Data(error) => error.fmt(f),
            RunError::File { path, reason } => write!(f, "{}: {reason}", path.display()),
            RunError::Tensor(reason) => f.write_str(reason),
        }
    }
}

impl std::error::Error for RunError {}

impl From<DeviceError> for RunError {
    fn from(error: DeviceError) -> RunError {
        RunError::Device(error)
    }
}

impl From<stmc_data::DataError> for RunError {
    fn from(error: stmc_data::DataError) -> RunError {
        RunError::Data(error)
    }
}

impl From<Diagnostic> for RunError {
    fn from(diagnostic: Diagnostic) -> RunError {
        RunError::User(Box::new(diagnostic))
    }
}
