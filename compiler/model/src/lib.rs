//! From syntax trees to typed graphs: names are resolved, statics evaluated, layers inlined, axes and extents checked.
//! Every mistake that a user can make is found here, but for those in the text's form (`stmc-syntax`) and in the data's
//! bytes (`stmc-data`).
//!
//! The phases stand apart because the data are opened between them: `resolve`, `data_sources`, (readers give a schema)
//! `data_plan`, (readers count samples) `elaborate`.

mod arith;
mod axis;
mod buffers;
mod builtins;
mod call;
mod choice;
mod data;
mod elab;
mod elaborate;
mod expr;
mod facts;
mod fit;
mod groups;
mod habits;
mod host;
mod initial;
mod interpolate;
mod layer;
pub mod library;
mod live;
mod metric;
mod missing;
mod names;
mod optimizer;
mod order;
mod part_loss;
mod periodic;
mod phases;
mod pointwise;
mod reduce;
mod resolve;
mod scan;
mod scope;
mod settings;
mod shape;
mod train;
mod tune;
mod units;
mod value;
pub mod vocabulary;
mod watch;
mod weights;

pub use choice::Choice;
pub use elaborate::{Counts, Request, data_categories, data_plan, data_sources, elaborate, inspect, seed};
pub use facts::{Fact, Facts};
pub use phases::{check_phases, phases};
pub use resolve::{Binding, ItemRef, Resolved, Unit, resolve, resolve_what_parses};
pub use settings::Settings;
pub use tune::{Domain, Search, Tuning, tuning};
