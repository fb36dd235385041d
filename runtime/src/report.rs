//! What is made of a trained model: the scores of parts, and the film of a sample.
//!
//! A film needs the entry `show`: it reads the slabs of samples and gives the model's outputs as `out.<name>` and the parts of
//! the sample as `sample.<name>`. Programs without it have no film.
use crate::error::Result;
use crate::feed::{self, Data};
use crate::film::{Film, Image, Kind};
use crate::folder;
use crate::score::Score;
use crate::session::{Moment, Session};
use crate::state::State;
use crate::tensor::Tensor;
use crate::train::restore_fits;
use std::collections::BTreeSet;
use std::path::Path;
use stmc_data::Position;
use stmc_ir::module::{InputRole, OutputRole};
use stmc_ir::program::BufferDim;

/// All metrics of these parts with the weights that a run kept. Fitted values are those of the run.
pub fn evaluate(
    session: &mut Session<'_>,
    data: &Data,
    run: &Path,
    parts: &[&str],
) -> Result<Vec<(String, Vec<Score>)>> {
    restore_fits(data, run, folder::kept(run)?.state.phase)?;
    let step = load_kept(session, run)?.clock.schedules;
    let module = session.module;
    let metrics = module.train.as_ref().map_or(&[][..], |t| &t.metrics);
    let mut scores = vec![];
    for part in parts {
        if let Some(feed) = feed::evaluation(session, data, "eval", part)? {
            scores.push((part.to_string(), feed::scores(session, &feed, metrics, step)?));
        }
    }
    Ok(scores)
}

/// Gives a session the weights that a run kept. Where training stood then.
pub fn load_kept(session: &mut Session<'_>, run: &Path) -> Result<State> {
    let kept = folder::kept(run)?;
    session.set_weights(&kept.weights)?;
    session.set_averages(&kept.averages)?;
    session.schedules.restore(&kept.state.schedules);
    Ok(kept.state)
}

/// The liveliest sample of the batch in the middle of a part, north at the top. `None`: the model forecasts no images, or the part is empty.
pub fn film(session: &mut Session<'_>, data: &Data, part: &str, step: u64) -> Result<Option<Film>> {
    let Some(feed) = feed::evaluation(session, data, "show", part)? else { return Ok(None) };
    // Not the last, which may be filled up.
    let middle = Position { epoch: 0, batch: feed.batches().saturating_sub(1) / 2 };
    if feed.stream(middle, 1).next(session)?.is_none() {
        return Ok(None);
    }
    session.run(feed.entry, Moment::evaluation(step))?;
    let mut shown = vec![];
    for port in &session.at(feed.entry).outputs {
        if let OutputRole::Named { name, .. } = &port.role {
            let dims = session.program.buffer(port.buffer).dims.clone();
            shown.push(Shown { name, dims, tensor: session.tensor(port.buffer)? });
        }
    }
    let inputs: Vec<String> = session.program.entry("predict").map_or(vec![], |entry| {
        let name = |role: &InputRole| match role {
            InputRole::Named { name, .. } => Some(format!("sample.{name}")),
            _ => None,
        };
        entry.inputs.iter().filter_map(|port| name(&port.role)).collect()
    });
    let samples = feed.samples().min(session.at(feed.entry).batch);
    Ok(compose(&shown, &inputs, samples, &|axis| LATITUDE.contains(&axis) && data.set.grows(axis)))
}

/// Names of the axis from south to north: where its coordinates grow, the first row is the southernmost.
const LATITUDE: [&str; 2] = ["lat", "latitude"];

/// A tensor that `show` gave.
struct Shown<'a> {
    name: &'a str,
    dims: Vec<BufferDim>,
    tensor: Tensor,
}

/// Looks for an output and the part of the sample that it forecasts. The rows of an axis that goes upwards are turned around.
fn compose(
    shown: &[Shown<'_>],
    inputs: &[String],
    samples: usize,
    upwards: &dyn Fn(&str) -> bool,
) -> Option<Film> {
    let parts = || shown.iter().filter(|s| s.name.starts_with("sample."));
    for output in shown.iter().filter(|s| s.name.starts_with("out.")) {
        let same_name = format!("sample.{}", &output.name["out.".len()..]);
        let fits = |s: &&Shown<'_>| !inputs.iter().any(|i| i == s.name) && s.shape() == output.shape();
        let truth = parts().filter(fits).max_by_key(|s| s.name == same_name);
        let Some(truth) = truth.filter(|t| t.layout().is_some()) else { continue };
        let sample = (0..samples).max_by(|a, b| truth.contrast(*a).total_cmp(&truth.contrast(*b)))?;
        let image_axes = output.layout()?.image_axes(&output.dims);
        let past = parts().find(|s| {
            inputs.iter().any(|i| i == s.name)
                && s.layout().is_some_and(|l| l.image_axes(&s.dims) == image_axes)
        });
        let is_upwards = upwards(image_axes[0].0);
        let frames = |s: &Shown<'_>| -> Vec<Image> {
            let frames = s.frames(sample).into_iter();
            frames.map(|frame| if is_upwards { frame.turned() } else { frame }).collect()
        };
        return Some(Film {
            past: past.map_or(vec![], frames),
            kind: if past.is_some_and(|p| p.is_like(truth)) { Kind::Same } else { Kind::Other },
            truth: frames(truth),
            forecast: frames(output),
        });
    }
    None
}

/// Which dims are what.
struct Layout {
    frames: Option<usize>,
    rows: usize,
    cols: usize,
}

