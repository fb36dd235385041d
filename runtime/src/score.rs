//! Metrics of a part: partial results of the batches are combined in f64, then finished by the metric's own graph.
use crate::error::Result;
use crate::session::Session;
use crate::tensor::Tensor;
use stmc_ir::interpret::{self, Context, Value};
use stmc_ir::module::{Combine, EntryGraph, Metric, OutputRole};
use stmc_ir::program::{BufferDim, Entry};
use stmc_ir::types::{Axes, DType, Type};

/// The value of a metric.
#[derive(Clone, PartialEq, Debug)]
pub struct Score {
    /// As in the file.
    pub name: String,
    /// Its unit, if the data say.
    pub unit: Option<String>,
    /// Names and extents of the axes it keeps.
    pub axes: Vec<(String, usize)>,
    /// Slowest axis first.
    pub values: Vec<f64>,
}

/// The partial results of an entry, combined over the batches so far.
pub struct Partials {
    /// One per output of the entry. `None`: it is no partial result, or no batch was added.
    sums: Vec<Option<Vec<f64>>>,
}

impl Score {
    /// Its value, if it keeps no axis.
    pub fn number(&self) -> Option<f64> {
        if self.axes.is_empty() { self.values.first().copied() } else { None }
    }

    /// For the log. JSON has no NaN: it becomes null.
    pub fn json(&self) -> serde_json::Value {
        match self.number() {
            Some(x) => x.into(),
            None => self.values.clone().into(),
        }
    }
}

impl Partials {
    /// Nothing yet.
    pub fn new(entry: &Entry) -> Partials {
        Partials { sums: vec![None; entry.outputs.len()] }
    }

    /// Adds what the last run of the entry gave.
    pub fn add(&mut self, session: &mut Session<'_>, entry: &Entry, graph: &EntryGraph) -> Result<()> {
        for (i, port) in entry.outputs.iter().enumerate() {
            let OutputRole::Partial(combine) = port.role else { continue };
            let tensor = session.tensor(port.buffer)?;
            let dims = &session.program.buffer(port.buffer).dims;
            let now = canonical(&tensor, dims, graph.graph.ty(graph.output(i)), &session.module.axes);
            match &mut self.sums[i] {
                Some(sums) => sums.iter_mut().zip(now).for_each(|(sum, x)| *sum = combined(combine, *sum, x)),
                none => *none = Some(now),
            }
        }
        Ok(())
    }

    /// The value of a metric.
    pub fn finish(&self, metric: &Metric, axes: &Axes, host: &[f64]) -> Score {
        let types = metric.finish.inputs();
        let input = |i: usize, output: &usize| {
            let data = self.sums[*output].clone().expect("a metric is finished after a batch");
            // An input that the graph does not mention has no type there, and nobody reads it.
            let ty = types.iter().find(|t| t.0 == i).map_or(Type::scalar(DType::F32), |t| t.1.clone());
            Value { ty, data }
        };
        let inputs: Vec<Value> = metric.partials.iter().enumerate().map(|(i, p)| input(i, p)).collect();
        let context = Context { host: host.to_vec(), ..Context::default() };
        let results = interpret::run(&metric.finish, &inputs, &context);
        let value = results.into_iter().next().expect("a metric has one result");
        let names = metric.axes.iter().map(|a| {
            let extent = value.ty.extent(*a).expect("a metric keeps the axes that it names");
            (axes.name(*a).to_string(), extent)
        });
        let names: Vec<(String, usize)> = names.collect();
        Score {
            name: metric.name.clone(),
            unit: metric.unit.clone(),
            values: in_order(&value, metric),
            axes: names,
        }
    }
}

/// A table of scores: one column per part.
pub fn table(parts: &[(String, Vec<Score>)]) -> String {
    let Some((_, first)) = parts.first() else { return String::new() };
    let mut rows =
        vec![[String::new()].into_iter().chain(parts.iter().map(|p| p.0.clone())).collect::<Vec<_>>()];
    for score in first {
        let name = match &score.axes[..] {
            [] => score.name.clone(),
            axes => {
                let names: Vec<&str> = axes.iter().map(|a| &a.0[..]).collect();
                format!("{} by {}", score.name, names.join(", "))
            }
        };
        let of_part = |p: &(String, Vec<Score>)| {
            p.1.iter().find(|s| s.name == score.name).map_or_else(String::new, Score::text)
        };
        rows.push([name].into_iter().chain(parts.iter().map(of_part)).collect());
    }
    let width = |c: usize| rows.iter().map(|r| r[c].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, w)| format!("{cell:<w$}"));
        format!("  {}", cells.collect::<Vec<_>>().join("  ")).trim_end().to_string() + "\n"
    };
    rows.iter().map(line).collect()
}

