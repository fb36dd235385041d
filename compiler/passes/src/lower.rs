//! From a graph to steps of a program: gives every stored node a buffer in the layout's order, writes kernels for the units that
//! fusion found, and turns scans into loops.
use crate::emit::{Emitted, Leaf, Scene, emit};
use crate::fuse::{self, Dest, Unit, Work};
use crate::layout::Layout;
use crate::rebuild::{SharedAxes, input_index};
use crate::stored::{Stored, StoredDim};
use std::collections::HashMap;
use std::sync::Arc;
use stmc_ir::kernel::{Access, Body, Contraction, Kernel, Operand, Param};
use stmc_ir::ops::Scan;
use stmc_ir::program::{
    Binding, Buffer, BufferDim, BufferId, BufferKind, KernelId, Launch, ScalarArg, Step, StepTerm,
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

/// A scan's buffers. `None`: not yet placed.
struct Loop {
    /// What its body reads, as seen from inside.
    inputs: HashMap<usize, Given>,
    /// What its body writes, as seen from inside. In the end `None`: it aliases something else.
    outputs: Vec<Option<Stored>>,
    /// Its results, as seen from outside.
    results: Vec<Option<Stored>>,
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

    /// A buffer for a tensor in the order of the layout, and the tensor in it. `first`: an axis slower than all.
    pub fn tensor(&mut self, name: &str, ty: &Type, kind: BufferKind, first: Option<AxisId>) -> Stored {
        let dims = StoredDim::dense(&self.layout.order(ty.dims(), first));
        let axes = self.axes.borrow();
        let named = |d: &StoredDim| BufferDim {
            axis: axes.name(d.axis).to_string(),
            extent: d.extent,
            stride: d.stride as usize,
        };
        let buffer = self.program.add(Buffer {
            name: name.to_string(),
            dtype: ty.dtype,
            dims: dims.iter().map(named).collect(),
            len: ty.len(),
            kind,
            parent: None,
            place: 0,
        });
        Stored { buffer, base: 0, steps: vec![], dims }
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
        region.bind(inputs);
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
                self.open_loop(&mut region, *id);
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

    /// A buffer for a node that is not an output; a pad gets a halo.
    fn own_buffer(&mut self, graph: &Graph, id: NodeId) -> Stored {
        let ty = graph.ty(id);
        let kind = fuse::halo_fill(graph, id).map_or(BufferKind::Temp, BufferKind::Halo);
        self.tensor(graph.node(id).op.rule().name(), ty, kind, None)
    }

    fn loops(&mut self, region: &Region<'_>, works: &[Work]) -> Step {
        let target = |dest: Dest| match dest {
            Dest::Node(id) => region.stored[&id].clone(),
            Dest::Output(n) => region.outputs[n].clone().expect("direct outputs have no work"),
            Dest::First(scan, n) => region.firsts[&(scan, n)].clone(),
        };
        let leaves: Vec<Leaf<'_>> =
            works.iter().map(|work| Leaf { work, target: target(work.dest) }).collect();
        // The loops follow the memory of the first target.
        let target = &leaves[0].target;
        let mut domain = works[0].domain.clone();
        domain.sort_by_key(|(axis, _)| target.dims.iter().position(|d| d.axis == *axis));
        let name = kernel_name(region.graph, works);
        let (tables, program) = (&mut self.tables, &mut self.program);
        let mut table = |data: &Arc<[u32]>, dtype: DType| {
            let buffer = *tables.entry((data.clone(), dtype)).or_insert_with(|| {
                program.add(Buffer {
                    name: "table".into(),
                    dtype,
                    dims: vec![],
                    len: data.len(),
                    kind: BufferKind::Constant(data.clone()),
                    parent: None,
                    place: 0,
                })
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
        let mut params: Vec<(Binding, Access)> = vec![];
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
    fn open_loop(&mut self, region: &mut Region<'_>, id: NodeId) {
        let Op::Scan(scan) = &region.graph.node(id).op else { unreachable!("the unit is a scan") };
        let depth = region.around.depth;
        let reversed = scan.reverse.then_some(scan.extent);
        let step = Given::Step(ScalarArg::Iteration { depth, reversed });
        let count = scan.body.outputs.len();
        let mut opened = Loop {
            inputs: HashMap::from([(0, step)]),
            outputs: vec![None; count],
            results: vec![None; count],
        };
        for c in 0..scan.carries {
            let first = self.carry(&mut opened, scan, c, depth);
            region.firsts.insert((id, c), first);
        }
        for y in scan.carries..count {
            if opened.results[y].is_none() {
                let stack = self.tensor("stack", &scan.result(y), BufferKind::Temp, Some(scan.axis));
                opened.outputs[y] = Some(at_step(&stack, scan, depth));
                opened.results[y] = Some(stack);
            }
        }
        for (i, n) in region.graph.nodes.iter().enumerate() {
            if let Op::ScanResult(r) = &n.op
                && n.args[0] == id
            {
                let result = opened.results[r.index].clone().expect("every result has a place");
                region.stored.insert(NodeId::from_index(i), result);
            }
        }
        region.loops.insert(id, opened);
    }

    /// A carry has a slot per step if a yield stacks it anyway (then the stack is the slots), else two that take turns. Gives
    /// where its first value goes.
    fn carry(&mut self, opened: &mut Loop, scan: &Scan, c: usize, depth: usize) -> Stored {
        let next = scan.body.outputs[c];
        let value = |n: NodeId| input_index(scan.body.node(n)) == Some(scan.carry_input(c));
        // Slots hold steps in the order of time, stacks in the order of the axis: they agree unless the scan is reversed.
        let slot_of = |y: usize| {
            let node = scan.body.outputs[y];
            if value(node) { Some(0) } else { (node == next).then_some(1) }
        };
        let stacked: Vec<(usize, i64)> = (scan.carries..scan.body.outputs.len())
            .filter(|y| !scan.reverse && opened.results[*y].is_none())
            .filter_map(|y| Some((y, slot_of(y)?)))
            .collect();
        let slots = if stacked.is_empty() { 2 } else { scan.extent + 1 };
        let slot_axis = self.axes.borrow_mut().axis("slot", "");
        let slotted = scan.body.ty(next).with(slot_axis, slots).expect("the slot axis is ours");
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
        opened.inputs.insert(scan.carry_input(c), Given::Tensor(slot(0)));
        opened.outputs[c] = Some(slot(1));
        let last = scan.extent as i64;
        opened.results[c] = Some(fixed(modulo.map_or(last, |m| last % m)));
        for (y, from) in stacked {
            let mut stack = fixed(from);
            stack.dims.insert(0, StoredDim { axis: scan.axis, extent: scan.extent, stride: size });
            opened.results[y] = Some(stack);
        }
        fixed(0)
    }

    fn scan(&mut self, region: &mut Region<'_>, id: NodeId) -> Step {
        let node = region.graph.node(id);
        let Op::Scan(scan) = &node.op else { unreachable!("the unit is a scan") };
        let Loop { mut inputs, outputs, .. } = region.loops.remove(&id).expect("loops were opened");
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
    /// The inputs' places. One that is not given is read by dead nodes alone.
    fn bind(&mut self, inputs: &HashMap<usize, Given>) {
        for (i, node) in self.graph.nodes.iter().enumerate() {
            let id = NodeId::from_index(i);
            match input_index(node).and_then(|index| inputs.get(&index)) {
                Some(Given::Tensor(stored)) => {
                    self.stored.insert(id, stored.clone());
                }
                Some(Given::Step(arg)) => self.step = Some((id, *arg)),
                None => {}
            }
        }
    }

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
        matches!(node.op, Op::Windows(_)) || node.op.rule().strided() && self.windowed(node.args[0])
    }
}

/// The names of what is computed, for people: `mul_add`, `sum`.
fn kernel_name(graph: &Graph, works: &[Work]) -> String {
    let mut names: Vec<&str> = works.iter().map(|w| graph.node(w.value).op.rule().name()).collect();
    names.dedup();
    names.truncate(3);
    names.join("_")
}
