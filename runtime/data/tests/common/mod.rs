//! A source in memory and plans over it, for the tests of samples and batches.
#![allow(dead_code)] // Each test file uses some of it.
use std::ops::Range;
use std::sync::Arc;
use stmc_base::schema::{SchemaAxis, SourceSchema, Variable};
use stmc_base::{SourceId, Span};
use stmc_data::{DataError, Dataset, Source};
use stmc_ir::data::{Binder, DataPlan, Field, FieldOrigin, Part, Reading, Slab, SlabRange, SourceSpec};
use stmc_ir::host::{HostBinary, HostExpr};
use stmc_ir::program::{Buffer, BufferDim, BufferKind};
use stmc_ir::{DType, host};

pub fn span() -> Span {
    Span::new(SourceId(0), 0, 0)
}

/// Every value is its own index. Readings along the first axis at `broken` fail.
pub struct Counting {
    schema: SourceSchema,
    extents: Vec<usize>,
    pub broken: Option<usize>,
}

impl Counting {
    pub fn new(extents: &[usize]) -> Counting {
        let axes = extents.iter().map(|&extent| SchemaAxis::new("", extent)).collect();
        let variable = Variable { name: String::new(), dtype: "f32".into(), axes, ..Variable::default() };
        let schema = SourceSchema { origin: "counting".into(), variables: vec![variable] };
        Counting { schema, extents: extents.to_vec(), broken: None }
    }
}

impl Source for Counting {
    fn schema(&self) -> &SourceSchema {
        &self.schema
    }

    fn read(&self, _: &str, ranges: &[Range<usize>], _: DType, out: &mut [u32]) -> Result<(), DataError> {
        if self.broken.is_some_and(|at| ranges[0].contains(&at)) {
            return Err(DataError::unreadable("counting", "the disk is gone"));
        }
        for (n, out) in out.iter_mut().enumerate() {
            let (mut rest, mut at, mut stride) = (n, 0, 1);
            for (range, extent) in ranges.iter().zip(&self.extents).rev() {
                at += (range.start + rest % range.len()) * stride;
                rest /= range.len();
                stride *= extent;
            }
            *out = (at as f32).to_bits();
        }
        Ok(())
    }
}

/// A plan with one field `x` and no sample yet.
pub fn plan(axes: &[(&str, usize)]) -> DataPlan {
    DataPlan {
        name: "test".into(),
        sources: vec![SourceSpec::File { path: "counting".into(), span: span() }],
        fields: vec![Field {
            name: "x".into(),
            origin: FieldOrigin::Source { source: 0, variable: String::new() },
            dtype: DType::F32,
            axes: axes.iter().map(|&(name, extent)| (name.into(), extent)).collect(),
            unit: None,
            reading: Reading::default(),
            span: span(),
        }],
        ..DataPlan::default()
    }
}

pub fn dataset(plan: &DataPlan) -> Arc<Dataset> {
    let extents: Vec<usize> = plan.fields[0].axes.iter().map(|a| a.1).collect();
    Arc::new(
        Dataset::new(plan.clone(), vec![Arc::new(Counting::new(&extents))])
            .unwrap_or_else(|_| panic!("the plan is good")),
    )
}

/// `name in axis step step`, over the whole axis.
pub fn binder(name: &str, axis: &str, extent: usize, step: usize) -> Binder {
    Binder { name: name.into(), axis: axis.into(), start: 0, stop: extent, step }
}

/// `len` positions from `offset` on, moved by a sample variable.
pub fn moved(binder: usize, offset: isize, len: usize) -> SlabRange {
    SlabRange { binder: Some(binder), offset, len, keep: len > 1 }
}

/// `len` positions from `offset` on.
pub fn fixed(offset: isize, len: usize) -> SlabRange {
    SlabRange { binder: None, offset, len, keep: true }
}

pub fn slab(range: &[SlabRange]) -> Slab {
    Slab { field: 0, range: range.to_vec() }
}

pub fn part(name: &str, predicate: HostExpr) -> Part {
    Part { name: name.into(), predicate, span: span() }
}

pub fn less(variable: &str, bound: f64) -> HostExpr {
    HostExpr::binary(HostBinary::Lt, HostExpr::var(variable), HostExpr::Const(bound))
}

pub fn and(a: HostExpr, b: HostExpr) -> HostExpr {
    HostExpr::binary(HostBinary::And, a, b)
}

pub fn rest() -> HostExpr {
    host::HostExpr::Const(1.0)
}

/// A buffer with these extents and strides.
pub fn buffer(dims: &[(&str, usize, usize)], len: usize) -> Buffer {
    let dims = dims.iter().map(|&(axis, extent, stride)| BufferDim { axis: axis.into(), extent, stride });
    Buffer {
        name: "x".into(),
        dtype: DType::F32,
        dims: dims.collect(),
        len,
        kind: BufferKind::Input,
        parent: None,
        place: 0,
    }
}

/// A dense buffer of these extents, `batch` first.
pub fn dense(extents: &[usize]) -> Buffer {
    let mut stride = 1;
    let mut dims: Vec<_> = extents
        .iter()
        .rev()
        .map(|&extent| {
            let dim = ("axis", extent, stride);
            stride *= extent;
            dim
        })
        .collect();
    dims.reverse();
    buffer(&dims, stride)
}
