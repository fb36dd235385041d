//! A run that begins with weights made elsewhere: every weight is there with its shape, and nothing is left over, or nothing is
//! done and all that does not fit is told at once.
//!
//! Names decide, and a map; never the order of tensors, which such files do not keep.
use crate::error::{Result, RunError};
use crate::feed::Data;
use crate::folder::{Checkpoint, Life, Mark, RunFolder};
use crate::frozen::FITS;
use crate::import::{self, Map};
use crate::session::Session;
use crate::state::State;
use crate::tensor::{Named, Tensor};
use crate::train::keep_fits;
use serde_json::json;
use std::collections::BTreeSet;
use std::path::PathBuf;
use stmc_ir::Module;
use stmc_ir::module::InputRole;

/// What became of a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Adopted {
    /// The run directory.
    pub path: PathBuf,
    /// Weights that were taken.
    pub taken: usize,
    /// Weights that the map lets be drawn.
    pub drawn: Vec<String>,
    /// Tensors of the file that the map leaves out, or that nothing here needs: counts of batches, and what another run has fitted.
    pub ignored: Vec<String>,
}

/// A weight of the model.
struct Weight {
    path: String,
    /// Names and extents of its axes in disk order.
    dims: Vec<(String, usize)>,
}

/// PyTorch counts batches beside running statistics.
const COUNTER: &str = "num_batches_tracked";

/// Replaces first weights by those of a file (called `source` in messages), and saves them as the first checkpoint of a run.
/// `data`: what `fit` finds in them belongs to the run; `None`: there are none.
pub fn adopt(
    session: &mut Session<'_>,
    data: Option<&Data>,
    (source, given): (&str, &Named),
    map: &Map,
    folder: impl FnOnce() -> Result<RunFolder>,
) -> Result<Adopted> {
    let found = matching(&wanted(session), given, map).map_err(|wrong| mistakes(source, &wrong))?;
    let weights = session.begin_with(&found.taken)?;
    let mut folder = folder()?;
    if let Some(data) = data {
        keep_fits(session, data, folder.path(), 0)?;
    }
    let Matching { taken, drawn, ignored } = found;
    let taken = taken.len();
    folder.append(&json!({ "import": source, "taken": taken, "drawn": drawn, "ignored": ignored }))?;
    let mut checkpoint = Checkpoint {
        weights,
        averages: session.averages()?,
        moments: session.moments()?,
        state: State { schedules: session.schedules.saved(), ..State::default() },
        life: Life::Marked,
    };
    folder.save(&mut checkpoint, Mark::Last)?;
    Ok(Adopted { path: folder.path().to_path_buf(), taken, drawn, ignored })
}

/// A file that fits.
struct Matching {
    taken: Named,
    drawn: Vec<String>,
    ignored: Vec<String>,
}

fn wanted(session: &Session<'_>) -> Wanted {
    let weight = |p: &stmc_ir::program::ProgramParam| {
        let dims = session.program.buffer(p.buffer).dims.iter().map(|d| (d.axis.clone(), d.extent));
        Weight { path: p.path.clone(), dims: dims.collect() }
    };
    Wanted { weights: session.program.params.iter().map(weight).collect(), grid: grid(session.module) }
}

/// What the model wants.
struct Wanted {
    weights: Vec<Weight>,
    /// Names of the axes that inputs and data bring along.
    grid: BTreeSet<String>,
}

fn grid(module: &Module) -> BTreeSet<String> {
    let fields = module.data.iter().flat_map(|plan| &plan.fields).flat_map(|f| &f.axes);
    let mut names: BTreeSet<String> = fields.map(|(name, _)| name.clone()).collect();
    for role in module.entry("predict").iter().flat_map(|e| &e.inputs) {
        if let InputRole::Named { axes, .. } = role {
            names.extend(axes.iter().map(|a| module.axes.name(*a).to_string()));
        }
    }
    names
}

