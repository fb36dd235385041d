//! Sliding windows: what is made of them at once (convolution, pooling), else the windows themselves.
use crate::proto::element;
use crate::writer::{Value, Writer, int, ints};
use stmc_ir::ops::{Dot, Fold, Op, Reduce, Reduction, Windows};
use stmc_ir::{AxisId, DType, Dim, Graph, NodeId};

/// Windows along one axis, and the padding before them.
#[derive(Clone, Debug)]
pub(crate) struct Sliding {
    windows: Windows,
    low: usize,
    high: usize,
}

/// A node that takes windows of `base` and nothing else: they need not be made.
#[derive(Clone, Debug)]
pub(crate) struct Windowed {
    pub base: NodeId,
    /// The weights of a convolution. `None`: a maximum over the windows, or their sum.
    pub kernel: Option<NodeId>,
    sliding: Vec<Sliding>,
}

/// More dimensions than these have no convolution in the runtimes.
const DIMENSIONS: usize = 3;

impl Windowed {
    /// What a node is in terms of windows, where the number of samples along `free` is open. `None`: it has no windows among its
    /// operands that could be left out.
    pub fn of(graph: &Graph, id: NodeId, free: Option<AxisId>) -> Option<Windowed> {
        let node = graph.node(id);
        match &node.op {
            Op::Dot(dot) => {
                let [x, y] = node.args[..] else { return None };
                Windowed::convolution(graph, dot, [x, y], free)
                    .or_else(|| Windowed::convolution(graph, dot, [y, x], free))
            }
            Op::Reduce(reduce) if graph.ty(node.args[0]).dtype == DType::F32 => {
                Windowed::pooling(graph, reduce, node.args[0])
            }
            _ => None,
        }
    }

    /// Every tap is contracted with the kernel, which lacks the axes that the windows slide along.
    fn convolution(
        graph: &Graph,
        dot: &Dot,
        [windows, kernel]: [NodeId; 2],
        free: Option<AxisId>,
    ) -> Option<Windowed> {
        let weights = graph.ty(kernel);
        // The number of groups and the extents of the kernel are settings.
        if free.is_some_and(|axis| weights.has(axis)) {
            return None;
        }
        let fits =
            |w: &Windows| dot.axes.contains(&w.tap) && !weights.has(w.axis) && !dot.axes.contains(&w.axis);
        let (base, sliding) = peel(graph, windows, 0, &fits)?;
        Some(Windowed { base, kernel: Some(kernel), sliding })
    }

    /// Only taps are reduced.
    fn pooling(graph: &Graph, reduce: &Reduce, windows: NodeId) -> Option<Windowed> {
        let fill = match reduce.kind {
            Reduction::Sum => 0,
            Reduction::Max | Reduction::FirstMax => f32::NEG_INFINITY.to_bits(),
            Reduction::Min => return None,
        };
        let fits = |w: &Windows| reduce.axes.contains(&w.tap) && !reduce.axes.contains(&w.axis);
        let (base, sliding) = peel(graph, windows, fill, &fits)?;
        let only_taps = reduce.axes.iter().all(|a| sliding.iter().any(|s| s.windows.tap == *a));
        // A window of padding alone has no maximum in ONNX.
        let covered = |s: &Sliding| s.low.max(s.high) < s.windows.size;
        let sound = reduce.kind == Reduction::Sum || sliding.iter().all(covered);
        (only_taps && sound).then_some(Windowed { base, kernel: None, sliding })
    }

    fn taps(&self) -> Vec<Dim> {
        self.sliding.iter().map(|s| Dim { axis: s.windows.tap, extent: s.windows.size }).collect()
    }

    /// The axes that the windows slide along, with the extents of `base`, and of the result.
    fn space(&self, base: &Value) -> (Vec<Dim>, Vec<Dim>) {
        let before: Vec<Dim> = self.sliding.iter().map(|s| base.dims[base.place(s.windows.axis)]).collect();
        let after = self.sliding.iter().zip(&before).map(|(s, d)| {
            let reach = (s.windows.size - 1) * s.windows.dilation + 1;
            Dim { axis: d.axis, extent: (d.extent + s.low + s.high - reach) / s.windows.stride + 1 }
        });
        let after = after.collect();
        (before, after)
    }

    fn settings(&self) -> Vec<crate::proto::AttributeProto> {
        let of = |f: fn(&Sliding) -> usize| self.sliding.iter().map(f);
        vec![
            ints("kernel_shape", of(|s| s.windows.size)),
            ints("strides", of(|s| s.windows.stride)),
            ints("dilations", of(|s| s.windows.dilation)),
            ints("pads", of(|s| s.low).chain(of(|s| s.high))),
        ]
    }
}

/// What lies under windows that fit, each along an axis of its own, and under their padding with `fill`. `None`: there are none.
fn peel(
    graph: &Graph,
    mut x: NodeId,
    fill: u32,
    fits: &dyn Fn(&Windows) -> bool,
) -> Option<(NodeId, Vec<Sliding>)> {
    let mut sliding: Vec<Sliding> = vec![];
    loop {
        let node = graph.node(x);
        match &node.op {
            Op::Windows(w)
                if fits(w)
                    && sliding.len() < DIMENSIONS
                    && sliding.iter().all(|s| s.windows.axis != w.axis) =>
            {
                sliding.insert(0, Sliding { windows: *w, low: 0, high: 0 });
            }
            Op::Pad(pad) if pad.gap == 0 && pad.fill == fill => {
                let Some(s) = sliding.iter_mut().find(|s| s.windows.axis == pad.axis) else { break };
                s.low += pad.low;
                s.high += pad.high;
            }
            _ => break,
        }
        x = node.args[0];
    }
    (!sliding.is_empty()).then_some((x, sliding))
}

