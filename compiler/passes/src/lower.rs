//! From a graph to steps of a program: gives every stored node a buffer in the layout's order, writes kernels for the units that
//! fusion found, and turns scans into loops.
use crate::emit::{Emitted, Leaf, Scene, emit};
use crate::fuse::{self, Dest, Unit, Work};
use crate::layout::Layout;
use crate::rebuild::SharedAxes;
use crate::stored::{Stored, StoredDim};
use std::collections::HashMap;
use std::sync::Arc;
use stmc_ir::kernel::{Access, Body, Contraction, Kernel, Operand, Param};
use stmc_ir::ops::Scan;
use stmc_ir::program::{
    Buffer, BufferDim, BufferId, BufferKind, KernelId, Launch, ScalarArg, Step, StepTerm,
};
use stmc_ir::{AxisId, DType, Dim, Graph, NodeId, Op, Program, Type};

/// A program under construction.
pub(crate) struct Lowerer {
    /// Names of axes, for buffers.
    pub axes: SharedAxes,
    /// The order of axes.
    pub layout: Layout,
    /// What is made.
    pub program: Program,
    kernels: HashMap<Kernel, KernelId>,
    tables: HashMap<(Arc<[u32]>, DType), BufferId>,
    /// Multiplications and additions of contractions since the last reset.
    pub flops: u64,
}

/// What an input of a region is.
#[derive(Clone, Debug)]
pub(crate) enum Given {
    /// A tensor in memory.
    Tensor(Stored),
    /// The step number of the loop around.
    Step(ScalarArg),
}

/// The loops around a region.
#[derive(Clone, Copy, Debug)]
struct Around {
    /// How many.
    depth: usize,
    /// How often the region runs.
    times: u64,
}

struct Region<'g> {
    graph: &'g Graph,
    around: Around,
    stored: HashMap<NodeId, Stored>,
    step: Option<(NodeId, ScalarArg)>,
    /// Where each output goes. `None`: it aliases something else.
    outputs: Vec<Option<Stored>>,
    /// Where the first values of scans' carries go.
    firsts: HashMap<(NodeId, usize), Stored>,
    loops: HashMap<NodeId, Loop>,
}

/// A scan's buffers, as seen from inside its loop.
struct Loop {
    inputs: HashMap<usize, Given>,
    outputs: Vec<Option<Stored>>,
}

impl Lowerer {
    pub fn new(axes: SharedAxes, layout: Layout) -> Lowerer {
        let (kernels, tables) = (HashMap::new(), HashMap::new());
        Lowerer { axes, layout, program: Program::default(), kernels, tables, flops: 0 }
    }

    /// The steps that compute `graph.outputs` into `outputs`.
    pub fn lower(
        &mut self,
        graph: &Graph,
        inputs: &HashMap<usize, Given>,
        outputs: Vec<Stored>,
    ) -> Vec<Step> {
        let outputs = outputs.into_iter().map(Some).collect();
        self.region(graph, inputs, outputs, Around { depth: 0, times: 1 })
    }

    /// A buffer for a tensor in the order of the layout, and the tensor in it.
    pub fn tensor(&mut self, name: &str, ty: &Type, kind: BufferKind, first: Option<AxisId>) -> Stored {
        let order = self.layout.order(ty.dims(), first);
        self.buffer(name, ty.dtype, &order, &HashMap::new(), kind)
    }

    /// A buffer of axes in this order, with a margin `(before, after)` along some.
    pub fn buffer(
        &mut self,
        name: &str,
        dtype: DType,
        order: &[Dim],
        margin: &HashMap<AxisId, (usize, usize)>,
        kind: BufferKind,
    ) -> Stored {
        let (mut stride, mut base) = (1i64, 0i64);
        let mut dims: Vec<StoredDim> = vec![];
        for d in order.iter().rev() {
            let (before, after) = margin.get(&d.axis).copied().unwrap_or((0, 0));
            base += before as i64 * stride;
            dims.insert(0, StoredDim { axis: d.axis, extent: d.extent, stride });
            stride *= (before + d.extent + after) as i64;
        }
        let axes = self.axes.borrow();
        let named = |d: &StoredDim| BufferDim {
            axis: axes.name(d.axis).to_string(),
            extent: d.extent,
            stride: d.stride as usize,
        };
        self.program.buffers.push(Buffer {
            name: name.to_string(),
            dtype,
            dims: dims.iter().map(named).collect(),
            origin: base as usize,
            len: stride as usize,
            kind,
            parent: None,
            place: 0,
        });
        let buffer = BufferId::from_index(self.program.buffers.len() - 1);
        Stored { buffer, base, steps: vec![], dims }
    }

