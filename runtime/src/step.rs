//! A few updates on one given batch: what comparisons with other programs are made from.
//!
//! The result holds `out.<name>`, `loss` (and `loss.<term>` if there are several), `grad.<path>`, `grad.input.<name>`, and for
//! each update n, counted from 1, `loss_before_step_<n>` and `after_<n>.<path>`, and `average_<n>.<path>` where averages of the
//! weights are kept.
use crate::error::{Result, RunError};
use crate::import::{self, Map, Wanted};
use crate::session::{Moment, Session};
use crate::tensor::{Named, Tensor};
use crate::update::Update;
use stmc_ir::Program;
use stmc_ir::module::{InputRole, OutputRole};
use stmc_ir::program::{BufferId, Entry};

/// Names of weights in files may begin so.
pub const WEIGHTS: &str = "param.";
const INPUTS: &str = "input.";
const MASKS: &str = "dropout_mask.";

/// Replaces the weights by those of a file, from which averages begin too.
pub fn load_weights(session: &mut Session<'_>, given: &Named, map: &Map) -> Result<()> {
    let found = import::pick(&wanted(session), given, map, WEIGHTS)?;
    session.set_weights(&found)?;
    session.set_averages(&found)
}

/// All weights, with their extents in disk order.
pub(crate) fn wanted(session: &Session<'_>) -> Vec<Wanted> {
    session.program.params.iter().map(|p| (p.path.clone(), extents(session, p.buffer))).collect()
}

/// Runs `count` updates on the batch in `given` (`input.<name>`, `dropout_mask.<path>`).
pub fn run(session: &mut Session<'_>, given: &Named, map: &Map, count: u64) -> Result<Named> {
    let train = session.required("train")?;
    let entry = session.at(train);
    load_batch(session, entry, given, map)?;
    let update = if count > 0 { Some(Update::new(session)?) } else { None };
    let mut results: Named = vec![];
    for n in 0..count.max(1) {
        let moment = Moment { step: n, updates: n, pass: n as u32 };
        session.run(train, moment)?;
        let terms = loss_terms(session, entry)?;
        let loss = Tensor::floats(vec![], [terms.iter().map(|t| t.1).sum::<f32>()]);
        if n == 0 {
            results.extend(first_results(session, entry)?);
            results.push(("loss".into(), loss.clone()));
            if terms.len() > 1 {
                results.extend(
                    terms.iter().map(|(name, x)| (format!("loss.{name}"), Tensor::floats(vec![], [*x]))),
                );
            }
        }
        let Some(update) = update else { break };
        results.push((format!("loss_before_step_{}", n + 1), loss));
        // A program that accumulates takes the mean over its micro-steps: here all of them see the same batch.
        let micro = session.module.train.as_ref().map_or(1, |settings| settings.accumulate);
        for _ in 0..micro {
            update.accumulate(session, moment)?;
        }
        update.apply(session, moment)?;
        for (kind, tensors) in [("after", session.weights()?), ("average", session.averages()?)] {
            results.extend(tensors.into_iter().map(|(path, t)| (format!("{kind}_{}.{path}", n + 1), t)));
        }
    }
    Ok(results)
}

/// What a batch must hold, with the masks: names and buffers. Empty: nothing is trained.
pub fn inputs(program: &Program) -> Vec<(String, BufferId)> {
    let entry = program.entries.iter().find(|e| e.name == "train");
    let all = |entry| {
        [INPUTS, MASKS]
            .map(|kind| ports(entry, kind).into_iter().map(move |(n, b)| (format!("{kind}{n}"), b)))
    };
    entry.map_or(vec![], |entry| all(entry).into_iter().flatten().collect())
}

/// The sample's parts, or the masks, without the beginning of their names.
fn ports(entry: &Entry, kind: &str) -> Vec<(String, BufferId)> {
    let name = |role: &InputRole| match role {
        InputRole::Named { name, .. } if kind == INPUTS => Some(name.clone()),
        // A layer's first draw goes by its path alone, the next ones by `path#1` ….
        InputRole::Mask { site, .. } if kind == MASKS => Some(site.strip_suffix("#0").unwrap_or(site).into()),
        _ => None,
    };
    entry.inputs.iter().filter_map(|port| Some((name(&port.role)?, port.buffer))).collect()
}

fn load_batch(session: &mut Session<'_>, entry: &Entry, given: &Named, map: &Map) -> Result<()> {
    for prefix in [INPUTS, MASKS] {
        let ports = ports(entry, prefix);
        if ports.is_empty() {
            continue;
        }
        let wanted: Vec<Wanted> = ports.iter().map(|(n, b)| (n.clone(), extents(session, *b))).collect();
        let found = import::pick(&wanted, given, map, prefix)?;
        for ((_, buffer), (_, tensor)) in ports.iter().zip(found) {
            session.write(*buffer, &tensor.bits_as(session.program.buffer(*buffer).dtype))?;
        }
    }
    let other = entry.inputs.iter().find(|p| matches!(p.role, InputRole::Slab { .. } | InputRole::Valid));
    match other {
        None => Ok(()),
        Some(_) => {
            Err(RunError::Tensor("the program reads its data from files, not from a given batch".into()))
        }
    }
}

/// Outputs, gradients of weights and of inputs.
fn first_results(session: &mut Session<'_>, entry: &Entry) -> Result<Named> {
    let module = session.module;
    let graph = module.entry(&entry.name).expect("an entry of the program was one of the module");
    let mut results: Named = vec![];
    for port in &entry.outputs {
        let name = match &port.role {
            OutputRole::Named { name, .. } => format!("out.{name}"),
            OutputRole::InputGradient(i) => match &graph.inputs[*i] {
                InputRole::Named { name, .. } => format!("grad.input.{name}"),
                _ => continue,
            },
            _ => continue,
        };
        results.push((name, session.tensor(port.buffer)?));
    }
    results.extend(session.gradients()?.into_iter().map(|(path, t)| (format!("grad.{path}"), t)));
    Ok(results)
}

fn loss_terms(session: &mut Session<'_>, entry: &Entry) -> Result<Vec<(String, f32)>> {
    let mut terms = vec![];
    for port in &entry.outputs {
        if let OutputRole::Loss { name, .. } = &port.role {
            terms.push((name.clone(), session.number(port.buffer)? as f32));
        }
    }
    Ok(terms)
}

fn extents(session: &Session<'_>, buffer: BufferId) -> Vec<usize> {
    session.program.buffer(buffer).dims.iter().map(|d| d.extent).collect()
}
