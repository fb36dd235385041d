//! Applying layers: signatures, pass-through, instances and their names. The model is the outermost layer.
use crate::axis::{TypedDim, TypedExtent};
use crate::call::Operand;
use crate::elab::{Elab, Eval, Failed, Instance};
use crate::scan::Body;
use crate::scope::{Env, Scope};
use crate::value::{Layer, Place, Spanned, Tensor, Value};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use stmc_base::{Code, Diagnostic, Span};
use stmc_ir::{AxisId, DType, Type};
use stmc_syntax::ast::{self, Arg, TypeKind};

impl<'a> Elab<'a> {
    /// `NAME = Layer(…)`: a sub-layer, or a list of them.
    pub(crate) fn sub_layer(&mut self, sub: &'a ast::SubLayer, position: u32, scope: &Env<'a>) -> Eval<()> {
        let place = self.here().child(&sub.name.text, 2 + position);
        // An empty list is the identity.
        if let Some(value) = self.instead(sub.guard.as_ref(), Value::list(vec![]), scope)? {
            self.bind(scope, &sub.name, name_layers(value, &place));
            return Ok(());
        }
        let value = match self.eval(&sub.value, scope)? {
            Value::LayerDecl(decl, unit) => {
                Value::Layer(self.construct(decl, unit, &[], scope, sub.value.span)?)
            }
            value @ (Value::Layer(_) | Value::List(_) | Value::Fn(_) | Value::Builtin(_)) => value,
            other => {
                let message = format!("`{} = …` declares a layer, this is {}", sub.name.text, other.kind());
                let diagnostic = Diagnostic::new(Code::E0403, sub.value.span, message);
                return Err(self.error(diagnostic.help(format!("`let {} = …` names a value", sub.name.text))));
            }
        };
        let value = self.override_initializers(value, sub, scope)?;
        self.bind(scope, &sub.name, name_layers(value, &place));
        Ok(())
    }