impl Score {
    /// The numbers with their unit; of many, the first and the last.
    fn text(&self) -> String {
        let shown: Vec<String> = match &self.values[..] {
            values if values.len() <= 8 => values.iter().map(|x| digits(*x)).collect(),
            values => {
                let ends = [values[0], values[1], values[values.len() - 1]].map(digits);
                vec![ends[0].clone(), ends[1].clone(), "…".into(), ends[2].clone()]
            }
        };
        shown.into_iter().chain(self.unit.clone()).collect::<Vec<_>>().join(" ")
    }
}

/// Four significant digits; `-` where there is no value: nothing that is not missing, or 0 / 0.
pub fn digits(x: f64) -> String {
    let size = x.abs();
    if x.is_nan() {
        return "-".into();
    }
    if x == 0.0 || !x.is_finite() {
        return x.to_string();
    }
    if !(1e-4..1e6).contains(&size) {
        return format!("{x:.3e}");
    }
    let decimals = (3 - size.log10().floor() as i32).max(0) as usize;
    format!("{x:.decimals$}")
}

fn combined(combine: Combine, a: f64, b: f64) -> f64 {
    match combine {
        Combine::Sum => a + b,
        // A NaN stays: `f64::min` would drop it.
        Combine::Min if b < a || b.is_nan() => b,
        Combine::Max if b > a || b.is_nan() => b,
        Combine::Min | Combine::Max => a,
    }
}

/// A tensor in the order of a buffer's dims, as the interpreter wants it: over the sorted axes of its type.
fn canonical(tensor: &Tensor, dims: &[BufferDim], ty: &Type, axes: &Axes) -> Vec<f64> {
    let mut order: Vec<usize> = vec![];
    for d in ty.dims() {
        let fits = |i: &usize| {
            !order.contains(i) && dims[*i].axis == axes.name(d.axis) && dims[*i].extent == d.extent
        };
        order.push((0..dims.len()).find(fits).expect("a buffer has the axes of its tensor"));
    }
    tensor.permute(&order).bits.iter().map(|b| interpret::from_bits(*b, tensor.dtype)).collect()
}

/// The elements of a metric's value in the order of the axes it names.
fn in_order(value: &Value, metric: &Metric) -> Vec<f64> {
    let strides = value.ty.strides();
    let place = |a| value.ty.dims().iter().position(|d| d.axis == a);
    let dims = metric.axes.iter().map(|a| place(*a).expect("a metric keeps the axes that it names"));
    let mut places = vec![0];
    for i in dims {
        let (extent, stride) = (value.ty.dims()[i].extent, strides[i]);
        places = places.iter().flat_map(|p| (0..extent).map(move |i| p + i * stride)).collect();
    }
    places.into_iter().map(|p| value.data[p]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_lines_up_and_names_units_and_axes() {
        let score = |name: &str, unit: Option<&str>, axes: &[(&str, usize)], values: &[f64]| Score {
            name: name.into(),
            unit: unit.map(str::to_string),
            axes: axes.iter().map(|a| (a.0.to_string(), a.1)).collect(),
            values: values.to_vec(),
        };
        let part = |x: f64| {
            vec![
                score("error", Some("mm/h"), &[], &[x]),
                score("csi", None, &[("time", 3)], &[x, 0.5, f64::NAN]),
                score(
                    "map",
                    None,
                    &[("row", 3), ("col", 3)],
                    &[1e-7, 2.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 123_456.7],
                ),
            ]
        };
        let text = table(&[("valid".into(), part(1.0)), ("test".into(), part(0.98765))]);
        let expected = "                   valid                       test
  error            1.000 mm/h                  0.9877 mm/h
  csi by time      1.000 0.5000 -              0.9877 0.5000 -
  map by row, col  1.000e-7 2.000 … 123457     1.000e-7 2.000 … 123457
";
        assert_eq!(text.replace(' ', ""), expected.replace(' ', ""));
        let starts: Vec<usize> = text.lines().map(|l| l.find("1.000").or(l.find("valid")).unwrap()).collect();
        assert!(starts.iter().all(|s| *s == starts[0]), "{text}");
    }

    #[test]
    fn extremes_keep_nan() {
        assert!(
            combined(Combine::Min, 1.0, f64::NAN).is_nan() && combined(Combine::Max, f64::NAN, 1.0).is_nan()
        );
        assert_eq!((combined(Combine::Min, 1.0, 2.0), combined(Combine::Max, 1.0, 2.0)), (1.0, 2.0));
    }
}
