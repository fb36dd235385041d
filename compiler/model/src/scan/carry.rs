//! What `carry`, `h' = …` and `yield` do in the body of a layer, a scan or an unrolled loop.
use super::{Body, Primed, Role, ScanCarry, Start, Yield, layer_path};
use crate::axis::TypedExtent;
use crate::elab::{Elab, Eval, Failed, Frame, FrameKind};
use crate::scope::{Carry, Env};
use crate::value::{Spanned, Tensor, Value, join};
use stmc_base::{Code, Diagnostic, Span};
use stmc_ir::{AxisId, DType};
use stmc_syntax::ast;

impl<'a> Elab<'a> {
    /// `carry h: [channel] = 0`.
    pub(crate) fn carry(&mut self, decl: &'a ast::CarryDecl, span: Span, scope: &Env<'a>) -> Eval<()> {
        if let Some(prefix) = scope.find(&decl.name.text).and_then(|v| layer_path(&v)) {
            return self.hand_state(decl, prefix, scope);
        }
        if let Some(value) = self.instead(decl.guard.as_ref(), Value::Int(0), scope)? {
            self.bind(scope, &decl.name, value);
            return Ok(());
        }
        match self.bodies.last() {
            Some(Body::Scan(_)) => {
                let key = format!("#{}", decl.name.text);
                self.scan_carry(decl, key, span, scope)
            }
            Some(Body::Layer) => self.state(decl, span, scope),
            Some(Body::For(carried, _)) => {
                let value = match carried {
                    Some(carried) => carried[&decl.name.text].clone(),
                    None => self.eval(&decl.value, scope)?,
                };
                self.carried(decl, decl.name.text.to_string(), value, scope);
                Ok(())
            }
            Some(Body::Optimizer) => self.optimizer_carry(decl, scope),
            Some(Body::Schedule) => self.schedule_carry(decl, scope),
            Some(Body::Function) | None => {
                let message = "a `carry` stands in a scan, a `for`, a layer, an optimizer or a schedule";
                Err(self.fail(Code::E0601, span, message))
            }
        }
    }

    /// Binds a carry that waits for its next value.
    pub(crate) fn carried(
        &mut self,
        decl: &'a ast::CarryDecl,
        key: String,
        value: Value<'a>,
        scope: &Env<'a>,
    ) {
        self.bind(scope, &decl.name, value);
        scope.carries.borrow_mut().push(Carry { name: decl.name.clone(), key, buffer: None, next: None });
    }

    /// `carry cells = read.cells`: where a layer's state starts.
    fn hand_state(&mut self, decl: &'a ast::CarryDecl, prefix: String, scope: &Env<'a>) -> Eval<()> {
        let Value::State(state) = self.eval(&decl.value, scope)? else {
            let message =
                format!("`{0}` is a layer: its state comes from an earlier scan, `run.{0}`", decl.name.text);
            return Err(self.fail(Code::E0403, decl.value.span, message));
        };
        match self.frames.last_mut().map(|f| &mut f.kind) {
            Some(FrameKind::Scan(frame)) => {
                frame.starts.push((prefix, state));
                Ok(())
            }
            _ => Err(self.fail(
                Code::E0605,
                decl.name.span,
                "a state is handed over at the beginning of a scan",
            )),
        }
    }

    /// A carry of a stateful layer: it joins the innermost scan around.
    fn state(&mut self, decl: &'a ast::CarryDecl, span: Span, scope: &Env<'a>) -> Eval<()> {
        let instance = self.instances.last().expect("a layer is being applied");
        let (layer, named, path) = (instance.layer.clone(), instance.named, instance.place.path.clone());
        let here = self.calls.last().copied().unwrap_or(span);
        let FrameKind::Scan(frame) = &self.frames[self.depth()].kind else {
            let message = format!("`{layer}` keeps a state from step to step: apply it inside a `scan`");
            let diagnostic = Diagnostic::new(Code::E0605, here, message).label(span, "its state");
            return Err(self.error(diagnostic.help("`scan x in xs along time { yield x |> layer }`")));
        };
        if !named {
            return Err(self.nameless_weights(&layer, span));
        }
        let key = join(&path, &decl.name.text);
        if frame.carries.iter().any(|c| c.key == key) {
            let message = format!("`{path}` is applied twice in one step: a state has one next value");
            return Err(self.fail(Code::E0605, here, message));
        }
        self.scan_carry(decl, key, span, scope)
    }

