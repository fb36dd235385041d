//! Runs compiled programs: feeds them with data, trains, evaluates, predicts, and keeps what comes out in a run directory.
//! Knows no op and no backend; a device is a `&mut dyn Device`.

pub mod adopt;
pub mod config;
pub mod curves;
pub mod error;
pub mod feed;
pub mod files;
pub mod film;
pub mod folder;
pub mod frozen;
pub mod import;
mod init;
pub mod memory;
pub mod predict;
pub mod progress;
pub mod rehearsal;
pub mod report;
pub mod schedules;
pub mod score;
pub mod session;
pub mod signals;
pub mod start;
pub mod state;
pub mod step;
pub mod tensor;
pub mod train;
pub mod update;

pub use config::Config;
pub use error::{Result, RunError};
pub use feed::Data;
pub use folder::RunFolder;
pub use rehearsal::Rehearsal;
pub use session::{Moment, Session};
pub use tensor::{Named, Tensor};
pub use train::{Handed, Leg, Options, Outcome, Trainer, Watching};
