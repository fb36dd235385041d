//! Files of one pattern as one source. `*` joins them along the axis whose places differ from file to file; `{name}` makes an axis, whose
//! steps are what stands there.
//!
//! Lists that have the name of an axis tell where its steps are. Along the axis of the one list that differs files are put in the order
//! of its values, which may not overlap. Where no list differs, files come in the order of their names, and are joined along the first axis
//! whose extent differs, else the first of which no list tells. What has no such axis is the same in all files.
use crate::element::Kind;
use crate::pattern::{self, Match};
use crate::source::open_file;
use crate::{DataError, Source, category};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use stmc_base::schema::{Coordinates, SchemaAxis, SourceSchema, Variable};
use stmc_ir::DType;

/// Files as one.
pub(crate) struct Joined {
    schema: SourceSchema,
    /// In the order of the schema.
    joints: Vec<Joint>,
    /// Extents of the axes that the pattern makes.
    made: Vec<usize>,
    /// By the positions along these, the last running fastest.
    groups: Vec<Vec<File>>,
}

struct File {
    path: String,
    source: Arc<dyn Source>,
}

/// How a variable lies in the files.
struct Joint {
    /// The axis along which they are joined. `None`: it is the same in all files of a group.
    along: Option<usize>,
    /// Whether it has the axes that the pattern makes. If not, it is the same in all files.
    spread: bool,
    /// Per group, where the steps of each file begin, and the end.
    starts: Vec<Vec<usize>>,
}

impl Joined {
    /// Opens the files. `axes` are the names that the fields give to their axes.
    pub(crate) fn open(pattern: &str, axes: &[String], base: &Path) -> Result<Joined, DataError> {
        let matches = pattern::expand(base, pattern)?;
        let made = made_axes(&matches);
        let mut groups = grouped(pattern, matches, &made, base)?;
        let is_list = |v: &Variable| v.axes.len() == 1 && v.coordinates.is_some() && axes.contains(&v.name);
        let first = &groups[0][0];
        let known: Vec<Variable> = first.source.schema().variables.clone();
        for file in groups.iter().flatten() {
            known.iter().try_for_each(|v| comparable(v, &first.path, file))?;
        }
        let lists: Vec<&Variable> = known.iter().filter(|v| is_list(v)).collect();
        let mut differing = vec![];
        for group in &mut groups {
            differing.push(put_in_order(group, &lists)?);
        }
        let (mut joints, mut variables) = (vec![], vec![]);
        for variable in &known {
            let (joint, joined) = joined(variable, &groups, &differing, &lists)?;
            let new = made.iter().filter(|_| joint.spread).cloned();
            variables.push(Variable { axes: new.chain(joined.axes.iter().cloned()).collect(), ..joined });
            joints.push(joint);
        }
        let made = made.into_iter().map(|a| a.extent).collect();
        Ok(Joined { schema: SourceSchema { origin: pattern.into(), variables }, joints, made, groups })
    }

    /// A slab of what the files of a group have.
    fn read_group(
        &self,
        group: usize,
        number: usize,
        ranges: &[Range<usize>],
        dtype: DType,
        out: &mut [u32],
    ) -> Result<(), DataError> {
        let (joint, name) = (&self.joints[number], &self.schema.variables[number].name);
        let Some(along) = joint.along else {
            return self.groups[group][0].source.read(name, ranges, dtype, out);
        };
        let (all, after) = (&ranges[along], ranges[along + 1..].iter().map(Range::len).product::<usize>());
        for (file, ends) in self.groups[group].iter().zip(joint.starts[group].windows(2)) {
            let (first, last) = (all.start.max(ends[0]), all.end.min(ends[1]));
            if first >= last {
                continue;
            }
            let mut part = ranges.to_vec();
            part[along] = first - ends[0]..last - ends[0];
            if last - first == all.len() {
                return file.source.read(name, &part, dtype, out);
            }
            let mut values = vec![0; part.iter().map(Range::len).product()];
            file.source.read(name, &part, dtype, &mut values)?;
            let run = ((last - first) * after).max(1);
            for (values, out) in
                values.chunks_exact(run).zip(out.chunks_exact_mut((all.len() * after).max(1)))
            {
                out[(first - all.start) * after..][..run].copy_from_slice(values);
            }
        }
        Ok(())
    }
}

