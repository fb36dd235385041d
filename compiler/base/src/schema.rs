//! What the compiler must know of the data before it reads any: variables, axes, extents, coordinates.
//! Made by the readers, printed by `stmc schema`, and `--schema FILE` stands in for absent data.
use serde::{Deserialize, Serialize};

/// The sources of one `data` block, in the order of its `from` lines.
#[derive(Clone, PartialEq, Default, Debug, Serialize, Deserialize)]
pub struct Schema {
    /// One per `from`.
    pub sources: Vec<SourceSchema>,
}

/// One source.
#[derive(Clone, PartialEq, Default, Debug, Serialize, Deserialize)]
pub struct SourceSchema {
    /// As the file says it: a path, a pattern or a generator.
    pub origin: String,
    /// What can be bound to a field.
    pub variables: Vec<Variable>,
}

/// An array in a source.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Variable {
    /// Its name there. Formats without names (NPY) and generators have one variable, with an empty name.
    pub name: String,
    /// `f32`, `i16`, …: the type on disk.
    pub dtype: String,
    /// Slowest first, the order on disk.
    pub axes: Vec<SchemaAxis>,
    /// `None`: the source does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
}

/// An axis of a variable.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct SchemaAxis {
    /// Empty where the format has no names: fields then bind by order.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Number of steps.
    pub extent: usize,
}