impl Writer {
    /// A convolution: x as [outer axes, groups and channels, space], the kernel as [groups and outer axes, channels, taps].
    pub fn convolve(&mut self, op: &Windowed, over: &[AxisId], x: &Value, kernel: &Value) -> Value {
        let (before, after) = op.space(x);
        let spatial: Vec<AxisId> = before.iter().map(|d| d.axis).collect();
        let taps = op.taps();
        let in_kernel = |d: &Dim| kernel.has(d.axis);
        let rest = x.without(&spatial);
        let channels: Vec<Dim> = rest.iter().copied().filter(|d| over.contains(&d.axis)).collect();
        let groups: Vec<Dim> =
            rest.iter().copied().filter(|d| in_kernel(d) && !over.contains(&d.axis)).collect();
        let outer: Vec<Dim> = rest.iter().copied().filter(|d| !in_kernel(d)).collect();
        let known: Vec<AxisId> = channels.iter().chain(&groups).chain(&taps).map(|d| d.axis).collect();
        let made = kernel.without(&known);
        let single = |dims: &[Dim]| dims.iter().map(|d| vec![*d]).collect::<Vec<_>>();
        let image = [vec![outer.clone(), [&groups[..], &channels].concat()], single(&before)].concat();
        let image = self.merged(x, &image);
        let weights = [vec![[&groups[..], &made].concat(), channels], single(&taps)].concat();
        let weights = self.merged(kernel, &weights);
        let mut settings = op.settings();
        settings.push(int("group", groups.iter().map(|d| d.extent as i64).product()));
        let result = self.node("Conv", &[&image, &weights], settings);
        let result_groups = [vec![outer, [groups, made].concat()], single(&after)].concat();
        self.parted(result, &result_groups)
    }

    /// The maximum over windows, or their sum, which is a convolution with ones: every other axis is an outer one.
    pub fn pool(&mut self, op: &Windowed, kind: Reduction, x: &Value) -> Value {
        let (before, after) = op.space(x);
        let spatial: Vec<AxisId> = before.iter().map(|d| d.axis).collect();
        let outer = x.without(&spatial);
        let groups = |space: &[Dim]| -> Vec<Vec<Dim>> {
            [vec![outer.clone(), vec![]], space.iter().map(|d| vec![*d]).collect()].concat()
        };
        let image = self.merged(x, &groups(&before));
        let result = if kind == Reduction::Sum {
            let shape: Vec<usize> = [1, 1].into_iter().chain(op.taps().iter().map(|d| d.extent)).collect();
            let ones = std::iter::repeat_n(1f32.to_le_bytes(), shape.iter().product()).flatten().collect();
            let ones = self.constant(element::FLOAT, &shape, ones);
            self.node("Conv", &[&image, &ones], op.settings())
        } else {
            self.node("MaxPool", &[&image], op.settings())
        };
        self.parted(result, &groups(&after))
    }

    /// The windows themselves, looked up.
    pub fn windows(&mut self, op: &Windows, x: &Value) -> Value {
        let place = x.place(op.axis);
        let reach = (op.size - 1) * op.dilation + 1;
        let count = (x.dims[place].extent - reach) / op.stride + 1;
        let index =
            (0..count).flat_map(|i| (0..op.size).map(move |j| (i * op.stride + j * op.dilation) as i64));
        let data = index.flat_map(i64::to_le_bytes).collect();
        let index = self.constant(element::INT64, &[count, op.size], data);
        let name = self.node("Gather", &[&x.name, &index], vec![int("axis", place as i64)]);
        let mut dims = x.dims.clone();
        let made = [Dim { axis: op.axis, extent: count }, Dim { axis: op.tap, extent: op.size }];
        dims.splice(place..=place, made);
        x.named(name, dims)
    }

    /// The sum of each tap's elements, put where they belong.
    pub fn fold(&mut self, op: &Fold, x: &Value) -> Value {
        let taps = x.extent(op.tap);
        let spread = self.spread(x, op.axis, op.stride - 1, 0);
        let mut sum: Option<Value> = None;
        for tap in 0..taps {
            let place = self.constant(element::INT64, &[], (tap as i64).to_le_bytes().to_vec());
            let at = int("axis", spread.place(op.tap) as i64);
            let name = self.node("Gather", &[&spread.name, &place], vec![at]);
            let part = spread.named(name, spread.without(&[op.tap]));
            let low = tap * op.dilation;
            let high = op.extent - low - part.extent(op.axis);
            let part = self.padded(&part, op.axis, [low, high], 0);
            sum = Some(match sum {
                None => part,
                Some(before) => self.scalar(stmc_ir::ops::Scalar::Add, &[&before, &part], x.dtype),
            });
        }
        sum.expect("there is at least one tap")
    }
}