impl Source for Joined {
    fn schema(&self) -> &SourceSchema {
        &self.schema
    }

    fn read(
        &self,
        variable: &str,
        ranges: &[Range<usize>],
        dtype: DType,
        out: &mut [u32],
    ) -> Result<(), DataError> {
        let number = self.schema.position(variable).expect("the variable is in the schema");
        let new = if self.joints[number].spread { self.made.len() } else { 0 };
        let (outer, inner) = ranges.split_at(new);
        let size = inner.iter().map(Range::len).product::<usize>();
        for (i, out) in out.chunks_exact_mut(size.max(1)).enumerate() {
            let at = category::position(i, outer);
            let group = at.iter().zip(&self.made).fold(0, |group, (at, extent)| group * extent + at);
            self.read_group(group, number, inner, dtype, out)?;
        }
        Ok(())
    }
}

/// The axes that a pattern makes: what stands for each `{name}`, in order.
fn made_axes(matches: &[Match]) -> Vec<SchemaAxis> {
    let gaps = 0..matches[0].names.len();
    let axis = |gap: usize| {
        let mut names: Vec<String> = matches.iter().map(|m| m.names[gap].1.clone()).collect();
        names.sort();
        names.dedup();
        let (name, extent) = (matches[0].names[gap].0.clone(), names.len());
        SchemaAxis { name, extent, coordinates: Some(Coordinates::Names(names)) }
    };
    gaps.map(axis).collect()
}

/// The files by the positions along the axes that the pattern makes.
fn grouped(
    pattern: &str,
    matches: Vec<Match>,
    made: &[SchemaAxis],
    base: &Path,
) -> Result<Vec<Vec<File>>, DataError> {
    let names = |axis: &SchemaAxis| match &axis.coordinates {
        Some(Coordinates::Names(names)) => names.clone(),
        _ => unreachable!("a pattern's axes have names"),
    };
    let all: Vec<Vec<String>> = made.iter().map(names).collect();
    let mut groups: Vec<Vec<File>> = (0..made.iter().map(|a| a.extent).product()).map(|_| vec![]).collect();
    for file in matches {
        let at = |(names, (_, name)): (&Vec<String>, &(String, String))| names.iter().position(|n| n == name);
        let place = all.iter().zip(&file.names).fold(0, |place, pair| {
            place * pair.0.len() + at(pair).expect("the names were made of the files")
        });
        groups[place].push(File { source: open_file(&file.path, base)?, path: file.path });
    }
    if let Some(empty) = groups.iter().position(Vec::is_empty) {
        let ranges: Vec<Range<usize>> = made.iter().map(|a| 0..a.extent).collect();
        let at = category::position(empty, &ranges);
        let missing: Vec<String> = made
            .iter()
            .zip(&all)
            .zip(at)
            .map(|((a, names), at)| format!("`{}` {}", a.name, names[at]))
            .collect();
        let problem = format!("there is no file for {}", missing.join(" with "));
        return Err(DataError::unfit(pattern, problem));
    }
    Ok(groups)
}

/// Whether a file has a variable as the first file has it, but for its extents.
fn comparable(variable: &Variable, first: &str, file: &File) -> Result<(), DataError> {
    let name = &variable.name;
    let Some(found) = file.source.variable(name) else {
        return Err(DataError::unfit(&file.path, format!("it has no `{name}`, which `{first}` has")));
    };
    if (found.axes.len(), &found.dtype) == (variable.axes.len(), &variable.dtype) {
        return Ok(());
    }
    let form = |v: &Variable| format!("{} with {} axes", v.dtype, v.axes.len());
    let problem =
        format!("its {} is {}, but that of `{first}` is {}", quoted(name), form(found), form(variable));
    Err(DataError::unfit(&file.path, problem))
}

