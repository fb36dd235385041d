//! Verifiers: what every pass may rely on. They always run, in release builds too; a violation is a bug of ours and panics with
//! the invariant and the piece that breaks it.
use crate::graph::Graph;
use crate::kernel::{Access, Affine, Block, Body, Inst, Kernel, LoopKind, Stmt, ValId};
use crate::ops::Op;
use crate::program::{Binding, BufferId, Program, Step};
use crate::types::{Axes, DType, Type};

/// Operands precede their node, and every node has the type that its rule infers, in scans' bodies too.
pub fn graph(graph: &Graph, axes: &Axes, after: &str) {
    for (i, node) in graph.nodes.iter().enumerate() {
        assert!(node.args.iter().all(|a| a.index() < i), "after {after}: operands precede node %{i}");
        let args: Vec<&Type> = node.args.iter().map(|a| graph.ty(*a)).collect();
        match node.op.rule().infer(&args, axes) {
            Ok(ty) => assert_eq!(ty, node.ty, "after {after}: node %{i} has the type its rule infers"),
            Err(m) => panic!("after {after}: node %{i} `{}` is ill-typed: {}", node.op.show(axes), m.reason),
        }
        match &node.op {
            Op::Scan(scan) => self::graph(&scan.body, axes, after),
            Op::ScanResult(r) => {
                let Op::Scan(scan) = &graph.node(node.args[0]).op else {
                    panic!("after {after}: %{i} is a result of a scan")
                };
                assert_eq!(scan.result(r.index), r.ty, "after {after}: result %{i} has its scan's type");
            }
            _ => {}
        }
    }
    assert!(graph.outputs.iter().all(|o| o.index() < graph.nodes.len()), "after {after}: outputs are nodes");
}

/// Values are defined once and before their uses, types fit, accesses keep to what the params say, parallel loops are outermost.
pub fn kernel(kernel: &Kernel) {
    if let Body::Contraction(c) = &kernel.body {
        for (operand, second, third) in [(&c.a, &c.m, &c.k), (&c.b, &c.n, &c.k), (&c.out, &c.m, &c.n)] {
            let fits = operand.first.len() == c.g.len()
                && operand.second.len() == second.len()
                && operand.third.len() == third.len();
            assert!(fits, "kernel `{}`: an operand has one stride per loop", kernel.name);
        }
    }
    let block = kernel.loops();
    let mut checker = Checker { kernel, block: &block, defined: vec![false; block.values.len()] };
    checker.stmts(&block.stmts, Place::Outermost);
}

#[derive(Clone, Copy, PartialEq)]
enum Place {
    Outermost,
    Inside,
    InLanes,
}

struct Checker<'a> {
    kernel: &'a Kernel,
    block: &'a Block,
    defined: Vec<bool>,
}

