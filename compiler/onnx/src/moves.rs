//! Ops that move elements: expand, rename, flatten, slice, pad and their like.
use crate::writer::{Value, Writer, int, united};
use stmc_ir::ops::{Concat, Expand, Flatten, Flip, Pad, Rename, Slice, Unflatten};
use stmc_ir::{AxisId, Dim};

impl Writer {
    pub fn expand(&mut self, op: &Expand, x: &Value) -> Value {
        let dims = [&[Dim { axis: op.axis, extent: op.extent }][..], &x.dims].concat();
        self.expanded(x, &dims)
    }

    /// Nothing is done: order belongs to the value, names to the compiler.
    pub fn rename(&mut self, op: &Rename, x: &Value) -> Value {
        let new = |old: AxisId| op.pairs.iter().find(|p| p.0 == old).map_or(old, |p| p.1);
        let dims = x.dims.iter().map(|d| Dim { axis: new(d.axis), extent: d.extent }).collect();
        x.named(x.name.clone(), dims)
    }

    pub fn flatten(&mut self, op: &Flatten, x: &Value) -> Value {
        let first =
            x.dims.iter().position(|d| op.axes.contains(&d.axis)).expect("the op has axes of the value");
        let mut groups: Vec<Vec<Dim>> = x.without(&op.axes).into_iter().map(|d| vec![d]).collect();
        let group: Vec<Dim> = op.axes.iter().map(|a| x.dims[x.place(*a)]).collect();
        let whole = Dim { axis: op.into, extent: group.iter().map(|d| d.extent).product() };
        let mut dims = x.without(&op.axes);
        groups.insert(first, group);
        dims.insert(first, whole);
        let name = self.merged(x, &groups);
        x.named(name, dims)
    }

    pub fn unflatten(&mut self, op: &Unflatten, x: &Value) -> Value {
        let place = x.place(op.axis);
        let mut dims = x.dims.clone();
        dims.splice(place..=place, op.into.iter().copied());
        let shape: Vec<Vec<Dim>> = dims.iter().map(|d| vec![*d]).collect();
        let name = self.reshape(&x.name, &shape);
        x.named(name, dims)
    }

    pub fn slice(&mut self, op: &Slice, x: &Value) -> Value {
        let place = x.place(op.axis);
        let end = op.start + (op.len - 1) * op.step + 1;
        let name = self.cut(&x.name, place, [op.start as i64, end as i64, op.step as i64]);
        let mut dims = x.dims.clone();
        dims[place].extent = op.len;
        x.named(name, dims)
    }

    fn cut(&mut self, x: &str, place: usize, [start, end, step]: [i64; 3]) -> String {
        let (start, end, step) = (self.list(&[start]), self.list(&[end]), self.list(&[step]));
        let place = self.one(place);
        self.call("Slice", &[x, &start, &end, &place, &step])
    }

    pub fn flip(&mut self, op: &Flip, x: &Value) -> Value {
        // The end lies before the first element.
        let name = self.cut(&x.name, x.place(op.axis), [-1, i64::MIN, -1]);
        x.named(name, x.dims.clone())
    }

    pub fn pad(&mut self, op: &Pad, x: &Value) -> Value {
        let spread = self.spread(x, op.axis, op.gap, op.fill);
        self.padded(&spread, op.axis, [op.low, op.high], op.fill)
    }

    /// With cells before and after.
    pub(crate) fn padded(&mut self, x: &Value, axis: AxisId, [low, high]: [usize; 2], fill: u32) -> Value {
        if low + high == 0 {
            return x.clone();
        }
        let place = x.place(axis);
        let mut dims = x.dims.clone();
        dims[place].extent += low + high;
        let name = self.pads(x, x.dims.len(), place, [low, high], fill);
        x.named(name, dims)
    }

    fn pads(&mut self, x: &Value, rank: usize, place: usize, [low, high]: [usize; 2], fill: u32) -> String {
        let mut pads = vec![0; 2 * rank];
        (pads[place], pads[rank + place]) = (low as i64, high as i64);
        let (pads, fill) = (self.list(&pads), self.bits(x.dtype, fill));
        self.call("Pad", &[&x.name, &pads, &fill])
    }

    /// With `gap` cells between neighbours: each element gets them after it, and the last one loses them again.
    pub(crate) fn spread(&mut self, x: &Value, axis: AxisId, gap: usize, fill: u32) -> Value {
        let place = x.place(axis);
        let extent = x.dims[place].extent;
        if gap == 0 || extent == 1 {
            return x.clone();
        }
        let after = self.one(place + 1);
        let apart = x.named(self.call("Unsqueeze", &[&x.name, &after]), x.dims.clone());
        let wide = self.pads(&apart, x.dims.len() + 1, place + 1, [0, gap], fill);
        let mut dims = x.dims.clone();
        dims[place].extent = extent * (gap + 1);
        let shape: Vec<Vec<Dim>> = dims.iter().map(|d| vec![*d]).collect();
        let joined = self.reshape(&wide, &shape);
        dims[place].extent -= gap;
        let name = self.cut(&joined, place, [0, dims[place].extent as i64, 1]);
        x.named(name, dims)
    }

    pub fn concat(&mut self, op: &Concat, parts: &[&Value]) -> Value {
        let all = united(parts);
        let of_part = |x: &Value| -> Vec<Dim> {
            all.iter().map(|d| if d.axis == op.axis { x.dims[x.place(d.axis)] } else { *d }).collect()
        };
        let names: Vec<String> = parts.iter().map(|x| self.expanded(x, &of_part(x)).name).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut dims = all.clone();
        let place = dims.iter().position(|d| d.axis == op.axis).expect("parts have the axis");
        dims[place].extent = parts.iter().map(|x| x.extent(op.axis)).sum();
        let name = self.node("Concat", &names, vec![int("axis", place as i64)]);
        parts[0].named(name, dims)
    }
}
