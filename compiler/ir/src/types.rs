//! Tensor types: a dtype and a *set* of named axes, each with an extent. Axes have no order here; the layout pass
//! gives them one.
use serde::Serialize;
use stmc_base::define_id;

/// What an element is. In memory every element takes four bytes: a `Bool` is a 32-bit 0 or 1.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize)]
pub enum DType {
    /// IEEE single precision.
    F32,
    /// Two's complement, 32 bits.
    I32,
    /// Truth.
    Bool,
}

impl DType {
    /// As in the language.
    pub fn name(self) -> &'static str {
        match self {
            DType::F32 => "f32",
            DType::I32 => "i32",
            DType::Bool => "bool",
        }
    }
}

define_id! {
    /// An axis: a name and who owns it.
    pub struct AxisId
}

/// An axis of the program (`owner` empty) or of one layer instance (its path).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Axis {
    /// As the user wrote it; `tap(row)` for a window's taps.
    pub name: String,
    /// The path of the instance that declared it. Empty: the program.
    pub owner: String,
}

/// All axes of a compilation. Ids order types, so the same program gives the same graphs.
#[derive(Clone, Default, Debug, PartialEq)]
pub struct Axes(Vec<Axis>);

impl Axes {
    /// The axis of that name and owner, made if new.
    pub fn axis(&mut self, name: &str, owner: &str) -> AxisId {
        if let Some(i) = self.0.iter().position(|a| a.name == name && a.owner == owner) {
            return AxisId::from_index(i);
        }
        self.0.push(Axis { name: name.into(), owner: owner.into() });
        AxisId::from_index(self.0.len() - 1)
    }

    /// A new axis that nothing else can name.
    pub fn fresh(&mut self, name: &str) -> AxisId {
        let owner = format!("#{}", self.0.len());
        self.axis(name, &owner)
    }

    /// The name, for messages.
    pub fn name(&self, id: AxisId) -> &str {
        &self.0[id.index()].name
    }

    /// The whole entry.
    pub fn get(&self, id: AxisId) -> &Axis {
        &self.0[id.index()]
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `[batch, time, channel: 16]`, for messages and dumps.
    pub fn show(&self, ty: &Type) -> String {
        let dims: Vec<String> =
            ty.dims.iter().map(|d| format!("{}: {}", self.name(d.axis), d.extent)).collect();
        format!("{}[{}]", ty.dtype.name(), dims.join(", "))
    }
}

/// An axis and its extent.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Dim {
    /// Which axis.
    pub axis: AxisId,
    /// Steps along it, at least 1.
    pub extent: usize,
}

/// A tensor's type.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Type {
    /// What an element is.
    pub dtype: DType,
    /// Invariant: sorted by axis, no axis twice. Values of the interpreters are row-major in this order.
    dims: Vec<Dim>,
}

impl Type {
    /// A type of these axes, in any order; `None` if one occurs twice.
    pub fn new(dtype: DType, mut dims: Vec<Dim>) -> Option<Type> {
        dims.sort();
        dims.windows(2).all(|w| w[0].axis != w[1].axis).then_some(Type { dtype, dims })
    }

    /// No axes.
    pub fn scalar(dtype: DType) -> Type {
        Type { dtype, dims: vec![] }
    }

    /// Sorted by axis.
    pub fn dims(&self) -> &[Dim] {
        &self.dims
    }

    /// The extent of an axis. `None`: the tensor lacks it.
    pub fn extent(&self, axis: AxisId) -> Option<usize> {
        self.dims.iter().find(|d| d.axis == axis).map(|d| d.extent)
    }

    /// A multi-index of this type, along one of its axes.
    pub fn along(&self, index: &[usize], axis: AxisId) -> usize {
        let place = self.dims.iter().position(|d| d.axis == axis);
        index[place.expect("the index has the axis")]
    }

    /// Where the element stands in the canonical order whose index along each axis is this.
    pub fn position(&self, index: impl Fn(AxisId) -> usize) -> usize {
        self.dims.iter().fold(0, |position, d| position * d.extent + index(d.axis))
    }

    /// Whether the tensor has the axis.
    pub fn has(&self, axis: AxisId) -> bool {
        self.extent(axis).is_some()
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.dims.iter().map(|d| d.extent).product()
    }

    /// Never: extents are at least 1.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The same axes, another dtype.
    #[must_use]
    pub fn with_dtype(&self, dtype: DType) -> Type {
        Type { dtype, dims: self.dims.clone() }
    }

    /// Without these axes.
    #[must_use]
    pub fn without(&self, axes: &[AxisId]) -> Type {
        Type {
            dtype: self.dtype,
            dims: self.dims.iter().copied().filter(|d| !axes.contains(&d.axis)).collect(),
        }
    }

    /// With one more axis; `None` if it is there already.
    pub fn with(&self, axis: AxisId, extent: usize) -> Option<Type> {
        let mut dims = self.dims.clone();
        dims.push(Dim { axis, extent });
        Type::new(self.dtype, dims)
    }

    /// With this extent along an axis, new or not.
    #[must_use]
    pub fn resized(&self, axis: AxisId, extent: usize) -> Type {
        self.without(&[axis]).with(axis, extent).expect("the axis was taken out")
    }

    /// Row-major strides of the canonical order (as the interpreters store values), one per dim.
    pub fn strides(&self) -> Vec<usize> {
        let mut strides = vec![1; self.dims.len()];
        for i in (1..self.dims.len()).rev() {
            strides[i - 1] = strides[i] * self.dims[i].extent;
        }
        strides
    }
}