    fn region(
        &mut self,
        graph: &Graph,
        inputs: &HashMap<usize, Given>,
        outputs: Vec<Option<Stored>>,
        around: Around,
    ) -> Vec<Step> {
        let direct: Vec<usize> = (0..outputs.len()).filter(|n| outputs[*n].is_none()).collect();
        let plan = fuse::plan(graph, &direct);
        let mut region = Region {
            graph,
            around,
            stored: HashMap::new(),
            step: None,
            outputs,
            firsts: HashMap::new(),
            loops: HashMap::new(),
        };
        Self::bind_inputs(&mut region, inputs);
        for id in &plan.stored {
            let stored = match fuse::home(graph, &direct, *id) {
                Some(n) => region.outputs[n].clone().expect("outputs that are not direct have a place"),
                None => self.own_buffer(graph, *id),
            };
            region.stored.insert(*id, stored);
        }
        let mut steps = vec![];
        for unit in &plan.units {
            if let Unit::Scan(id) = unit {
                self.open_loop(&mut region, *id, &plan.units);
            }
        }
        for unit in &plan.units {
            match unit {
                Unit::Loops(works) => steps.push(self.loops(&region, works)),
                Unit::Contract(id) => steps.push(self.contract(&region, *id)),
                Unit::Scan(id) => steps.push(self.scan(&mut region, *id)),
            }
        }
        steps
    }

    fn bind_inputs(region: &mut Region<'_>, inputs: &HashMap<usize, Given>) {
        for (i, node) in region.graph.nodes.iter().enumerate() {
            let Op::Input { index, .. } = node.op else { continue };
            let id = NodeId::from_index(i);
            match inputs.get(&(index as usize)) {
                Some(Given::Tensor(stored)) => {
                    region.stored.insert(id, stored.clone());
                }
                Some(Given::Step(arg)) => region.step = Some((id, *arg)),
                // Only dead nodes may use it.
                None => {}
            }
        }
    }

    /// A buffer for a node that is not an output; a pad gets a halo.
    fn own_buffer(&mut self, graph: &Graph, id: NodeId) -> Stored {
        let ty = graph.ty(id);
        let kind = fuse::halo_fill(graph, id).map_or(BufferKind::Temp, BufferKind::Halo);
        self.tensor(graph.node(id).op.rule().name(), ty, kind, None)
    }

    fn loops(&mut self, region: &Region<'_>, works: &[Work]) -> Step {
        let leaves: Vec<Leaf> = works
            .iter()
            .map(|w| {
                let target = match w.dest {
                    Dest::Node(id) => region.stored[&id].clone(),
                    Dest::Output(n) => region.outputs[n].clone().expect("direct outputs have no work"),
                    Dest::First(scan, n) => region.firsts[&(scan, n)].clone(),
                };
                Leaf { value: w.value, fresh: w.fresh, stores: vec![(target, w.moves.clone())] }
            })
            .collect();
        // The loops follow the memory of the first target.
        let target = &leaves[0].stores[0].0;
        let mut domain = works[0].domain.clone();
        domain.sort_by_key(|(axis, _)| target.dims.iter().position(|d| d.axis == *axis));
        let name = kernel_name(region.graph, works);
        let (tables, program) = (&mut self.tables, &mut self.program);
        let mut table = |data: &Arc<[u32]>, dtype: DType| {
            let buffer = *tables.entry((data.clone(), dtype)).or_insert_with(|| {
                program.buffers.push(Buffer {
                    name: "table".into(),
                    dtype,
                    dims: vec![],
                    origin: 0,
                    len: data.len(),
                    kind: BufferKind::Constant(data.clone()),
                    parent: None,
                    place: 0,
                });
                BufferId::from_index(program.buffers.len() - 1)
            });
            Stored { buffer, base: 0, steps: vec![], dims: vec![] }
        };
        let mut scene =
            Scene { graph: region.graph, stored: &region.stored, step: region.step, tables: &mut table };
        let Emitted { kernel, buffers, scalars, spans } = emit(&mut scene, &name, &domain, &leaves);
        let kernel = self.kernel(kernel);
        Step::Launch(Launch { kernel, buffers, scalars, spans })
    }

    fn kernel(&mut self, kernel: Kernel) -> KernelId {
        if let Some(id) = self.kernels.get(&kernel) {
            return *id;
        }
        let id = KernelId::from_index(self.program.kernels.len());
        self.program.kernels.push(kernel.clone());
        self.kernels.insert(kernel, id);
        id
    }

