//! A case of the oracle's manifest, and the texts of the table with its numbers.
use crate::table::Block;
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::path::Path;

/// A case of the manifest.
pub struct Case {
    pub name: String,
    pub attrs: serde_json::Map<String, Json>,
    /// Extents by name.
    pub tensors: BTreeMap<String, Vec<usize>>,
    pub tolerance: BTreeMap<String, f64>,
    pub relative: f64,
}

/// A tensor that a program is given: its name and its axes with their extents.
pub struct Given {
    pub name: String,
    pub axes: Vec<(String, usize)>,
    /// The weight that it is. `None`: it is a part of the sample.
    pub weight: Option<String>,
    /// Its first slice is the weight.
    pub first: bool,
    /// Values may be missing: NaN is, and this number if there is one.
    pub gaps: Option<Option<f32>>,
}

pub fn cases(folder: &Path) -> Vec<Case> {
    let text = std::fs::read_to_string(folder.join("manifest.json")).expect("the oracle has a manifest");
    let all: Vec<Json> = serde_json::from_str(&text).expect("the manifest is JSON");
    all.iter().map(case).collect()
}

fn case(json: &Json) -> Case {
    let object = |key: &str| json[key].as_object().cloned().unwrap_or_default();
    let mut attrs = object("attrs");
    for key in ["op", "name"] {
        attrs.insert(key.into(), json[key].clone());
    }
    let shape = |t: &Json| {
        let dims = t["shape"].as_array().expect("a tensor has a shape");
        dims.iter().map(|d| d.as_u64().expect("an extent") as usize).collect()
    };
    let tolerance = json["tolerance"]["atol"].as_object().cloned().unwrap_or_default();
    Case {
        name: json["name"].as_str().expect("a case has a name").to_string(),
        attrs,
        tensors: object("tensors").iter().map(|(name, t)| (name.clone(), shape(t))).collect(),
        tolerance: tolerance.iter().filter_map(|(n, x)| Some((n.clone(), x.as_f64()?))).collect(),
        relative: json["tolerance"]["rtol"].as_f64().unwrap_or(1e-5),
    }
}

impl Case {
    pub fn is(&self, block: &Block) -> bool {
        let holds = |condition: &String| match condition.split_once('=') {
            Some((key, value)) => self.attrs.get(key).is_some_and(|v| shown(v) == value),
            None => self.has(condition.trim_start_matches('?')),
        };
        self.attrs["op"] == block.op && block.conditions.iter().all(holds)
    }

    pub fn has(&self, tensor: &str) -> bool {
        self.tensors.contains_key(&format!("in.{tensor}"))
    }

    /// A text of the table with this case's numbers.
    pub fn filled(&self, text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('<') {
            let found = after.split_once('>').and_then(|(key, tail)| Some((self.lookup(key)?, tail)));
            out += before;
            rest = match found {
                Some((value, tail)) => {
                    out += &value;
                    tail
                }
                None => {
                    out.push('<');
                    after
                }
            };
        }
        out + rest
    }

    fn lookup(&self, key: &str) -> Option<String> {
        if let Some(tensor) = key.strip_prefix('?') {
            return Some(self.has(tensor).to_string());
        }
        if let Some((name, otherwise)) = key.split_once('|') {
            return Some(self.lookup(name).unwrap_or_else(|| otherwise.to_string()));
        }
        if let Some((name, axes)) = key.split_once('@') {
            let value = self.attrs.get(name)?;
            let each = |(i, axis): (usize, &str)| {
                let of = value.as_array().map_or(value, |list| &list[i]);
                format!("{axis}: {}", shown(of))
            };
            let parts: Vec<String> = axes.split(',').enumerate().map(each).collect();
            return Some(format!("{{ {} }}", parts.join(", ")));
        }
        if let Some((tensor, n)) = key.rsplit_once('.')
            && let Ok(n) = n.parse::<usize>()
            && let Some(shape) =
                self.tensors.get(&format!("in.{tensor}")).or_else(|| self.tensors.get(tensor))
        {
            return shape.get(n).map(usize::to_string);
        }
        if let Some((name, n)) = key.rsplit_once('.')
            && let (Some(list), Ok(n)) = (self.attrs.get(name).and_then(Json::as_array), n.parse::<usize>())
        {
            return list.get(n).map(shown);
        }
        self.attrs.get(key).map(shown)
    }

    pub fn given(&self, block: &Block) -> Vec<Given> {
        block.given.iter().filter_map(|line| self.one_given(&self.filled(line))).collect()
    }

    /// `x: batch channel`, `y?2: batch`, `weight -> conv.weight`, `p[0] -> w`. `None`: the case has no such tensor.
    fn one_given(&self, line: &str) -> Option<Given> {
        let (name, weight, axes) = match (line.split_once("->"), line.split_once(':')) {
            (Some((name, path)), _) => (name.trim(), Some(path.trim().to_string()), ""),
            (None, Some((name, axes))) => (name.trim(), None, axes),
            (None, None) => (line, None, ""),
        };
        let (name, gaps) = match name.split_once('?') {
            Some((name, gap)) => (name, Some(gap.parse().ok())),
            None => (name, None),
        };
        let (name, first) = name.strip_suffix("[0]").map_or((name, false), |name| (name, true));
        let shape = self.tensors.get(&format!("in.{name}"))?;
        let axes = axes.split_whitespace().map(str::to_string).zip(shape.iter().copied()).collect();
        Some(Given { name: name.to_string(), axes, weight, first, gaps })
    }
}

/// An attribute as the language writes it.
fn shown(value: &Json) -> String {
    match value {
        Json::String(s) => s.clone(),
        Json::Array(list) => format!("({})", list.iter().map(shown).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}