impl Layout {
    fn image_axes<'d>(&self, dims: &'d [BufferDim]) -> [(&'d str, usize); 2] {
        [self.rows, self.cols].map(|d| (&dims[d].axis[..], dims[d].extent))
    }
}

impl Shown<'_> {
    fn shape(&self) -> Vec<(&str, usize)> {
        self.dims.iter().map(|d| (&d.axis[..], d.extent)).collect()
    }

    /// Whether both have the same axes; there may be more time in one. Where one has channels, its first is likely something else.
    fn is_like(&self, other: &Shown<'_>) -> bool {
        let axes = |s: &Shown<'_>| -> BTreeSet<String> {
            s.dims.iter().map(|d| d.axis.to_string()).filter(|a| a != "time").collect()
        };
        axes(self) == axes(other)
    }

    /// Images are two axes; a third, or `time`, gives the frames; of `channel` the first is shown. `None`: no images.
    fn layout(&self) -> Option<Layout> {
        let is = |d: usize, name: &str| self.dims[d].axis == name;
        let others = (0..self.dims.len()).filter(|d| !is(*d, "batch") && !is(*d, "channel"));
        let (time, space): (Vec<usize>, Vec<usize>) = others.partition(|d| is(*d, "time"));
        match (&time[..], &space[..]) {
            ([], &[rows, cols]) => Some(Layout { frames: None, rows, cols }),
            (&[time], &[rows, cols]) => Some(Layout { frames: Some(time), rows, cols }),
            ([], &[frames, rows, cols]) => Some(Layout { frames: Some(frames), rows, cols }),
            _ => None,
        }
    }

    fn frames(&self, sample: usize) -> Vec<Image> {
        let layout = self.layout().expect("only images are shown");
        let mut strides = vec![1; self.dims.len()];
        for i in (1..strides.len()).rev() {
            strides[i - 1] = strides[i] * self.dims[i].extent;
        }
        let start = self.dims.iter().position(|d| d.axis == "batch").map_or(0, |d| sample * strides[d]);
        let (rows, cols) = (self.dims[layout.rows].extent, self.dims[layout.cols].extent);
        let numbers: Vec<f32> = self.tensor.numbers().collect();
        let image = |frame: usize| {
            let start = start + layout.frames.map_or(0, |d| frame * strides[d]);
            let places =
                (0..rows * cols).map(|i| i / cols * strides[layout.rows] + i % cols * strides[layout.cols]);
            Image { rows, cols, values: places.map(|p| numbers[start + p]).collect() }
        };
        (0..layout.frames.map_or(1, |d| self.dims[d].extent)).map(image).collect()
    }

    /// The variance of a sample's pixels.
    fn contrast(&self, sample: usize) -> f64 {
        let frames = self.frames(sample);
        let values: Vec<f64> =
            frames.iter().flat_map(|i| &i.values).filter(|x| x.is_finite()).map(|x| f64::from(*x)).collect();
        let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
        values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / values.len().max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown<'a>(name: &'a str, dims: &[(&str, usize)], value: impl Fn(usize) -> f32) -> Shown<'a> {
        let named = dims.iter().map(|d| BufferDim { axis: d.0.into(), extent: d.1, stride: 0 }).collect();
        let shape: Vec<usize> = dims.iter().map(|d| d.1).collect();
        let count = shape.iter().product();
        Shown { name, dims: named, tensor: Tensor::floats(shape, (0..count).map(value)) }
    }

    #[test]
    fn the_film_shows_past_truth_and_forecast_of_one_sample() {
        let dims = |frames: usize| [("batch", 3), ("time", frames), ("row", 2), ("col", 2)];
        // Sample 1 has the greatest contrast, but for sample 2, which is padding.
        let lively = |i: usize| [0.0, 5.0, 9.0][i / 12] * (i % 2) as f32;
        let all = [
            shown("out.score", &[("batch", 3)], |_| 0.0),
            shown("out.forecast", &dims(3), |i| i as f32),
            shown("sample.past", &dims(1), |i| 100.0 + i as f32),
            shown("sample.future", &dims(3), lively),
        ];
        let down = |_: &str| false;
        let film = compose(&all, &["sample.past".into()], 2, &down).unwrap();
        assert_eq!(film.past, [Image { rows: 2, cols: 2, values: vec![104.0, 105.0, 106.0, 107.0] }]);
        assert_eq!((film.truth.len(), film.kind), (3, Kind::Same));
        assert_eq!(film.forecast[1].values, [16.0, 17.0, 18.0, 19.0]);
        let channels = [("batch", 3), ("time", 4), ("channel", 2), ("row", 2), ("col", 2)];
        let rain = [
            shown("out.rain", &dims(1), |i| i as f32),
            shown("sample.past", &channels, |i| i as f32),
            shown("sample.rain", &dims(1), |i| i as f32),
        ];
        let film = compose(&rain, &["sample.past".into()], 2, &down);
        assert_eq!(film.map(|f| (f.past.len(), f.kind)), Some((4, Kind::Other)));
        assert_eq!(compose(&all[..1], &[], 2, &down), None);
        let film = compose(&all, &["sample.past".into()], 2, &|axis| axis == "row").unwrap();
        assert_eq!(film.past[0].values, [106.0, 107.0, 104.0, 105.0]);
        assert_eq!(film.forecast[1].values, [18.0, 19.0, 16.0, 17.0]);
        let without_truth = [shown("out.forecast", &dims(3), lively), shown("sample.past", &dims(3), lively)];
        assert_eq!(compose(&without_truth, &["sample.past".into()], 2, &down), None);
    }
}