    fn scan_carry(&mut self, decl: &'a ast::CarryDecl, key: String, span: Span, scope: &Env<'a>) -> Eval<()> {
        let initial = match self.handed(&key) {
            Some(tensor) => tensor,
            None => self.first_value(decl, scope)?,
        };
        let depth = self.depth();
        if initial.level >= depth {
            let message =
                format!("the first value of `{}` is computed before the first step", decl.name.text);
            return Err(self.fail(Code::E0602, decl.value.span, message));
        }
        let mut ty = self.ty(initial);
        let FrameKind::Scan(frame) = &self.frames[depth].kind else { unreachable!("scans have a frame") };
        let width = frame.widths.get(&key).cloned().unwrap_or_default();
        for dim in &width.dims {
            ty = ty.with(dim.axis, dim.extent).unwrap_or(ty);
        }
        let along = frame.axis;
        if ty.has(along) {
            let name = self.axis_name(along);
            let message =
                format!("the first value of `{}` has `{name}`, the axis of the scan", decl.name.text);
            let diagnostic = Diagnostic::new(Code::E0602, decl.value.span, message);
            return Err(self.error(diagnostic.help(format!("take one step of it: `x[{name}: 0]`"))));
        }
        let rings: Vec<AxisId> = self.rings(initial).iter().copied().chain(width.rings).collect();
        let initial = self.expand_to(initial, &ty, span)?;
        let initial = self.with_rings(initial, rings);
        let mask = match initial.missing.is_some() || width.missing {
            true => Some(self.full_mask(initial, span)?),
            false => None,
        };
        let Frame { builder, kind: FrameKind::Scan(frame) } = &mut self.frames[depth] else {
            unreachable!("scans have a frame")
        };
        let role = Role::Carry(frame.carries.len());
        let input = frame.input(builder, role, ty);
        frame.carries.push(ScanCarry {
            key: key.clone(),
            initial: initial.stored(),
            input,
            next: None,
            span,
        });
        let missing = mask.map(|mask| frame.carry_mask(builder, &key, mask, input, span));
        let value = Value::Tensor(Tensor { rings: initial.rings, missing, ..Tensor::plain(input, depth) });
        self.carried(decl, key, value, scope);
        Ok(())
    }

    /// The state handed over to a layer's carry.
    fn handed(&self, key: &str) -> Option<Tensor> {
        let FrameKind::Scan(frame) = &self.frames[self.depth()].kind else { return None };
        let of = |(prefix, state): &Start| {
            state.iter().find(|(below, _)| join(prefix, below) == key).map(|(_, t)| *t)
        };
        frame.starts.iter().rev().find_map(of)
    }

    /// The first value of a carry, with the axes that its type declares.
    fn first_value(&mut self, decl: &'a ast::CarryDecl, scope: &Env<'a>) -> Eval<Tensor> {
        let value = self.spanned(&decl.value, scope)?;
        let Some(ty) = &decl.ty else { return self.tensor(&value, None) };
        let ast::TypeKind::Tensor { dtype, shape, .. } = &ty.kind else {
            return Err(self.fail(Code::E0403, ty.span, "a carry has a tensor's type: `[channel: 16]`"));
        };
        let like = self.dtype(*dtype, ty.span)?.unwrap_or(DType::F32);
        let tensor = self.tensor(&value, Some(like))?;
        self.check_dtype(*dtype, self.ty(tensor).dtype, value.span)?;
        let given = self.ty(tensor);
        let mut full = given.clone();
        for dim in self.dims(shape.as_deref().unwrap_or_default(), scope)? {
            let known = self.instances.last().and_then(|i| i.extents.get(&dim.axis).copied());
            let name = self.axis_name(dim.axis);
            let wanted = match dim.extent {
                TypedExtent::Is(extent) => Some(extent),
                TypedExtent::Bare => given.extent(dim.axis).or(known),
                TypedExtent::Any => given.extent(dim.axis),
            };
            match (wanted, given.extent(dim.axis)) {
                (None, _) => {
                    let message = format!("the extent of `{name}` is not known here");
                    return Err(self.error(
                        Diagnostic::new(Code::E0206, dim.span, message).help(format!("`{name}: …`")),
                    ));
                }
                (Some(extent), None) => match full.with(dim.axis, extent) {
                    Some(wider) => full = wider,
                    None => {
                        return Err(self.fail(Code::E0204, dim.span, format!("`{name}` stands here twice")));
                    }
                },
                (Some(wanted), Some(found)) if wanted != found => {
                    let message = format!("`{name}` is {found}, but {wanted} is declared");
                    return Err(self.error(
                        Diagnostic::new(Code::E0206, value.span, message).label(dim.span, "declared here"),
                    ));
                }
                _ => {}
            }
        }
        let tensor = self.expand_to(tensor, &full, value.span)?;
        let around = self.instances.last().map_or(vec![], |i| i.rings.clone());
        Ok(self.with_rings(tensor, self.rings(tensor).to_vec().into_iter().chain(around)))
    }