impl Checker<'_> {
    fn require(&self, fact: bool, what: &str) {
        assert!(fact, "kernel `{}`: {what}\n{}", self.kernel.name, self.kernel.dump());
    }

    fn stmts(&mut self, stmts: &[Stmt], place: Place) {
        let mut here = vec![];
        for stmt in stmts {
            match stmt {
                Stmt::Let { out, inst } => {
                    let ty = self.inst(inst);
                    self.require(
                        ty == Some(self.block.values[out.index()]),
                        "an instruction gives its value's type",
                    );
                    self.define(*out, &mut here);
                }
                Stmt::Set { local, value } => {
                    self.require(
                        self.block.locals[local.index()] == self.ty(*value),
                        "a local keeps its type",
                    );
                }
                Stmt::Store { param, index, value } => {
                    self.affine(index);
                    let p = self.kernel.params[*param];
                    self.require(p.access != Access::Read, "a param that is stored to is not `read`");
                    self.require(p.dtype == self.ty(*value), "a store keeps the buffer's type");
                }
                Stmt::For { var, kind, body, .. } => {
                    let inner = match kind {
                        LoopKind::Parallel => {
                            self.require(
                                place == Place::Outermost && stmts.len() == 1,
                                "parallel loops are outermost",
                            );
                            Place::Outermost
                        }
                        LoopKind::Serial if place == Place::InLanes => Place::InLanes,
                        LoopKind::Serial => Place::Inside,
                        LoopKind::Lanes => {
                            self.require(place != Place::InLanes, "lanes do not nest");
                            Place::InLanes
                        }
                    };
                    let mut scope = vec![];
                    self.define(*var, &mut scope);
                    self.stmts(body, inner);
                    self.leave(&scope);
                }
            }
        }
        self.leave(&here);
    }

    fn define(&mut self, value: ValId, scope: &mut Vec<ValId>) {
        self.require(!self.defined[value.index()], "a value is defined once");
        self.defined[value.index()] = true;
        scope.push(value);
    }

    fn leave(&mut self, scope: &[ValId]) {
        for v in scope {
            self.defined[v.index()] = false;
        }
    }

    fn ty(&self, value: ValId) -> DType {
        self.require(self.defined[value.index()], "a value is defined before its use");
        self.block.values[value.index()]
    }

    fn affine(&self, index: &Affine) {
        for (v, _) in &index.terms {
            self.require(self.ty(*v) == DType::I32, "indices are made of i32 values");
        }
    }

    fn inst(&self, inst: &Inst) -> Option<DType> {
        match inst {
            Inst::Const(ty, _) => Some(*ty),
            Inst::Load { param, index } => {
                self.affine(index);
                let p = self.kernel.params[*param];
                self.require(p.access != Access::Write, "a param that is loaded from is not `write`");
                Some(p.dtype)
            }
            Inst::Scalar(i) => self.kernel.scalars.get(*i).copied(),
            Inst::Get(local) => Some(self.block.locals[local.index()]),
            Inst::Index(index) => {
                self.affine(index);
                Some(DType::I32)
            }
            Inst::Core(core, args) => core.result(&args.iter().map(|a| self.ty(*a)).collect::<Vec<_>>()),
        }
    }
}

/// Kernels verify; launches bind every param and scalar; bindings lie within their buffers in the first and last iteration; buffers lie in the arena.
pub fn program(program: &Program) {
    program.kernels.iter().for_each(kernel);
    for (i, buffer) in program.buffers.iter().enumerate() {
        let (root, offset) = program.root(BufferId::from_index(i));
        let holder = program.buffer(root);
        assert!(offset + buffer.len <= holder.len, "buffer `{}` lies within its parent", buffer.name);
        assert!(holder.place + holder.len <= program.arena, "buffer `{}` lies within the arena", buffer.name);
    }
    for entry in &program.entries {
        steps(program, &entry.steps, &mut vec![]);
    }
}

fn steps(program: &Program, list: &[Step], counts: &mut Vec<usize>) {
    let inside = |b: &Binding, len: usize, counts: &[usize]| {
        let last: Vec<usize> = counts.iter().map(|c| c - 1).collect();
        let first = vec![0; counts.len()];
        let end = b.offset(&first).max(b.offset(&last)) + len;
        assert!(
            end <= program.buffer(b.buffer).len,
            "a binding lies within buffer `{}`",
            program.buffer(b.buffer).name
        );
    };
    for step in list {
        match step {
            Step::Loop { count, body } => {
                counts.push(*count);
                steps(program, body, counts);
                counts.pop();
            }
            Step::Copy { from, to, len } => {
                inside(from, *len, counts);
                inside(to, *len, counts);
            }
            Step::Fill { to, len, .. } => inside(to, *len, counts),
            Step::Launch(launch) => {
                let k = &program.kernels[launch.kernel.index()];
                assert_eq!(
                    k.params.len(),
                    launch.buffers.len(),
                    "a launch of `{}` binds every param",
                    k.name
                );
                assert_eq!(
                    k.scalars.len(),
                    launch.scalars.len(),
                    "a launch of `{}` gives every scalar",
                    k.name
                );
                launch.buffers.iter().for_each(|b| inside(b, 0, counts));
            }
        }
    }
}
