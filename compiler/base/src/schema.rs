//! What the compiler must know of the data before it reads any: variables, axes, extents, coordinates.
//! Made by the readers, printed by `stmc schema`, and `--schema FILE` stands in for absent data.
use crate::date;
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
#[derive(Clone, PartialEq, Default, Debug, Serialize, Deserialize)]
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
    /// The names behind the values, in order, where a field asks for a category. `None`: nobody asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub categories: Option<Vec<String>>,
    /// The values, if this is a list that may serve as an axis's coordinates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coordinates: Option<Coordinates>,
}

/// An axis of a variable.
#[derive(Clone, PartialEq, Default, Debug, Serialize, Deserialize)]
pub struct SchemaAxis {
    /// Empty where the format has no names: fields then bind by order.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Number of steps.
    pub extent: usize,
    /// Where the steps are. `None`: nowhere but at 0, 1, 2 …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coordinates: Option<Coordinates>,
}

/// The places of an axis's steps.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Coordinates {
    /// Physical units, one number a step.
    Numbers(Vec<f64>),
    /// Numbers at equal distances.
    #[allow(missing_docs)] // the names say it
    Even { first: f64, step: f64 },
    /// Moments: days since 1970-01-01.
    Days(Vec<f64>),
    /// Moments at equal distances, from a date like `2001-01` on: so many months or days a step.
    #[allow(missing_docs)] // the names say it
    Dates {
        first: String,
        #[serde(default)]
        months: u32,
        #[serde(default)]
        days: f64,
    },
    /// One name a step.
    Names(Vec<String>),
}

impl Coordinates {
    /// Numbers, in the shorter form where they are evenly spaced to the last digit.
    pub fn numbers(numbers: Vec<f64>) -> Coordinates {
        let [first, second, ..] = numbers[..] else { return Coordinates::Numbers(numbers) };
        let step = second - first;
        match numbers.iter().enumerate().all(|(i, x)| *x == first + i as f64 * step) {
            true => Coordinates::Even { first, step },
            false => Coordinates::Numbers(numbers),
        }
    }

    /// Whether the steps are moments.
    pub fn is_time(&self) -> bool {
        matches!(self, Coordinates::Days(_) | Coordinates::Dates { .. })
    }

    /// The numbers of `extent` steps: physical units, days since 1970-01-01, or the numbers of names. `None`: there are not
    /// as many, or the first date is none.
    pub fn values(&self, extent: usize) -> Option<Vec<f64>> {
        let steps = || (0..extent).map(|i| i as f64);
        let values: Vec<f64> = match self {
            Coordinates::Numbers(numbers) | Coordinates::Days(numbers) => numbers.clone(),
            Coordinates::Even { first, step } => steps().map(|i| first + i * step).collect(),
            Coordinates::Names(names) => (0..names.len()).map(|i| i as f64).collect(),
            Coordinates::Dates { first, months, days } => {
                let first = date::parse(first)?;
                let step = |i: f64| date::months_later(first, (i * f64::from(*months)) as i64) + i * days;
                steps().map(step).collect()
            }
        };
        (values.len() == extent).then_some(values)
    }
}

impl SchemaAxis {
    /// An axis of an array without coordinates; its name may be empty.
    pub fn new(name: &str, extent: usize) -> SchemaAxis {
        SchemaAxis { name: name.into(), extent, coordinates: None }
    }
}

/// A variable, as a field names it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum VariableRef {
    /// Formats without names have only one.
    Named(String),
    /// `column(187)`
    Column(usize),
}

impl SourceSchema {
    /// The place of a variable among all. `None`: there is none of that name.
    pub fn position(&self, variable: &str) -> Option<usize> {
        self.variables.iter().position(|v| v.name == variable)
    }

    /// The variable. `None`: there is none.
    pub fn variable_mut(&mut self, variable: &VariableRef) -> Option<&mut Variable> {
        match variable {
            VariableRef::Named(name) if self.variables.len() > 1 => {
                self.variables.iter_mut().find(|v| v.name == *name)
            }
            VariableRef::Named(_) => self.variables.first_mut(),
            VariableRef::Column(n) => self.variables.iter_mut().filter(|v| v.axes.len() == 1).nth(*n),
        }
    }
}