    /// `h' = e`.
    pub(crate) fn update(&mut self, update: &'a ast::Update, scope: &Env<'a>) -> Eval<()> {
        if !self.guard(update.guard.as_ref(), scope)? {
            return Ok(());
        }
        if !self.training && crate::buffers::is_buffer(&update.name.text, scope) {
            let kept = scope.find(&update.name.text).expect("a buffer is bound to its name");
            return self.prime(update, kept, scope);
        }
        let value = self.eval(&update.value, scope)?;
        self.prime(update, value, scope)
    }

    /// The next value failed: nobody is to complain that there is none.
    pub(crate) fn prime_failed(&mut self, update: &'a ast::Update, scope: &Env<'a>) {
        let before = self.diagnostics.len();
        let _ = self.prime(update, Value::Failed, scope);
        self.diagnostics.truncate(before);
    }

    fn prime(&mut self, update: &'a ast::Update, value: Value<'a>, scope: &Env<'a>) -> Eval<()> {
        let name = &update.name;
        let Some(carrier) = scope.carrier(&name.text) else {
            if matches!(scope.find(&name.text), Some(Value::Failed)) {
                return Err(Failed);
            }
            let message = format!("there is no carry `{}` to give a next value", name.text);
            let diagnostic = Diagnostic::new(Code::E0601, name.span, message);
            return Err(self
                .error(diagnostic.help(format!("`carry {} = …` at the beginning of the body", name.text))));
        };
        let mut carries = carrier.carries.borrow_mut();
        let carry = carries.iter_mut().find(|c| c.name.text == name.text).expect("the scope declares it");
        if let Some((_, first)) = &carry.next {
            let diagnostic =
                Diagnostic::new(Code::E0601, name.span, format!("`{}` gets two next values", name.text));
            let diagnostic = diagnostic.label(*first, "the first");
            drop(carries);
            return Err(self.error(diagnostic));
        }
        carry.next = Some((value, update.value.span));
        Ok(())
    }

    /// `yield e`.
    pub(crate) fn yield_statement(&mut self, expr: &'a ast::Expr, scope: &Env<'a>) -> Eval<()> {
        let value = self.spanned(expr, scope)?;
        let name = expr.name().map(|n| n.text);
        match self.bodies.last_mut() {
            Some(Body::Scan(yields) | Body::For(_, yields)) => {
                yields.push(Yield { name, value });
                Ok(())
            }
            _ => Err(self.fail(Code::E0601, expr.span, "`yield` stands in a scan or a `for`")),
        }
    }

    /// The next values of the carries that a body declares; each has one.
    pub(crate) fn next_values(&mut self, scope: &Env<'a>) -> Eval<Vec<Primed<'a>>> {
        let mut out = vec![];
        let mut missing = vec![];
        for carry in scope.carries.borrow().iter() {
            match &carry.next {
                Some((value, span)) => {
                    let (key, name, buffer) = (carry.key.clone(), carry.name.text.clone(), carry.buffer);
                    out.push(Primed { key, name, buffer, value: value.clone(), span: *span });
                }
                None if carry.buffer.is_some() => {}
                None => missing.push(carry.name.clone()),
            }
        }
        for name in &missing {
            let message = format!("carry `{}` never gets a next value", name.text);
            self.report(
                Diagnostic::new(Code::E0601, name.span, message).help(format!("`{}' = …`", name.text)),
            );
        }
        if missing.is_empty() { Ok(out) } else { Err(Failed) }
    }

    /// After a body: its carries' next values go to the frame of the scan.
    pub(crate) fn hand_over_carries(&mut self, scope: &Env<'a>) -> Eval<()> {
        for Primed { key, buffer, value, span, .. } in self.next_values(scope)? {
            if matches!(value, Value::Failed) {
                return Err(Failed);
            }
            if let Some(id) = buffer {
                self.update_buffer(id, &Spanned { value, span })?;
                continue;
            }
            let depth = self.depth();
            let like = match &self.frames[depth].kind {
                FrameKind::Scan(frame) => {
                    let carry =
                        frame.carries.iter().find(|c| c.key == key).expect("the carry joined this scan");
                    self.frames[depth].builder.ty(carry.input).dtype
                }
                _ => unreachable!("carries join a scan"),
            };
            let tensor = self.tensor(&Spanned { value, span }, Some(like))?;
            let FrameKind::Scan(frame) = &mut self.frames[depth].kind else { unreachable!("checked above") };
            let carry = frame.carries.iter_mut().find(|c| c.key == key).expect("the carry joined this scan");
            carry.next = Some((tensor, span));
        }
        Ok(())
    }
}
