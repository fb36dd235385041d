//! What locals are in a loop over lanes: private to an iteration, or sums over all of them.

use super::loops::Gen;
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, Type, Value, types};
use stmc_ir::kernel::{Core, Inst, LocalId, Stmt, ValId};

/// What a local that a loop over lanes sets is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Role {
    /// Each iteration sets it before it looks at it.
    Private,
    /// Each iteration adds to it.
    Sum(Sum),
}

/// How values are added up. The order is free.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Sum {
    Add,
    Mul,
    Min,
    Max,
}

impl Gen<'_> {
    /// The locals that a loop's body sets. `None`: the body needs its iterations in order.
    pub(super) fn roles(&self, body: &[Stmt]) -> Option<Vec<(LocalId, Role)>> {
        let mut locals = vec![];
        set_locals(body, &mut locals);
        locals.sort();
        locals.dedup();
        let role = |local: LocalId| {
            if sets_before_gets(body, local) {
                return Some((local, Role::Private));
            }
            let mut sum = None;
            self.adds_only(body, local, &mut sum).then_some((local, Role::Sum(sum?)))
        };
        locals.into_iter().map(role).collect()
    }

    /// Whether a body uses a local only to add to it, always in the same way.
    fn adds_only(&self, stmts: &[Stmt], local: LocalId, sum: &mut Option<Sum>) -> bool {
        stmts.iter().all(|stmt| match stmt {
            Stmt::For { body, .. } => self.adds_only(body, local, sum),
            Stmt::Set { local: set, value } if *set == local => {
                let Some((kind, got)) = self.added(*value, local) else { return false };
                *sum.get_or_insert(kind) == kind && uses(stmts, got) == 1
            }
            Stmt::Let { out, inst: Inst::Get(got) } if *got == local => uses(stmts, *out) == 1,
            _ => true,
        })
    }

    /// How `value` comes from the local by one instruction, and the value that was got from it.
    fn added(&self, value: ValId, local: LocalId) -> Option<(Sum, ValId)> {
        let Some(Inst::Core(core, args)) = self.insts[value.index()] else { return None };
        let is_got = |id: &ValId| matches!(self.insts[id.index()], Some(Inst::Get(got)) if *got == local);
        let (kind, operands) = match core {
            Core::Add => (Sum::Add, &args[..]),
            Core::Sub => (Sum::Add, &args[..1]),
            Core::Fma => (Sum::Add, &args[2..]),
            Core::Mul => (Sum::Mul, &args[..]),
            Core::Min => (Sum::Min, &args[..]),
            Core::Max => (Sum::Max, &args[..]),
            _ => return None,
        };
        Some((kind, *operands.iter().find(|id| is_got(id))?))
    }

    /// What each lane of a sum starts from.
    pub(super) fn sum_start(&mut self, local: LocalId, sum: Sum, ty: Type) -> Value {
        match sum {
            Sum::Add => self.zero(ty),
            Sum::Mul => {
                let one = if ty.lane_type() == types::F32 {
                    self.b.ins().f32const(1.0)
                } else {
                    self.b.ins().iconst(types::I32, 1)
                };
                self.b.ins().splat(ty, one)
            }
            // A further copy of the value so far changes nothing.
            Sum::Min | Sum::Max => {
                let value = self.b.use_var(self.locals[local.index()][0]);
                self.b.ins().splat(ty, value)
            }
        }
    }

    /// The sum of two values or vectors.
    pub(super) fn combine(&mut self, sum: Sum, x: Value, y: Value) -> Value {
        let float = self.b.func.dfg.value_type(x).lane_type() == types::F32;
        match sum {
            Sum::Add if float => self.b.ins().fadd(x, y),
            Sum::Add => self.b.ins().iadd(x, y),
            Sum::Mul if float => self.b.ins().fmul(x, y),
            Sum::Mul => self.b.ins().imul(x, y),
            Sum::Min => self.least(x, y),
            Sum::Max => self.greatest(x, y),
        }
    }

    /// `if x < y { x } else { y }`.
    pub(super) fn least(&mut self, x: Value, y: Value) -> Value {
        let less = self.less(x, y);
        self.choose(less, x, y)
    }

    /// `if x > y { x } else { y }`.
    pub(super) fn greatest(&mut self, x: Value, y: Value) -> Value {
        let less = self.less(y, x);
        self.choose(less, x, y)
    }

    fn less(&mut self, x: Value, y: Value) -> Value {
        if self.b.func.dfg.value_type(x).lane_type() == types::F32 {
            self.b.ins().fcmp(FloatCC::LessThan, x, y)
        } else {
            self.b.ins().icmp(IntCC::SignedLessThan, x, y)
        }
    }

    /// `if condition { x } else { y }`; conditions of vectors are masks.
    pub(super) fn choose(&mut self, condition: Value, x: Value, y: Value) -> Value {
        let ty = self.b.func.dfg.value_type(x);
        if !ty.is_vector() {
            return self.b.ins().select(condition, x, y);
        }
        let mask = self.cast(ty, condition);
        self.b.ins().bitselect(mask, x, y)
    }

    /// The same bits as another type.
    pub(super) fn cast(&mut self, ty: Type, value: Value) -> Value {
        if self.b.func.dfg.value_type(value) == ty {
            return value;
        }
        let flags = MemFlagsData::new().with_endianness(cranelift_codegen::ir::Endianness::Little);
        self.b.ins().bitcast(ty, flags, value)
    }
}

fn set_locals(stmts: &[Stmt], locals: &mut Vec<LocalId>) {
    for stmt in stmts {
        match stmt {
            Stmt::Set { local, .. } => locals.push(*local),
            Stmt::For { body, .. } => set_locals(body, locals),
            Stmt::Let { .. } | Stmt::Store { .. } => {}
        }
    }
}

/// Whether the first thing that happens to a local is that it is set.
fn sets_before_gets(stmts: &[Stmt], local: LocalId) -> bool {
    for stmt in stmts {
        match stmt {
            Stmt::Set { local: set, .. } if *set == local => return true,
            Stmt::Let { inst: Inst::Get(got), .. } if *got == local => return false,
            Stmt::For { body, .. } => {
                let mut inner = vec![];
                set_locals(body, &mut inner);
                if inner.contains(&local) || gets(body, local) {
                    return sets_before_gets(body, local);
                }
            }
            _ => {}
        }
    }
    true
}

fn gets(stmts: &[Stmt], local: LocalId) -> bool {
    stmts.iter().any(|stmt| match stmt {
        Stmt::Let { inst: Inst::Get(got), .. } => *got == local,
        Stmt::For { body, .. } => gets(body, local),
        Stmt::Set { .. } | Stmt::Store { .. } | Stmt::Let { .. } => false,
    })
}

/// How often a value is used in these statements.
fn uses(stmts: &[Stmt], id: ValId) -> usize {
    stmts
        .iter()
        .map(|stmt| match stmt {
            Stmt::Let { inst, .. } => inst.operands().filter(|operand| *operand == id).count(),
            Stmt::Store { index, value, .. } => {
                index.terms.iter().filter(|term| term.0 == id).count() + usize::from(*value == id)
            }
            Stmt::Set { value, .. } => usize::from(*value == id),
            Stmt::For { body, .. } => uses(body, id),
        })
        .sum()
}