    fn override_initializers(
        &mut self,
        value: Value<'a>,
        sub: &'a ast::SubLayer,
        scope: &Env<'a>,
    ) -> Eval<Value<'a>> {
        if sub.overrides.is_empty() {
            return Ok(value);
        }
        let Value::Layer(layer) = &value else {
            let span = sub.overrides[0].span;
            return Err(self.fail(Code::E0403, span, "only a single layer takes other initializers"));
        };
        for o in &sub.overrides {
            let params: Vec<&str> = layer.decl.body.statements.iter().filter_map(param_name).collect();
            if !params.contains(&&*o.name.text) {
                let message =
                    format!("`{}` has no weight `{}` of its own", layer.decl.name.text, o.name.text);
                let diagnostic = Diagnostic::new(Code::E0404, o.name.span, message);
                let help = format!("it has {}", crate::names::listed(params.iter().copied()));
                return Err(self.error(diagnostic.help(help)));
            }
        }
        let overrides = sub.overrides.iter().map(|o| (o, scope.clone())).collect();
        Ok(Value::Layer(Rc::new(Layer { overrides, ..Layer::clone(layer) })))
    }

    /// A layer on its operands.
    pub(crate) fn apply_layer(
        &mut self,
        layer: &Rc<Layer<'a>>,
        piped: &[Operand<'a>],
        args: &'a [Arg],
        env: &Env<'a>,
        span: Span,
    ) -> Eval<Value<'a>> {
        let decl = layer.decl;
        let operands = self.match_arguments(&decl.name, &decl.inputs, piped, args, env, span)?;
        let mut given = vec![];
        for operand in &operands {
            given.push(operand.as_ref().map(|o| self.operand(o)).transpose()?);
        }
        self.enter(span, &decl.name)?;
        let place = layer.place.clone().unwrap_or_else(|| self.nameless(&decl.name));
        self.instances.push(Instance {
            place: place.clone(),
            named: layer.place.is_some(),
            layer: decl.name.text.clone(),
            allowed: None,
            passing: vec![],
            extents: BTreeMap::new(),
            rings: vec![],
        });
        self.bodies.push(Body::Layer);
        let overrides = std::mem::replace(&mut self.overrides, layer.overrides.clone());
        let result = self.instance(layer, &place, given, span);
        self.overrides = overrides;
        self.bodies.pop();
        self.instances.pop();
        self.calls.pop();
        result
    }

    /// The place of the instance in whose body we are.
    fn here(&self) -> Place {
        self.instances.last().map_or_else(Place::default, |i| i.place.clone())
    }

    /// The place of a layer without a name: it may have no weights, but its own axes and draws belong to it.
    fn nameless(&self, name: &ast::Name) -> Place {
        let mut place = self.here();
        place.path = format!("{}~{}", place.path, name.text);
        place
    }

    fn instance(
        &mut self,
        layer: &Layer<'a>,
        place: &Place,
        given: Vec<Option<Spanned<'a>>>,
        span: Span,
    ) -> Eval<Value<'a>> {
        let decl = layer.decl;
        let top = self.tops[layer.unit].clone();
        let scope = Scope::body(&top, &place.path);
        for (n, (name, value)) in layer.settings.iter().enumerate() {
            let value = name_layers(value.clone(), &place.child(name, 1_000_000 + n as u32));
            scope.define(name, value, decl.name.span);
        }
        let signature = self.bind_inputs(decl, &scope, given)?;
        let declared = match &decl.result {
            Some(ty) => self.result_axes(ty, &scope)?,
            None => vec![],
        };
        self.restrict(decl, &signature, &declared);
        let value = self.block(&decl.body, &scope)?;
        self.hand_over_carries(&scope)?;
        let place = decl.body.result.as_ref().map_or(span, |r| r.span);
        let Some(ty) = &decl.result else {
            self.check_own_axes(&value, place)?;
            return Ok(value);
        };
        self.check_result(value, ty, &signature, &scope, place)
    }

    /// Binds the tensor parameters and checks them against their types.
    fn bind_inputs(
        &mut self,
        decl: &'a ast::LayerDecl,
        scope: &Env<'a>,
        given: Vec<Option<Spanned<'a>>>,
    ) -> Eval<Signature> {
        let mut signature = Signature::default();
        for (parameter, given) in decl.inputs.iter().zip(given) {
            let value = match given {
                Some(value) => value,
                None => {
                    let default = parameter.default.as_ref().expect("missing arguments were refused");
                    Spanned { value: self.eval(default, scope)?, span: default.span }
                }
            };
            let plain = value.value.clone().plain();
            if let Value::Tensor(t) = plain {
                self.check_input(&decl.name, parameter, t, &mut signature, scope, value.span)?;
            } else if parameter.ty.is_some()
                && !matches!(plain, Value::List(_) | Value::Record(_))
                && plain.host().is_none()
            {
                return Err(self.wrong_kind(&plain, "a tensor", value.span));
            }
            self.bind(scope, &parameter.name, plain);
        }
        // What one input names passes through with no other: a mask by pairs has the axis of the memory.
        let Signature { passing, named, .. } = &mut signature;
        passing.retain(|(a, _)| !named.contains(a));
        Ok(signature)
    }

    fn check_input(
        &mut self,
        layer: &ast::Name,
        parameter: &'a ast::Parameter,
        tensor: Tensor,
        signature: &mut Signature,
        scope: &Env<'a>,
        span: Span,
    ) -> Eval<()> {
        let ty = self.ty(tensor);
        signature.rings.extend(self.rings(tensor));
        let mut dims = vec![];
        if let Some(declared) = &parameter.ty {
            let TypeKind::Tensor { dtype, missing, shape } = &declared.kind else {
                return Err(self.fail(Code::E0403, declared.span, "an input of a layer has a tensor's type"));
            };
            self.check_dtype(*dtype, ty.dtype, span)?;
            if !missing {
                self.refuse_missing(tensor, &format!("`{}`", layer.text), span)?;
            }
            dims = self.dims(shape.as_deref().unwrap_or_default(), scope)?;
        }
        for dim in &dims {
            let Some(extent) = ty.extent(dim.axis) else {
                return Err(self.lacks_axis(layer, tensor, dim.axis, span));
            };
            self.check_extent(dim, extent, signature, span)?;
        }
        let named: Vec<AxisId> = dims.iter().map(|d| d.axis).collect();
        for d in ty.dims().iter().filter(|d| !named.contains(&d.axis)) {
            if !signature.passing.iter().any(|(a, _)| *a == d.axis) {
                signature.passing.push((d.axis, d.extent));
            }
        }
        signature.named.extend(named);
        Ok(())
    }

    /// A declared dtype. `None`: none is declared.
    pub(crate) fn dtype(&mut self, declared: Option<ast::DType>, span: Span) -> Eval<Option<DType>> {
        match declared {
            None => Ok(None),
            Some(ast::DType::F32) => Ok(Some(DType::F32)),
            // Small numbers and categories are read as i32.
            Some(ast::DType::I32 | ast::DType::U8 | ast::DType::Category) => Ok(Some(DType::I32)),
            Some(ast::DType::Bool) => Ok(Some(DType::Bool)),
            Some(half @ (ast::DType::F16 | ast::DType::Bf16)) => {
                let message = format!("values are `f32`, `i32` or `bool`; none are `{}`", half.text());
                let diagnostic = Diagnostic::new(Code::E0408, span, message);
                Err(self.error(
                    diagnostic.help("`f32`; how exact products are is what `precision` in `train` says"),
                ))
            }
        }
    }

    /// A value's dtype against a declared one.
    pub(crate) fn check_dtype(&mut self, declared: Option<ast::DType>, found: DType, span: Span) -> Eval<()> {
        let Some(wanted) = self.dtype(declared, span)?.filter(|wanted| *wanted != found) else {
            return Ok(());
        };
        let message = format!("this is {}, but {} is declared", found.name(), wanted.name());
        let diagnostic = Diagnostic::new(Code::E0408, span, message);
        let cast = format!("{}(", wanted.name());
        Err(self.error(diagnostic.help(format!("cast it: `{cast}x)`")).wrap(span, cast, ")")))
    }

    fn lacks_axis(&mut self, layer: &ast::Name, tensor: Tensor, axis: AxisId, span: Span) -> Failed {
        let (name, ty) = (self.axis_name(axis), self.ty(tensor));
        let have: Vec<String> = ty.dims().iter().map(|d| self.axis_name(d.axis)).collect();
        let message = format!("`{}` needs the axis `{name}`; this has [{}]", layer.text, have.join(", "));
        let diagnostic = Diagnostic::new(Code::E0501, span, message);
        let help = match crate::names::did_you_mean(&name, have.iter().map(String::as_str)) {
            Some(near) => near,
            None if name == "channel" => {
                "`unsqueeze(x, channel)` adds it, `rename(x, … -> channel)` makes another axis it".into()
            }
            None => {
                format!("`rename` an axis to `{name}`, or apply the layer to something that has it").into()
            }
        };
        self.error(diagnostic.help(help))
    }

    fn check_extent(
        &mut self,
        dim: &TypedDim,
        found: usize,
        signature: &mut Signature,
        span: Span,
    ) -> Eval<()> {
        let name = self.axis_name(dim.axis);
        let wanted = match dim.extent {
            TypedExtent::Any => return Ok(()),
            TypedExtent::Is(extent) => Some((extent, dim.span)),
            TypedExtent::Bare => signature.extents.get(&dim.axis).copied(),
        };
        match wanted {
            Some((extent, declared)) if extent != found => {
                let diagnostic = Diagnostic::new(
                    Code::E0206,
                    span,
                    format!("`{name}` is {found}, but {extent} is declared"),
                );
                Err(self.error(
                    diagnostic.here(format!("{name}: {found}")).label(declared, format!("{name}: {extent}")),
                ))
            }
            _ => {
                signature.extents.entry(dim.axis).or_insert((found, span));
                Ok(())
            }
        }
    }

    /// The axes that a result's type names.
    fn result_axes(&mut self, ty: &'a ast::Type, scope: &Env<'a>) -> Eval<Vec<AxisId>> {
        match &ty.kind {
            TypeKind::Tensor { shape: Some(shape), .. } => {
                let mut axes = vec![];
                for dim in shape {
                    axes.extend(self.axis_ref(&dim.axis, scope, crate::axis::Naming::Old)?);
                }
                Ok(axes)
            }
            TypeKind::Record(fields) => {
                let mut axes = vec![];
                for field in fields {
                    axes.extend(self.result_axes(&field.ty, scope)?);
                }
                Ok(axes)
            }
            _ => Ok(vec![]),
        }
    }

    /// From here on the body may name only what its signature names.
    fn restrict(&mut self, decl: &ast::LayerDecl, signature: &Signature, declared: &[AxisId]) {
        let instance = self.instances.last_mut().expect("a layer is being applied");
        let typed = decl
            .inputs
            .iter()
            .any(|i| matches!(&i.ty, Some(t) if matches!(&t.kind, TypeKind::Tensor { shape: Some(_), .. })));
        if typed {
            instance.allowed = Some(signature.named.iter().chain(declared).copied().collect());
        }
        instance.passing = signature.passing.iter().map(|(a, _)| *a).collect();
        instance.rings = signature.rings.clone();
        instance.extents = signature.passing.iter().copied().collect();
        instance.extents.extend(signature.extents.iter().map(|(a, (extent, _))| (*a, *extent)));
    }

    /// The result has exactly the declared axes plus those that pass through.
    fn check_result(
        &mut self,
        value: Value<'a>,
        ty: &'a ast::Type,
        signature: &Signature,
        scope: &Env<'a>,
        span: Span,
    ) -> Eval<Value<'a>> {
        match (&ty.kind, value.plain()) {
            (TypeKind::Record(fields), Value::Record(entries)) => {
                let mut out: Vec<(Arc<str>, Value<'a>)> = vec![];
                for field in fields {
                    let Some((_, value)) = entries.iter().find(|(n, _)| *n == field.name.text) else {
                        let message = format!("the body gives no `{}`", field.name.text);
                        let diagnostic = Diagnostic::new(Code::E0504, span, message);
                        let given = entries.iter().map(|(n, _)| n.as_ref());
                        let help = crate::names::near_or_all(&field.name.text, "it gives", given);
                        return Err(self.error(diagnostic.label(field.span, "declared here").help(help)));
                    };
                    out.push((
                        field.name.text.clone(),
                        self.check_result(value.clone(), &field.ty, signature, scope, span)?,
                    ));
                }
                if let Some((extra, _)) =
                    entries.iter().find(|(n, _)| !fields.iter().any(|f| f.name.text == *n))
                {
                    let message = format!("the body gives `{extra}`, which is not declared");
                    return Err(self
                        .error(Diagnostic::new(Code::E0504, span, message).label(ty.span, "declared here")));
                }
                Ok(Value::record(out))
            }
            (TypeKind::Tensor { dtype, missing, shape }, value) => {
                let tensor = self.tensor(&Spanned { value, span }, None)?;
                if !missing {
                    self.refuse_missing(tensor, "the declared result", span)?;
                }
                self.check_dtype(*dtype, self.ty(tensor).dtype, span)?;
                let Some(shape) = shape else { return Ok(Value::Tensor(tensor)) };
                let dims = self.dims(shape, scope)?;
                self.check_result_dims(tensor, &dims, signature, ty.span, span).map(Value::Tensor)
            }
            (TypeKind::Record(fields), other) => {
                let message = format!("this is {}, but a record is needed here", other.kind());
                let form: Vec<String> = fields.iter().map(|f| format!("{}: …", f.name.text)).collect();
                let help = format!("write `{{ {} }}`", form.join(", "));
                Err(self.error(Diagnostic::new(Code::E0403, span, message).help(help)))
            }
            (_, value) => Ok(value),
        }
    }

    fn check_result_dims(
        &mut self,
        tensor: Tensor,
        dims: &[TypedDim],
        signature: &Signature,
        declared: Span,
        span: Span,
    ) -> Eval<Tensor> {
        let ty = self.ty(tensor);
        let expected =
            |a: AxisId| dims.iter().any(|d| d.axis == a) || signature.passing.iter().any(|(p, _)| *p == a);
        let extra: Vec<AxisId> = ty.dims().iter().map(|d| d.axis).filter(|a| !expected(*a)).collect();
        let lacking: Vec<AxisId> = dims.iter().map(|d| d.axis).filter(|a| !ty.has(*a)).collect();
        if let ([own], [missing]) = (&extra[..], &lacking[..])
            && self.is_own(*own)
        {
            return Err(self.own_axis_leaves(*own, Some(*missing), span));
        }
        if !extra.is_empty() || !lacking.is_empty() {
            return Err(self.wrong_result(&ty, dims, signature, &extra, declared, span));
        }
        for dim in dims {
            let found = ty.extent(dim.axis).expect("lacking axes were refused");
            let wanted = match dim.extent {
                TypedExtent::Is(extent) => Some(extent),
                TypedExtent::Bare => signature.extents.get(&dim.axis).map(|e| e.0),
                TypedExtent::Any => None,
            };
            if let Some(wanted) = wanted.filter(|w| *w != found) {
                let name = self.axis_name(dim.axis);
                let message = format!("the body gives {found} steps of `{name}`, but {wanted} are declared");
                let diagnostic = Diagnostic::new(Code::E0206, span, message).label(dim.span, "declared here");
                return Err(self.error(diagnostic.help(format!("`{name}: _` takes what the body gives"))));
            }
        }
        let missing: Vec<(AxisId, usize)> =
            signature.passing.iter().copied().filter(|(a, _)| !ty.has(*a)).collect();
        let mut result = tensor;
        for (axis, extent) in missing {
            result = self.repeat(result, axis, extent, span)?;
            if signature.rings.contains(&axis) {
                result = self.with_ring(result, axis);
            }
        }
        Ok(result)
    }

    fn own_axis_leaves(&mut self, own: AxisId, missing: Option<AxisId>, span: Span) -> Failed {
        let name = self.axis_name(own);
        let message = format!("`{name}` is this layer's own axis and may not leave it");
        let into = missing.map_or("channel".to_string(), |a| self.axis_name(a));
        let help = format!("`rename(x, {name} -> {into})`");
        let diagnostic = Diagnostic::new(Code::E0503, span, message).help(help);
        self.error(match missing {
            Some(_) => diagnostic.wrap(span, "rename(", format!(", {name} -> {into})")),
            None => diagnostic,
        })
    }

    /// The body gives other axes than are declared.
    fn wrong_result(
        &mut self,
        ty: &Type,
        dims: &[TypedDim],
        signature: &Signature,
        extra: &[AxisId],
        declared: Span,
        span: Span,
    ) -> Failed {
        let wanted: Vec<String> = dims.iter().map(|d| self.axis_name(d.axis)).collect();
        let passing = |a: AxisId| signature.passing.iter().any(|(p, _)| *p == a);
        let found: Vec<String> =
            ty.dims().iter().filter(|d| !passing(d.axis)).map(|d| self.axis_name(d.axis)).collect();
        let (code, what) = if self.closed { (Code::E0507, "model") } else { (Code::E0504, "layer") };
        let message = format!(
            "the {what} is declared to give [{}], its body gives [{}]",
            wanted.join(", "),
            found.join(", ")
        );
        let mut diagnostic = Diagnostic::new(code, span, message).label(declared, "declared here");
        let paired = dims.iter().find(|d| !ty.has(d.axis) && signature.named.contains(&d.axis));
        if let Some(paired) = paired.filter(|_| extra.iter().any(|a| self.is_own(*a))) {
            let name = self.axis_name(paired.axis);
            diagnostic = diagnostic.help(format!(
                "two operands that share `{name}` are paired step by step; `rename` it in one of them to an axis of its own"
            ));
        } else if let [extra] = extra {
            diagnostic = diagnostic.help(self.one_axis_less(ty, *extra, what));
        } else if !extra.is_empty() {
            let names: Vec<String> = extra.iter().map(|a| self.axis_name(*a)).collect();
            let names = names.join(", ");
            diagnostic = diagnostic.help(format!(
                "reduce them (`mean(x, over: ({names}))`), or declare that the {what} gives them"
            ));
        }
        self.error(diagnostic)
    }

    /// What to do about the one axis that a body gives and its declaration does not.
    fn one_axis_less(&self, ty: &Type, extra: AxisId, what: &str) -> String {
        let name = self.axis_name(extra);
        if ty.extent(extra) == Some(1) {
            format!("`squeeze(x, {name})`, since it has a single step")
        } else {
            format!("reduce it (`mean(x, over: {name})`), or declare that the {what} gives `{name}`")
        }
    }

    /// Own axes may not leave a layer whose result has no type either.
    fn check_own_axes(&mut self, value: &Value<'a>, span: Span) -> Eval<()> {
        let Value::Tensor(t) = value.clone().plain() else { return Ok(()) };
        match self.axes_of(t).into_iter().find(|a| self.is_own(*a)) {
            Some(own) => Err(self.own_axis_leaves(own, None, span)),
            None => Ok(()),
        }
    }

    /// Whether an axis belongs to the instance whose body is being elaborated.
    fn is_own(&self, axis: AxisId) -> bool {
        let path = self.path();
        let axes = self.axes.borrow();
        let owner = &axes.get(axis).owner;
        !owner.is_empty() && *owner == path || axes.get(axis).name.starts_with("tap(")
    }

    // ------------------------------------------------------------ models

    /// The model on its inputs, by name: its outputs.
    pub(crate) fn apply_model(
        &mut self,
        model: &'a ast::ModelDecl,
        inputs: &BTreeMap<Arc<str>, Spanned<'a>>,
    ) -> Eval<Vec<(Arc<str>, Tensor)>> {
        let scope = Scope::body(&self.top_of(model.name.span), "");
        self.instances.push(Instance {
            place: Place::default(),
            named: true,
            layer: model.name.text.clone(),
            allowed: None,
            passing: vec![],
            extents: BTreeMap::new(),
            rings: vec![],
        });
        self.bodies.push(Body::Layer);
        let result = self.model_body(model, &scope, inputs);
        self.bodies.pop();
        self.instances.pop();
        result
    }

    fn model_body(
        &mut self,
        model: &'a ast::ModelDecl,
        scope: &Env<'a>,
        inputs: &BTreeMap<Arc<str>, Spanned<'a>>,
    ) -> Eval<Vec<(Arc<str>, Tensor)>> {
        let mut signature = Signature::default();
        for parameter in &model.inputs {
            let value = &inputs[&parameter.name.text];
            let tensor = self.tensor(value, None)?;
            self.check_model_input(parameter, tensor, &mut signature, scope)?;
            self.bind(scope, &parameter.name, Value::Tensor(tensor));
        }
        let instance = self.instances.last_mut().expect("the model is being applied");
        instance.extents = signature.extents.iter().map(|(a, (extent, _))| (*a, *extent)).collect();
        instance.rings = signature.rings.clone();
        let value = self.block(&model.body, scope)?;
        let batch = self.batch();
        signature.passing.retain(|(a, _)| *a == batch);
        let span = model.body.result.as_ref().map_or(model.name.span, |r| r.span);
        let TypeKind::Record(_) = &model.outputs.kind else {
            let diagnostic =
                Diagnostic::new(Code::E0403, model.outputs.span, "a model gives a record of named outputs");
            return Err(self.error(diagnostic.help("`-> { forecast: f32[time, row, col] }`")));
        };
        self.closed = true;
        let checked = self.check_result(value, &model.outputs, &signature, scope, span);
        self.closed = false;
        let Value::Record(entries) = checked? else { unreachable!("records were demanded") };
        let mut outputs = vec![];
        for (name, value) in entries.iter() {
            outputs.push((name.clone(), self.tensor(&Spanned { value: value.clone(), span }, None)?));
        }
        Ok(outputs)
    }

    fn check_model_input(
        &mut self,
        parameter: &'a ast::Parameter,
        tensor: Tensor,
        signature: &mut Signature,
        scope: &Env<'a>,
    ) -> Eval<()> {
        let ty = self.ty(tensor);
        let span = parameter.span;
        signature.rings.extend(self.rings(tensor));
        let Some(ast::Type { kind: TypeKind::Tensor { dtype, missing, shape: Some(shape) }, .. }) =
            &parameter.ty
        else {
            let message = format!("the input `{}` needs a type", parameter.name.text);
            return Err(
                self.error(Diagnostic::new(Code::E0507, span, message).help("`past: f32[time, row, col]`"))
            );
        };
        if *missing {
            return Err(self.missing_input(parameter));
        }
        if tensor.missing.is_some() {
            return Err(self.missing_input(parameter));
        }
        if let Some(field) = self.is_category(&parameter.name.text)
            && matches!(dtype, None | Some(ast::DType::F32))
            && ty.dtype == DType::I32
        {
            let message = format!("`{field}` is a category: its numbers stand for names");
            let help = format!(
                "`one_hot({field}, channel: {field}.count)` in `sample`; or take `i32` here, for an `Embedding`"
            );
            return Err(self.error(Diagnostic::new(Code::E0408, span, message).help(help)));
        }
        self.check_dtype(*dtype, ty.dtype, span)?;
        let dims = self.dims(shape, scope)?;
        for dim in &dims {
            let Some(extent) = ty.extent(dim.axis) else {
                let name = self.axis_name(dim.axis);
                let message = format!(
                    "the sample's `{}` is {}, which lacks `{name}`",
                    parameter.name.text,
                    self.show_type(&ty),
                );
                let batch = self.batch();
                let undeclared = |a: &AxisId| *a != batch && !dims.iter().any(|d| d.axis == *a);
                let others: Vec<AxisId> = ty.dims().iter().map(|d| d.axis).filter(undeclared).collect();
                let diagnostic = Diagnostic::new(Code::E0507, dim.span, message);
                return Err(self.error(match others[..] {
                    [other] => {
                        let other = self.axis_name(other);
                        diagnostic.help(format!(
                            "name it `{other}` here, or `rename(…, {other} -> {name})` in `sample`"
                        ))
                    }
                    _ => diagnostic,
                }));
            };
            self.check_extent(dim, extent, signature, span)?;
        }
        let batch = self.batch();
        for d in ty.dims() {
            if d.axis == batch {
                signature.passing = vec![(batch, d.extent)];
            } else if !dims.iter().any(|t| t.axis == d.axis) {
                let message = format!(
                    "the sample's `{}` is {}; the model does not declare `{}`",
                    parameter.name.text,
                    self.show_type(&ty),
                    self.axis_name(d.axis)
                );
                let help = "declare it, or let `sample` take one step of it or a mean over it";
                return Err(self.error(Diagnostic::new(Code::E0507, span, message).help(help)));
            }
        }
        Ok(())
    }

    /// The category that a part of the sample is, as it is read. `None`: it is something else.
    fn is_category(&self, part: &str) -> Option<Arc<str>> {
        let decl = self.resolved.data()?;
        let (_, expr) = crate::data::sample_parts(decl).into_iter().find(|(name, _)| &**name == part)?;
        let ast::ExprKind::Index { base, .. } = &expr.kind else { return None };
        let name = base.name()?.text.clone();
        let is_it = |s: &ast::DataStmt| match &s.kind {
            ast::DataKind::Field(f) if f.name.text == name => {
                matches!(f.ty.kind, TypeKind::Tensor { dtype: Some(ast::DType::Category), .. })
            }
            _ => false,
        };
        decl.statements.iter().any(is_it).then_some(name)
    }

    /// A model's input may not be missing.
    pub(crate) fn missing_input(&mut self, input: &ast::Parameter) -> Failed {
        let diagnostic =
            Diagnostic::new(Code::E0701, input.span, "a model's input must have no missing values");
        self.error(diagnostic.help(format!("`fill({}, 0)` in `sample`", input.name.text)))
    }
}

/// What is known of the arguments while a signature is matched.
#[derive(Default)]
struct Signature {
    /// Extents of the named axes, and where they were seen.
    extents: BTreeMap<AxisId, (usize, Span)>,
    /// Axes that the types name.
    named: Vec<AxisId>,
    /// Axes that pass through.
    passing: Vec<(AxisId, usize)>,
    /// Periodic axes of the arguments.
    rings: Vec<AxisId>,
}

fn param_name(statement: &ast::Stmt) -> Option<&str> {
    if let ast::StmtKind::Param(p) = &statement.kind { Some(&p.name.text) } else { None }
}

/// Gives the nameless layers in a value their places: list elements by their position.
pub(crate) fn name_layers<'a>(value: Value<'a>, place: &Place) -> Value<'a> {
    match value {
        Value::Layer(layer) if layer.place.is_none() => {
            Value::Layer(Rc::new(Layer { place: Some(place.clone()), ..Layer::clone(&layer) }))
        }
        Value::List(elements) => {
            let named = elements.iter().enumerate();
            Value::list(
                named.map(|(i, e)| name_layers(e.clone(), &place.child(&i.to_string(), i as u32))).collect(),
            )
        }
        other => other,
    }
}
