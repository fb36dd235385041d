//! Buffers: tensors beside the weights that training passes change, and no gradient does.
//!
//! In evaluation a buffer is a weight. In training it has a current value, the stored one at first; an update makes the next
//! value current, so updates follow one another in program order. In a scan a buffer is a carry. What is current at the end
//! of the entry is stored.
use crate::elab::{Elab, Eval, FrameKind};
use crate::scan::Body;
use crate::scope::{Carry, Env};
use crate::value::{Spanned, Tensor, Value};
use crate::weights::Declared;
use stmc_base::{Code, Diagnostic, Span};
use stmc_ir::Type;
use stmc_ir::module::{InputRole, OutputRole, ParamId};
use stmc_ir::ops::Scalar;
use stmc_syntax::ast;

impl<'a> Elab<'a> {
    /// `buffer mean: [channel] = 0`.
    pub(crate) fn buffer(&mut self, decl: &'a ast::BufferDecl, scope: &Env<'a>) -> Eval<()> {
        let name = &decl.name;
        if !matches!(self.bodies.last(), Some(Body::Layer | Body::Scan(_))) {
            return Err(self.fail(Code::E0506, name.span, "a buffer belongs to a layer or a model"));
        }
        let of = Declared { name, ty: &decl.ty, guard: decl.guard.as_ref(), buffer: true };
        if let ast::TypeKind::Tensor { dtype: Some(dtype), .. } = &decl.ty.kind
            && *dtype != ast::DType::F32
        {
            let message = format!("a buffer is f32, this is {}", dtype.text());
            return Err(self.fail(Code::E0408, decl.ty.span, message));
        }
        let Some((id, ty)) = self.declared(&of, &decl.value, scope, scope)? else { return Ok(()) };
        let tensor = match self.training {
            true => self.current(id, self.depth(), name.span),
            false => self.input(InputRole::Param(id), ty),
        };
        self.bind_weight(scope, name, Value::Tensor(tensor));
        let (name, key) = (name.clone(), name.text.to_string());
        scope.carries.borrow_mut().push(Carry { name, key, buffer: Some(id), next: None });
        Ok(())
    }

    /// The value of a buffer at this point of a frame's body.
    fn current(&mut self, id: ParamId, level: usize, span: Span) -> Tensor {
        let known = match &self.frames[level].kind {
            FrameKind::Scan(frame) => frame.buffer(id),
            FrameKind::Entry | FrameKind::Finish(_) => self.buffers.get(&id).copied(),
        };
        if let Some(tensor) = known {
            return tensor;
        }
        if let FrameKind::Scan(_) = self.frames[level].kind {
            let outside = self.current(id, self.parent(level), span);
            return self.carry_buffer(id, outside, level, span);
        }
        let ty = self.weights.params[id.index()].ty.clone();
        self.input(InputRole::Param(id), ty)
    }

    /// `mean' = e`, at the end of the body that declares `mean`.
    pub(crate) fn update_buffer(&mut self, id: ParamId, next: &Spanned<'a>) -> Eval<()> {
        if !self.training {
            return Ok(());
        }
        let ty = self.weights.params[id.index()].ty.clone();
        let tensor = self.tensor(next, Some(ty.dtype))?;
        let found = self.ty(tensor);
        let agrees = |d: &stmc_ir::Dim| ty.extent(d.axis) == Some(d.extent);
        if found.dtype != ty.dtype || !found.dims().iter().all(agrees) {
            return Err(self.buffer_changes(id, &found, next.span));
        }
        let wide = self.expand_to(tensor, &ty, next.span)?;
        let stopped = self.scalar(Scalar::Stop, &[wide], next.span)?;
        self.set_buffer(id, stopped);
        Ok(())
    }

    fn buffer_changes(&mut self, id: ParamId, found: &Type, span: Span) -> crate::elab::Failed {
        let param = self.weights.params[id.index()].clone();
        let (was, is) = (self.show_type(&param.ty), self.show_type(found));
        let name = param.path.rsplit('.').next().unwrap_or(&param.path);
        let message = format!("the buffer `{name}` is {was}, but its next value is {is}");
        let diagnostic = Diagnostic::new(Code::E0602, span, message).label(param.span, "declared here");
        let extra = found.dims().iter().filter(|d| !param.ty.has(d.axis));
        let extra: Vec<String> = extra.map(|d| self.axis_name(d.axis)).collect();
        self.error(match extra.is_empty() {
            true => diagnostic,
            false => {
                diagnostic.help(format!("reduce what it lacks: `mean(…, over: ({}))`", extra.join(", ")))
            }
        })
    }

    /// From here on a buffer has this value.
    pub(crate) fn set_buffer(&mut self, id: ParamId, value: Tensor) {
        let depth = self.depth();
        match &mut self.frames[depth].kind {
            FrameKind::Scan(frame) => frame.set_buffer(id, value),
            FrameKind::Entry | FrameKind::Finish(_) => {
                self.buffers.insert(id, value);
            }
        }
    }

    /// At the end of an entry: what is stored.
    pub(crate) fn store_buffers(&mut self) {
        for (id, value) in std::mem::take(&mut self.buffers) {
            self.output(value.node, OutputRole::Buffer(id));
        }
    }
}

/// Whether a name in scope is a buffer's.
pub(crate) fn is_buffer(name: &str, scope: &Env<'_>) -> bool {
    let Some(carrier) = scope.carrier(name) else { return false };
    let carries = carrier.carries.borrow();
    carries.iter().any(|c| &*c.name.text == name && c.buffer.is_some())
}