/// Weights that tensors of their names do not fit, all told at once.
pub(crate) fn fits(session: &Session<'_>, source: &str, given: &Named, prefix: &str) -> Result<()> {
    let wanted = wanted(session);
    let mut wrong = vec![];
    for weight in &wanted.weights {
        let tensor = import::made(&weight.path, given, &Map::default(), prefix)?;
        if let Some(tensor) = tensor.filter(|t| t.clone().shaped(&weight.extents()).is_none()) {
            wrong.push(misshapen(weight, &tensor, &wanted.grid));
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(mistakes(source, &wrong)) }
}

/// Every weight with its tensor, or all that is wrong.
fn matching(wanted: &Wanted, given: &Named, map: &Map) -> std::result::Result<Matching, Vec<String>> {
    let mut found = Matching { taken: vec![], drawn: vec![], ignored: vec![] };
    let (mut wrong, mut missing, mut used) = (vec![], vec![], BTreeSet::new());
    for weight in &wanted.weights {
        let sources = import::sources(&weight.path, map);
        match import::made(&weight.path, given, map, "") {
            Err(error) => wrong.push(error.to_string()),
            Ok(None) if begins(&weight.path, &map.draw) => found.drawn.push(weight.path.clone()),
            Ok(None) => missing.push((weight, sources[0].clone())),
            Ok(Some(tensor)) => match tensor.clone().shaped(&weight.extents()) {
                Some(tensor) => found.taken.push((weight.path.clone(), tensor)),
                None if begins(&weight.path, &map.draw) => found.drawn.push(weight.path.clone()),
                None => wrong.push(misshapen(weight, &tensor, &wanted.grid)),
            },
        }
        used.extend(sources);
    }
    let left = |name: &str| !used.contains(name);
    let (ignored, over): (Vec<_>, Vec<_>) = given.iter().filter(|t| left(&t.0)).partition(|(name, _)| {
        let needless = name.starts_with(FITS) || name.rsplit('.').next() == Some(COUNTER);
        needless || begins(name, &map.ignore)
    });
    found.ignored = ignored.iter().map(|t| t.0.clone()).collect();
    wrong.extend(missing.iter().map(|(weight, there)| absent(weight, there, &over)));
    wrong.extend(over.iter().map(|(name, tensor)| {
        format!(
            "`{name}` {:?} of the file is no weight here; `ignore = [\"{name}\"]` in the map leaves it out",
            tensor.shape
        )
    }));
    if wrong.is_empty() { Ok(found) } else { Err(wrong) }
}

fn begins(name: &str, starts: &[String]) -> bool {
    starts.iter().any(|start| name.starts_with(&start[..]))
}

fn misshapen(weight: &Weight, tensor: &Tensor, grid: &BTreeSet<String>) -> String {
    let mut said =
        format!("`{}` is {} in the model, {:?} in the file", weight.path, weight.shape(), tensor.shape);
    let differs = |(n, (name, extent)): (usize, &(String, usize))| {
        (tensor.shape.get(n) != Some(extent) && grid.contains(name)).then(|| (name.clone(), *extent))
    };
    if tensor.shape.len() == weight.dims.len()
        && let Some((name, extent)) = weight.dims.iter().enumerate().find_map(differs)
    {
        said += &format!(": it belongs to a grid whose `{name}` is not {extent}");
    }
    said + &format!("; `draw = [\"{}\"]` in a map of `stmc import` draws it anew", weight.path)
}

/// A tensor that is left over and has the shape is probably it.
fn absent(weight: &Weight, there: &str, over: &[&(String, Tensor)]) -> String {
    let mut said = format!("`{}` {} is not in the file", weight.path, weight.shape());
    if there != weight.path {
        said += &format!(" (as `{there}`)");
    }
    let alike: Vec<&str> = over.iter().filter(|t| t.1.shape == weight.extents()).map(|t| &t.0[..]).collect();
    if let [name] = alike[..] {
        said += &format!(
            "; `{name}` has its shape: `[rename]` with `\"{}\" = \"{name}\"` in a map?",
            weight.path
        );
    }
    said
}

fn mistakes(source: &str, wrong: &[String]) -> RunError {
    let lines: Vec<String> = wrong.iter().map(|line| format!("\n  {line}")).collect();
    RunError::Tensor(format!("{source} does not fit the model{}", lines.concat()))
}

impl Weight {
    fn extents(&self) -> Vec<usize> {
        self.dims.iter().map(|d| d.1).collect()
    }

    /// `[unit: 8, channel: 2]`
    fn shape(&self) -> String {
        let dims: Vec<String> = self.dims.iter().map(|(name, extent)| format!("{name}: {extent}")).collect();
        format!("[{}]", dims.join(", "))
    }
}

impl Adopted {
    /// For people.
    pub fn text(&self) -> String {
        let mut text = format!("{} weights taken", self.taken);
        if !self.drawn.is_empty() {
            text += &format!("; drawn, as the map says: {}", self.drawn.join(", "));
        }
        if !self.ignored.is_empty() {
            text += &format!("; left out: {}", self.ignored.join(", "));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zeros(shape: &[usize]) -> Tensor {
        Tensor::floats(shape.to_vec(), vec![0.0; shape.iter().product()])
    }

    fn weight(path: &str, dims: &[(&str, usize)]) -> Weight {
        Weight { path: path.into(), dims: dims.iter().map(|(name, n)| (name.to_string(), *n)).collect() }
    }

    /// A model of a convolution, a map on the grid and a head, and a file.
    fn check(given: &[(&str, &[usize])], map: &str) -> std::result::Result<(usize, usize), Vec<String>> {
        let weights = vec![
            weight("conv.weight", &[("unit", 4), ("channel", 2), ("tap(row)", 3)]),
            weight("map", &[("row", 8)]),
            weight("head.bias", &[("out", 5)]),
        ];
        let wanted = Wanted { weights, grid: BTreeSet::from(["row".to_string()]) };
        let given: Named = given.iter().map(|(name, shape)| (name.to_string(), zeros(shape))).collect();
        let map: Map = toml::from_str(map).unwrap();
        matching(&wanted, &given, &map).map(|found| (found.taken.len(), found.ignored.len()))
    }

    #[test]
    fn a_file_fits_when_every_weight_is_there_and_nothing_is_left_over() {
        let whole: &[(&str, &[usize])] =
            &[("head.bias", &[5]), ("conv.weight", &[4, 2, 1, 3]), ("map", &[8])];
        assert_eq!(check(whole, ""), Ok((3, 0)));
        let counted = [whole, &[("bn.num_batches_tracked", &[]), ("old.x", &[2])]].concat();
        assert_eq!(check(&counted, "ignore = [\"old.\"]"), Ok((3, 2)));
        assert_eq!(check(&whole[1..], "draw = [\"head.\"]"), Ok((2, 0)));
        let of_another_grid: &[(&str, &[usize])] = &[whole[0], whole[1], ("map", &[16])];
        assert_eq!(check(of_another_grid, "draw = [\"map\"]"), Ok((2, 0)));
        let renamed: &[(&str, &[usize])] = &[("net.bias", &[5]), ("conv.weight", &[4, 2, 3]), ("map", &[8])];
        assert_eq!(check(renamed, "[rename]\n\"head.\" = \"net.\""), Ok((3, 0)));
    }

    #[test]
    fn all_that_does_not_fit_is_told_at_once() {
        let given: &[(&str, &[usize])] = &[("conv.weight", &[4, 3, 3]), ("map", &[16]), ("fc.bias", &[5])];
        let expected = [
            "`conv.weight` is [unit: 4, channel: 2, tap(row): 3] in the model, [4, 3, 3] in the file; `draw = [\"conv.weight\"]` in a map of `stmc import` draws it anew",
            "`map` is [row: 8] in the model, [16] in the file: it belongs to a grid whose `row` is not 8; `draw = [\"map\"]` in a map of `stmc import` draws it anew",
            "`head.bias` [out: 5] is not in the file; `fc.bias` has its shape: `[rename]` with `\"head.bias\" = \"fc.bias\"` in a map?",
            "`fc.bias` [5] of the file is no weight here; `ignore = [\"fc.bias\"]` in the map leaves it out",
        ];
        assert_eq!(check(given, ""), Err(expected.map(str::to_string).to_vec()));
    }
}