/// `tas`; arrays without a name are only values.
fn quoted(name: &str) -> String {
    if name.is_empty() { "array".into() } else { format!("`{name}`") }
}

/// Puts files in the order of the list that differs, and names it. `None`: no list does.
fn put_in_order(group: &mut [File], lists: &[&Variable]) -> Result<Option<String>, DataError> {
    let places = |file: &File, name: &str| {
        let list = file.source.variable(name).expect("every file has the variables of the first");
        list.coordinates.as_ref().and_then(|c| c.values(list.axes[0].extent)).unwrap_or_default()
    };
    let first = &group[0];
    let other = |name: &str| group.iter().find(|file| places(file, name) != places(first, name));
    let mut differing = lists.iter().filter_map(|list| Some((list.name.clone(), other(&list.name)?)));
    let Some((name, file)) = differing.next() else { return Ok(None) };
    if let Some((second, _)) = differing.next() {
        let problem = format!(
            "its `{name}` and its `{second}` are not those of `{}`: files are joined along one axis",
            first.path
        );
        return Err(DataError::unfit(&file.path, problem));
    }
    if let Some(empty) = group.iter().find(|file| places(file, &name).is_empty()) {
        return Err(DataError::unfit(&empty.path, format!("its `{name}` has no steps")));
    }
    let falling = group.iter().any(|file| {
        let places = places(file, &name);
        places.first() > places.last()
    });
    group.sort_by(|a, b| {
        let order = places(a, &name)[0].total_cmp(&places(b, &name)[0]);
        if falling { order.reverse() } else { order }
    });
    for pair in group.windows(2) {
        let (end, next) =
            (*places(&pair[0], &name).last().expect("it has steps"), places(&pair[1], &name)[0]);
        let overlap = if falling { next >= end } else { next <= end };
        if overlap {
            let problem = format!("its `{name}` begins before that of `{}` ends", pair[0].path);
            return Err(DataError::unfit(&pair[1].path, problem));
        }
    }
    Ok(Some(name))
}

/// How a variable lies in the files, and what it is as a whole.
fn joined(
    variable: &Variable,
    groups: &[Vec<File>],
    differing: &[Option<String>],
    lists: &[&Variable],
) -> Result<(Joint, Variable), DataError> {
    let is_list = lists.iter().any(|list| list.name == variable.name);
    let parts = |group: &[File]| -> Vec<Variable> {
        group.iter().filter_map(|f| f.source.variable(&variable.name).cloned()).collect()
    };
    let several = groups.iter().zip(differing).filter(|(group, _)| group.len() > 1);
    let mut alongs = several.map(|(group, list)| match list {
        Some(list) if *list == variable.name => Some(0),
        _ if is_list => None,
        Some(list) => along_list(&parts(group), group, list),
        None => along_extents(&parts(group), lists),
    });
    let along = alongs.next().flatten();
    let agree = alongs.all(|other| other == along);
    let mut wholes: Vec<Variable> = vec![];
    let mut starts = vec![];
    for group in groups {
        let parts = parts(group);
        check_extents(&parts, group, along)?;
        if along.is_none() {
            check_same(variable, group)?;
        }
        let mut whole = parts[0].clone();
        let mut of_group = vec![0];
        if let Some(along) = along {
            parts.iter().for_each(|v| of_group.push(of_group[of_group.len() - 1] + v.axes[along].extent));
            whole.axes[along].extent = of_group[parts.len()];
            let axis = |v: &Variable| v.axes[along].clone();
            whole.axes[along].coordinates =
                together(parts.iter().map(|v| (axis(v).coordinates, axis(v).extent)));
            whole.coordinates = together(parts.iter().map(|v| (v.coordinates.clone(), axis(v).extent)));
        }
        if !is_list {
            whole.coordinates = None;
        }
        starts.push(of_group);
        wholes.push(whole);
    }
    let same = |v: &Variable| v.axes == wholes[0].axes && v.coordinates == wholes[0].coordinates;
    if let Some(other) = wholes.iter().position(|v| !same(v) || !agree) {
        let problem = format!(
            "its {} does not have the steps of that of `{}`: all that stands for `{{…}}` has the same axes",
            quoted(&variable.name),
            groups[0][0].path
        );
        return Err(DataError::unfit(&groups[other][0].path, problem));
    }
    Ok((Joint { along, spread: !is_list, starts }, wholes.swap_remove(0)))
}

