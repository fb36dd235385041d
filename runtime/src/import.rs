//! Weights from elsewhere: by path where names agree, else by order and shape; a map file says what neither can know.
//! Sole user of toml.
//!
//! ```toml
//! ignore = ["classifier."]               # their tensors of no use here
//! draw   = ["head."]                     # our weights that the file lacks, or has in another shape
//!
//! [rename]                               # the start of a name here = the start of the name there
//! "cells." = "encoder.layers."
//!
//! [tensor."gates.weight"]                # a tensor of ours, from one or several of theirs
//! from    = ["conv_x.weight", "conv_h.weight"]
//! concat  = 1                            # along this dimension; needed with several
//! squeeze = [2]                          # drops dimensions of extent 1
//! slice   = [[0, 0, 64]]                 # dimension, from, to
//! permute = [1, 0, 2, 3]                 # our dimension i is their dimension permute[i]
//! ```
//!
//! Of a tensor's keys, `squeeze` and `slice` apply to each part, then `concat`, then `permute`.
use crate::error::{Result, RunError};
use crate::files;
use crate::tensor::{Named, Tensor};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// A map file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Map {
    /// Starts of their names: these tensors may be left over (`stmc import`).
    #[serde(default)]
    pub ignore: Vec<String>,
    /// Starts of our names: weights that the file lacks, or has in another shape, and that are drawn (`stmc import`).
    #[serde(default)]
    pub draw: Vec<String>,
    /// Starts of names: ours to theirs.
    #[serde(default)]
    pub rename: BTreeMap<String, String>,
    /// By our name.
    #[serde(default)]
    pub tensor: BTreeMap<String, Recipe>,
}

/// How a tensor of ours is made of theirs.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    from: Names,
    concat: Option<usize>,
    #[serde(default)]
    squeeze: Vec<usize>,
    #[serde(default)]
    slice: Vec<(usize, usize, usize)>,
    permute: Option<Vec<usize>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Names {
    One(String),
    Several(Vec<String>),
}

/// A tensor that is wanted: its name and extents.
pub type Wanted = (String, Vec<usize>);

/// Reads a map file.
pub fn read_map(path: &Path) -> Result<Map> {
    toml::from_str(&files::read_text(path)?).map_err(|e| RunError::file(path, e.to_string().trim_end()))
}

/// The tensors wanted, out of those given. Names beginning with `prefix` (`param.`) are tried with and without it.
pub fn pick(wanted: &[Wanted], given: &Named, map: &Map, prefix: &str) -> Result<Named> {
    let named = |(name, shape): &Wanted| {
        let found = made(name, given, map, prefix)?;
        found.map(|tensor| fitting(name, shape, tensor)).transpose()
    };
    let by_name: Vec<Option<Tensor>> = wanted.iter().map(named).collect::<Result<_>>()?;
    if by_name.iter().all(Option::is_none) && map.tensor.is_empty() && map.rename.is_empty() {
        return by_order(wanted, given, prefix);
    }
    let named = wanted.iter().zip(by_name).map(|((name, _), tensor)| {
        let missing = || RunError::Tensor(format!("there is no tensor `{}`", renamed(name, map)));
        Ok((name.clone(), tensor.ok_or_else(missing)?))
    });
    named.collect()
}

/// No name agrees: the n-th tensor is ours if the number of tensors and all shapes do.
fn by_order(wanted: &[Wanted], given: &Named, prefix: &str) -> Result<Named> {
    let ours: Vec<&(String, Tensor)> = match given.iter().any(|t| t.0.starts_with(prefix)) {
        true => given.iter().filter(|t| t.0.starts_with(prefix)).collect(),
        false => given.iter().collect(),
    };
    if ours.len() != wanted.len() {
        let reason =
            format!("no name agrees, and there are {} tensors for {} weights", ours.len(), wanted.len());
        return Err(RunError::Tensor(reason));
    }
    let pairs = wanted.iter().zip(ours);
    pairs.map(|((name, shape), (_, t))| Ok((name.clone(), fitting(name, shape, t.clone())?))).collect()
}

