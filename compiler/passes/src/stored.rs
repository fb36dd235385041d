//! Where a tensor lies: a binding and a stride per axis. Views of stored tensors are stored tensors too, so renames, slices, flips and
//! windows cost nothing.
use stmc_ir::kernel::Affine;
use stmc_ir::lower::At;
use stmc_ir::ops::{Flatten, Slice, Unflatten, Windows};
use stmc_ir::program::{Binding, BufferId, StepTerm};
use stmc_ir::{AxisId, Dim, Op, Type};

/// A tensor in memory.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Stored {
    /// The buffer.
    pub buffer: BufferId,
    /// Element (0, 0, …), relative to the buffer.
    pub base: i64,
    /// What the loops around add to `base`.
    pub steps: Vec<StepTerm>,
    /// In order of the layout, slowest first (views may break that).
    pub dims: Vec<StoredDim>,
}

/// One axis of a stored tensor.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct StoredDim {
    /// Which.
    pub axis: AxisId,
    /// Steps.
    pub extent: usize,
    /// Elements from one step to the next; negative when flipped, 0 when repeated.
    pub stride: i64,
}

impl StoredDim {
    /// Axes in this order, slowest first, without gaps.
    pub fn dense(order: &[Dim]) -> Vec<StoredDim> {
        let mut stride = 1;
        let mut dims: Vec<StoredDim> = vec![];
        for d in order.iter().rev() {
            dims.push(StoredDim { axis: d.axis, extent: d.extent, stride });
            stride *= d.extent as i64;
        }
        dims.reverse();
        dims
    }
}

impl Stored {
    /// The stride along an axis; 0 if the tensor lacks it (it repeats).
    pub fn stride(&self, axis: AxisId) -> i64 {
        self.dims.iter().find(|d| d.axis == axis).map_or(0, |d| d.stride)
    }

    /// The element at a position, relative to the binding.
    pub fn index(&self, at: &At) -> Affine {
        self.dims.iter().fold(Affine::default(), |sum, d| sum.plus(&at.along(d.axis).times(d.stride)))
    }

    /// What a launch binds.
    pub fn binding(&self) -> Binding {
        Binding { buffer: self.buffer, base: self.base, steps: self.steps.clone() }
    }

    /// The same without an axis, at index 0 of it.
    pub fn without(&self, axis: AxisId) -> Stored {
        let mut view = self.clone();
        view.dims.retain(|d| d.axis != axis);
        view
    }

    /// What an op that moves elements makes of it. `None`: not a view.
    pub fn view(&self, op: &Op, ty: &Type) -> Option<Stored> {
        let mut view = self.clone();
        match op {
            Op::Rename(rename) => {
                for d in &mut view.dims {
                    d.axis = rename.pairs.iter().find(|p| p.0 == d.axis).map_or(d.axis, |p| p.1);
                }
            }
            Op::Expand(expand) => {
                view.dims.insert(0, StoredDim { axis: expand.axis, extent: expand.extent, stride: 0 });
            }
            Op::Slice(Slice { axis, start, step, len }) => {
                let d = view.dims.iter_mut().find(|d| d.axis == *axis)?;
                view.base += *start as i64 * d.stride;
                (d.extent, d.stride) = (*len, d.stride * *step as i64);
            }
            Op::Flip(flip) => {
                let d = view.dims.iter_mut().find(|d| d.axis == flip.axis)?;
                view.base += (d.extent as i64 - 1) * d.stride;
                d.stride = -d.stride;
            }
            Op::Windows(Windows { axis, tap, size, stride, dilation }) => {
                let i = view.dims.iter().position(|d| d.axis == *axis)?;
                let step = view.dims[i].stride;
                view.dims[i].extent = ty.extent(*axis)?;
                view.dims[i].stride = step * *stride as i64;
                view.dims
                    .insert(i + 1, StoredDim { axis: *tap, extent: *size, stride: step * *dilation as i64 });
            }
            Op::Unflatten(Unflatten { axis, into }) => {
                let i = view.dims.iter().position(|d| d.axis == *axis)?;
                let whole = view.dims.remove(i);
                let mut stride = whole.stride;
                for part in into.iter().rev() {
                    view.dims.insert(i, StoredDim { axis: part.axis, extent: part.extent, stride });
                    stride *= part.extent as i64;
                }
            }
            Op::Flatten(Flatten { axes, into }) => {
                let parts: Vec<StoredDim> = axes
                    .iter()
                    .map(|a| view.dims.iter().find(|d| d.axis == *a).copied())
                    .collect::<Option<_>>()?;
                let nested = parts.windows(2).all(|w| w[0].stride == w[1].stride * w[1].extent as i64);
                if !nested {
                    return None;
                }
                let i = view.dims.iter().position(|d| d.axis == axes[0])?;
                let last = parts.last()?;
                let extent = parts.iter().map(|d| d.extent).product();
                view.dims[i] = StoredDim { axis: *into, extent, stride: last.stride };
                view.dims.retain(|d| d.axis == *into || !axes.contains(&d.axis));
            }
            _ => return None,
        }
        Some(view)
    }
}