/// The first axis that has the extent of a list in every file.
fn along_list(parts: &[Variable], group: &[File], list: &str) -> Option<usize> {
    let steps = |file: &File| file.source.variable(list).map(|v| v.axes[0].extent);
    let has =
        |axis: &usize| parts.iter().zip(group).all(|(v, file)| Some(v.axes[*axis].extent) == steps(file));
    (0..parts[0].axes.len()).find(has)
}

/// The first axis whose extent differs, else the first of which no list tells.
fn along_extents(parts: &[Variable], lists: &[&Variable]) -> Option<usize> {
    let extent = |axis: usize| parts[0].axes[axis].extent;
    let differs = |axis: &usize| parts.iter().any(|v| v.axes[*axis].extent != extent(*axis));
    let told = |axis: usize| lists.iter().any(|list| list.axes[0].extent == extent(axis));
    let mut axes = 0..parts[0].axes.len();
    axes.clone().find(differs).or_else(|| axes.find(|axis| !told(*axis)))
}

/// Only the joined axis has another extent in another file.
fn check_extents(parts: &[Variable], group: &[File], along: Option<usize>) -> Result<(), DataError> {
    let others = |v: &Variable| -> Vec<usize> {
        v.axes.iter().enumerate().filter(|(i, _)| Some(*i) != along).map(|(_, a)| a.extent).collect()
    };
    let Some(wrong) = parts.iter().position(|v| others(v) != others(&parts[0])) else { return Ok(()) };
    let extents = |v: &Variable| v.axes.iter().map(|a| a.extent).collect::<Vec<_>>();
    let problem = format!(
        "its {} is {:?}, that of `{}` is {:?}: files differ along one axis",
        quoted(&parts[0].name),
        extents(&parts[wrong]),
        group[0].path,
        extents(&parts[0])
    );
    Err(DataError::unfit(&group[wrong].path, problem))
}

/// What has no joined axis has the same values in all files of a group.
fn check_same(variable: &Variable, group: &[File]) -> Result<(), DataError> {
    if Kind::find(&variable.dtype).is_none() || group.len() == 1 {
        return Ok(());
    }
    let values = |file: &File| {
        let found = file.source.variable(&variable.name).expect("every file has the variables of the first");
        let ranges: Vec<Range<usize>> = found.axes.iter().map(|a| 0..a.extent).collect();
        let mut bits = vec![0; ranges.iter().map(Range::len).product()];
        file.source.read(&variable.name, &ranges, DType::F32, &mut bits).map(|()| bits)
    };
    let first = values(&group[0])?;
    for file in &group[1..] {
        if values(file)? != first {
            let problem = format!(
                "its {} is not that of `{}`, and has no axis along which files are joined",
                quoted(&variable.name),
                group[0].path
            );
            return Err(DataError::unfit(&file.path, problem));
        }
    }
    Ok(())
}

/// The places of several files, one after the other. `None`: one of them has none.
fn together(parts: impl Iterator<Item = (Option<Coordinates>, usize)>) -> Option<Coordinates> {
    let (mut numbers, mut names, mut time) = (vec![], vec![], false);
    for (coordinates, extent) in parts {
        let coordinates = coordinates?;
        time |= coordinates.is_time();
        match coordinates {
            Coordinates::Names(more) => names.extend(more),
            other => numbers.extend(other.values(extent)?),
        }
    }
    Some(match (names.is_empty(), time) {
        (false, _) => Coordinates::Names(names),
        (true, true) => Coordinates::Days(numbers),
        (true, false) => Coordinates::numbers(numbers),
    })
}