fn fitting(name: &str, shape: &[usize], tensor: Tensor) -> Result<Tensor> {
    let there = tensor.shape.clone();
    let wrong = || RunError::Tensor(format!("`{name}` is {shape:?} in the model, {there:?} in the file"));
    tensor.shaped(shape).ok_or_else(wrong)
}

/// What the file has for a weight of ours, in whatever shape. `None`: nothing of the name that it has there.
pub(crate) fn made(name: &str, given: &Named, map: &Map, prefix: &str) -> Result<Option<Tensor>> {
    match map.tensor.get(name) {
        Some(recipe) => recipe.make(name, given, prefix).map(Some),
        None => Ok(find(given, &renamed(name, map), prefix).cloned()),
    }
}

/// The names there of what a weight of ours is made of.
pub(crate) fn sources(name: &str, map: &Map) -> Vec<String> {
    match map.tensor.get(name) {
        Some(recipe) => recipe.names().to_vec(),
        None => vec![renamed(name, map)],
    }
}

fn find<'a>(given: &'a Named, name: &str, prefix: &str) -> Option<&'a Tensor> {
    let with_prefix = format!("{prefix}{name}");
    given.iter().find(|t| t.0 == with_prefix).or_else(|| given.iter().find(|t| t.0 == name)).map(|t| &t.1)
}

/// The longest start that the map renames, replaced.
fn renamed(name: &str, map: &Map) -> String {
    let longest = map.rename.iter().filter(|r| name.starts_with(&r.0[..])).max_by_key(|r| r.0.len());
    longest.map_or(name.to_string(), |(ours, theirs)| format!("{theirs}{}", &name[ours.len()..]))
}

impl Recipe {
    fn names(&self) -> &[String] {
        match &self.from {
            Names::One(name) => std::slice::from_ref(name),
            Names::Several(names) => names,
        }
    }

    fn make(&self, name: &str, given: &Named, prefix: &str) -> Result<Tensor> {
        let wrong = |what: String| RunError::Tensor(format!("map of `{name}`: {what}"));
        let mut parts = vec![];
        for source in self.names() {
            let found = find(given, source, prefix);
            let mut part = found.ok_or_else(|| wrong(format!("there is no tensor `{source}`")))?.clone();
            part = part.squeezed(&self.squeeze).ok_or_else(|| {
                wrong(format!("`{source}` is {:?}; a squeezed dimension has extent 1", part.shape))
            })?;
            for (dim, from, to) in &self.slice {
                if part.shape.get(*dim).is_none_or(|n| to > n) || from >= to {
                    return Err(wrong(format!(
                        "`{source}` is {:?} and has no {from} .. {to} along {dim}",
                        part.shape
                    )));
                }
                part = part.slice(*dim, *from, *to);
            }
            parts.push(part);
        }
        let tensor = match (self.concat, &parts[..]) {
            (None, [one]) => one.clone(),
            (None, _) => return Err(wrong("several tensors need `concat`".into())),
            (Some(dim), parts) => Tensor::concat(parts, dim)
                .ok_or_else(|| wrong(format!("the parts do not fit along {dim}")))?,
        };
        let Some(order) = &self.permute else { return Ok(tensor) };
        let mut sorted = order.clone();
        sorted.sort_unstable();
        if !sorted.iter().copied().eq(0..tensor.shape.len()) {
            return Err(wrong(format!("`permute` names each of the {} dimensions once", tensor.shape.len())));
        }
        Ok(tensor.permute(order))
    }
}

impl Tensor {
    /// With these extents. `None`: they differ by more than extents of 1.
    pub(crate) fn shaped(self, shape: &[usize]) -> Option<Tensor> {
        let essence = |shape: &[usize]| shape.iter().copied().filter(|n| *n != 1).collect::<Vec<_>>();
        (essence(&self.shape) == essence(shape)).then(|| Tensor { shape: shape.to_vec(), ..self })
    }