    fn contract(&mut self, region: &Region<'_>, id: NodeId) -> Step {
        let node = region.graph.node(id);
        let Op::Dot(dot) = &node.op else { unreachable!("contractions are dots") };
        let views: Vec<Stored> = node.args.iter().map(|a| region.view(*a)).collect();
        let [a, b] = &views[..] else { unreachable!("dot has two operands") };
        let out = &region.stored[&id];
        let has = |s: &Stored, axis: AxisId| s.dims.iter().any(|d| d.axis == axis);
        let group = |f: &dyn Fn(&StoredDim) -> bool| -> Vec<Dim> {
            out.dims.iter().filter(|d| f(d)).map(|d| Dim { axis: d.axis, extent: d.extent }).collect()
        };
        let g = group(&|d| has(a, d.axis) && has(b, d.axis));
        let m = group(&|d| has(a, d.axis) && !has(b, d.axis));
        let n = group(&|d| !has(a, d.axis) && has(b, d.axis));
        // Summed in the order in which the first operand lies.
        let k: Vec<Dim> = a
            .dims
            .iter()
            .filter(|d| dot.axes.contains(&d.axis))
            .map(|d| Dim { axis: d.axis, extent: d.extent })
            .collect();
        let mut params: Vec<(stmc_ir::program::Binding, Access)> = vec![];
        let mut operand = |s: &Stored, access: Access, second: &[Dim], third: &[Dim]| {
            let strides = |dims: &[Dim]| dims.iter().map(|d| s.stride(d.axis)).collect();
            params.push((s.binding(), access));
            let (first, second, third) = (strides(&g), strides(second), strides(third));
            Operand { param: params.len() - 1, offset: 0, first, second, third }
        };
        let (a, b, out) = (
            operand(a, Access::Read, &m, &k),
            operand(b, Access::Read, &n, &k),
            operand(out, Access::Write, &m, &n),
        );
        let extents = |dims: &[Dim]| dims.iter().map(|d| d.extent).collect::<Vec<_>>();
        let (g, m, n, k) = (extents(&g), extents(&m), extents(&n), extents(&k));
        let contraction = Contraction { g, m, n, k, a, b, out, accumulate: false };
        self.flops += 2 * contraction.multiplications() as u64 * region.around.times;
        let windowed = node.args.iter().any(|a| region.windowed(*a));
        let kernel = Kernel {
            name: if windowed { "convolution".into() } else { "product".into() },
            params: params.iter().map(|p| Param { dtype: DType::F32, access: p.1 }).collect(),
            scalars: vec![],
            body: Body::Contraction(contraction),
        };
        let kernel = self.kernel(kernel);
        let buffers = params.into_iter().map(|p| p.0).collect();
        Step::Launch(Launch { kernel, buffers, scalars: vec![], spans: node.spans.clone() })
    }

    /// Makes the buffers of a scan: what its body reads and writes, and its results as seen from outside.
    fn open_loop(&mut self, region: &mut Region<'_>, id: NodeId, units: &[Unit]) {
        debug_assert!(units.contains(&Unit::Scan(id)));
        let node = region.graph.node(id);
        let Op::Scan(scan) = &node.op else { unreachable!("the unit is a scan") };
        let depth = region.around.depth;
        let mut inputs = HashMap::new();
        let reversed = scan.reverse.then_some(scan.extent);
        inputs.insert(0, Given::Step(ScalarArg::Iteration { depth, reversed }));
        let mut outputs: Vec<Option<Stored>> = vec![None; scan.body.outputs.len()];
        let mut results: Vec<Option<Stored>> = vec![None; scan.body.outputs.len()];
        for c in 0..scan.carries {
            let aliased = self.carry(region, id, scan, c, &mut inputs, &mut outputs, &mut results);
            for (y, result) in aliased {
                results[y] = Some(result);
            }
        }
        for y in scan.carries..scan.body.outputs.len() {
            if results[y].is_none() {
                let stack = self.tensor("stack", &scan.result(y), BufferKind::Temp, Some(scan.axis));
                outputs[y] = Some(at_step(&stack, scan, depth));
                results[y] = Some(stack);
            }
        }
        region.loops.insert(id, Loop { inputs, outputs });
        for (i, n) in region.graph.nodes.iter().enumerate() {
            if let Op::ScanResult(r) = &n.op
                && n.args[0] == id
            {
                let result = results[r.index].clone().expect("every result has a place");
                region.stored.insert(NodeId::from_index(i), result);
            }
        }
    }