    /// Without these dimensions. `None`: one of them is not 1.
    fn squeezed(&self, dims: &[usize]) -> Option<Tensor> {
        if dims.iter().any(|d| self.shape.get(*d) != Some(&1)) {
            return None;
        }
        let kept = self.shape.iter().enumerate().filter(|(d, _)| !dims.contains(d)).map(|(_, n)| *n);
        Some(Tensor { shape: kept.collect(), ..self.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp(shape: &[usize]) -> Tensor {
        let n: usize = shape.iter().product();
        Tensor::floats(shape.to_vec(), (0..n).map(|i| i as f32))
    }

    fn wanted(list: &[(&str, &[usize])]) -> Vec<Wanted> {
        list.iter().map(|(name, shape)| (name.to_string(), shape.to_vec())).collect()
    }

    fn check(
        want: &[(&str, &[usize])],
        given: &[(&str, Tensor)],
        map: &str,
    ) -> std::result::Result<Named, String> {
        let given: Named = given.iter().map(|(n, t)| (n.to_string(), t.clone())).collect();
        let map: Map = toml::from_str(map).unwrap();
        pick(&wanted(want), &given, &map, "param.").map_err(|e| e.to_string())
    }

    #[test]
    fn tensors_are_found_by_name_then_by_order() {
        let want: &[(&str, &[usize])] = &[("a.weight", &[2, 3]), ("b", &[4])];
        let (a, b) = (ramp(&[2, 3]), ramp(&[4]));
        let expected = Ok(vec![("a.weight".to_string(), a.clone()), ("b".to_string(), b.clone())]);
        assert_eq!(check(want, &[("param.b", b.clone()), ("param.a.weight", a.clone())], ""), expected);
        assert_eq!(check(want, &[("b", b.clone()), ("a.weight", ramp(&[2, 1, 3]))], ""), expected);
        assert_eq!(
            check(want, &[("param.x", a.clone()), ("param.y", b.clone()), ("loss", b.clone())], ""),
            expected
        );
        let swapped = check(want, &[("x", b.clone()), ("y", a.clone())], "");
        assert_eq!(swapped, Err("`a.weight` is [2, 3] in the model, [4] in the file".into()));
        assert_eq!(check(want, &[("b", b)], ""), Err("there is no tensor `a.weight`".into()));
    }

    #[test]
    fn a_map_renames_cuts_joins_and_turns() {
        let given = [("old.w", ramp(&[4, 1, 3])), ("old.v", ramp(&[4, 2])), ("bias", ramp(&[5]))];
        let map = "
            [rename]
            \"new.\" = \"\"
            [tensor.joined]
            from = [\"old.w\", \"old.w\"]
            squeeze = [1]
            slice = [[0, 1, 3]]
            concat = 0
            permute = [1, 0]
        ";
        let made = check(&[("joined", &[3, 4]), ("new.bias", &[5])], &given, map).unwrap();
        let rows = [3.0, 6.0, 3.0, 6.0, 4.0, 7.0, 4.0, 7.0, 5.0, 8.0, 5.0, 8.0];
        assert_eq!(made[0].1, Tensor::floats(vec![3, 4], rows));
        assert_eq!(made[1].1, ramp(&[5]));
        let cases = [
            ("from = \"none\"", "map of `x`: there is no tensor `none`"),
            ("from = [\"old.v\", \"bias\"]", "map of `x`: several tensors need `concat`"),
            ("from = [\"old.v\", \"bias\"]\nconcat = 1", "map of `x`: the parts do not fit along 1"),
            (
                "from = \"old.v\"\nsqueeze = [0]",
                "map of `x`: `old.v` is [4, 2]; a squeezed dimension has extent 1",
            ),
            (
                "from = \"old.v\"\nslice = [[0, 2, 9]]",
                "map of `x`: `old.v` is [4, 2] and has no 2 .. 9 along 0",
            ),
            (
                "from = \"old.v\"\npermute = [0, 0]",
                "map of `x`: `permute` names each of the 2 dimensions once",
            ),
        ];
        for (recipe, message) in cases {
            let map = format!("[tensor.x]\n{recipe}");
            assert_eq!(check(&[("x", &[2])], &given, &map), Err(message.into()));
        }
    }
}