    /// A carry has a slot per step if a yield stacks it anyway (then the stack is the slots), else two that take turns. Gives the
    /// yields that alias it.
    #[allow(clippy::too_many_arguments)] // one call, and the three maps are filled together
    fn carry(
        &mut self,
        region: &mut Region<'_>,
        id: NodeId,
        scan: &Scan,
        c: usize,
        inputs: &mut HashMap<usize, Given>,
        outputs: &mut [Option<Stored>],
        results: &mut [Option<Stored>],
    ) -> Vec<(usize, Stored)> {
        let depth = region.around.depth;
        let next = scan.body.outputs[c];
        let ty = scan.body.ty(next).clone();
        let is_carry = |n: NodeId| matches!(scan.body.node(n).op, Op::Input { index, .. } if index as usize == scan.carry_input(c));
        let yields = scan.carries..scan.body.outputs.len();
        // Slots hold steps in the order of time, stacks in the order of the axis: they agree unless the scan is reversed.
        let slot_of = |y: usize| {
            let node = scan.body.outputs[y];
            if is_carry(node) { Some(0) } else { (node == next).then_some(1) }
        };
        let stacked: Vec<(usize, i64)> = yields
            .filter(|_| !scan.reverse)
            .filter(|y| results[*y].is_none())
            .filter_map(|y| Some((y, slot_of(y)?)))
            .collect();
        let slots = if stacked.is_empty() { 2 } else { scan.extent + 1 };
        let slot_axis = self.axes.borrow_mut().axis("slot", "");
        let slotted = ty.with(slot_axis, slots).expect("the slot axis is ours");
        let whole = self.tensor("carry", &slotted, BufferKind::Temp, Some(slot_axis));
        let size = whole.stride(slot_axis);
        let modulo = stacked.is_empty().then_some(2);
        let slot = |shift: i64| {
            let mut stored = whole.without(slot_axis);
            stored.steps.push(StepTerm { depth, stride: size, shift, modulo });
            stored
        };
        let fixed = |n: i64| {
            let mut stored = whole.without(slot_axis);
            stored.base += n * size;
            stored
        };
        inputs.insert(scan.carry_input(c), Given::Tensor(slot(0)));
        outputs[c] = Some(slot(1));
        region.firsts.insert((id, c), fixed(0));
        let last = scan.extent as i64;
        results[c] = Some(fixed(modulo.map_or(last, |m| last % m)));
        let stack = |from: i64| {
            let mut stored = fixed(from);
            stored.dims.insert(0, StoredDim { axis: scan.axis, extent: scan.extent, stride: size });
            stored
        };
        stacked.into_iter().map(|(y, from)| (y, stack(from))).collect()
    }

    fn scan(&mut self, region: &mut Region<'_>, id: NodeId) -> Step {
        let node = region.graph.node(id);
        let Op::Scan(scan) = &node.op else { unreachable!("the unit is a scan") };
        let Loop { mut inputs, outputs } = region.loops.remove(&id).expect("loops were opened");
        let depth = region.around.depth;
        for i in 0..scan.slices {
            let whole = region.view(node.args[scan.carries + i]);
            inputs.insert(scan.slice_input(i), Given::Tensor(at_step(&whole, scan, depth)));
        }
        for (i, a) in node.args[scan.carries + scan.slices..].iter().enumerate() {
            inputs.insert(scan.capture_input(i), Given::Tensor(region.view(*a)));
        }
        let around = Around { depth: depth + 1, times: region.around.times * scan.extent as u64 };
        let body = self.region(&scan.body, &inputs, outputs, around);
        Step::Loop { count: scan.extent, body }
    }
}

/// The slice of a scanned or stacked tensor at the step that the loop at `depth` stands at.
fn at_step(whole: &Stored, scan: &Scan, depth: usize) -> Stored {
    let stride = whole.stride(scan.axis);
    let mut slice = whole.without(scan.axis);
    let stride = if scan.reverse {
        slice.base += (scan.extent as i64 - 1) * stride;
        -stride
    } else {
        stride
    };
    slice.steps.push(StepTerm { depth, stride, shift: 0, modulo: None });
    slice
}

impl Region<'_> {
    /// A node as a view of something stored; fusion saw to it that it is one.
    fn view(&self, id: NodeId) -> Stored {
        if let Some(stored) = self.stored.get(&id) {
            return stored.clone();
        }
        let node = self.graph.node(id);
        let operand = self.view(node.args[0]);
        operand.view(&node.op, &node.ty).expect("operands of contractions and scans are views")
    }

    fn windowed(&self, id: NodeId) -> bool {
        let node = self.graph.node(id);
        matches!(node.op, Op::Windows(_)) || fuse::view(&node.op) && self.windowed(node.args[0])
    }
}

/// The names of what is computed, for people: `mul_add`, `sum`.
fn kernel_name(graph: &Graph, works: &[Work]) -> String {
    let mut names: Vec<&str> = works.iter().map(|w| graph.node(w.value).op.rule().name()).collect();
    names.dedup();
    names.truncate(3);
    names.join("_")
}
