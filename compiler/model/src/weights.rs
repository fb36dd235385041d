//! Weights: declared in layers, numbered by path, put in the order of declaration at the end.
use crate::axis::TypedExtent;
use crate::elab::{Elab, Eval, Failed};
use crate::scope::Env;
use crate::value::{Value, join};
use stmc_base::{Code, Diagnostic, Span};
use stmc_ir::module::{InputRole, Param, ParamId};
use stmc_ir::{DType, Dim, Type};
use stmc_syntax::ast;

/// All weights so far.
#[derive(Default)]
pub(crate) struct Weights {
    /// Numbered by `ParamId` until they are put in order.
    pub params: Vec<Param>,
    /// Where in the user's text each was made.
    pub places: Vec<Span>,
    /// Positions of declarations, by which they are ordered.
    order: Vec<Vec<u32>>,
}

impl Weights {
    fn find(&self, path: &str) -> Option<usize> {
        self.params.iter().position(|p| p.path == path)
    }

    /// How many numbers are trained.
    pub(crate) fn trained(&self) -> usize {
        self.params.iter().filter(|p| !p.buffer).map(|p| p.ty.len()).sum()
    }

    /// The weights in the order of declaration, and the new number of each.
    pub(crate) fn ordered(&self) -> (Vec<Param>, Vec<ParamId>) {
        let mut places: Vec<usize> = (0..self.params.len()).collect();
        places.sort_by(|a, b| self.order[*a].cmp(&self.order[*b]));
        let mut ids = vec![ParamId(0); places.len()];
        for (new, old) in places.iter().enumerate() {
            ids[*old] = ParamId::from_index(new);
        }
        (places.iter().map(|p| self.params[*p].clone()).collect(), ids)
    }
}

/// A declaration of a weight or a buffer.
pub(crate) struct Declared<'a> {
    pub name: &'a ast::Name,
    pub ty: &'a ast::Type,
    /// `None`: it is always there.
    pub guard: Option<&'a ast::Guard>,
    pub buffer: bool,
}

impl<'a> Elab<'a> {
    /// `param weight: [unit: out, channel] ~ uniform(1)`.
    pub(crate) fn param(&mut self, decl: &'a ast::ParamDecl, scope: &Env<'a>) -> Eval<()> {
        let of = Declared { name: &decl.name, ty: &decl.ty, guard: decl.guard.as_ref(), buffer: false };
        let replaced = self.overrides.iter().find(|(o, _)| o.name.text == decl.name.text).cloned();
        let (first, env) = match &replaced {
            Some((o, env)) => (&o.initializer, env),
            None => (&decl.initializer, scope),
        };
        let Some((id, ty)) = self.declared(&of, first, env, scope)? else { return Ok(()) };
        let tensor = self.input(InputRole::Param(id), ty);
        self.bind_weight(scope, &decl.name, Value::Tensor(tensor));
        Ok(())
    }

    /// A weight or buffer of this instance, made if new. `None`: it is switched off, and its name bound to what stands for it.
    pub(crate) fn declared(
        &mut self,
        decl: &Declared<'a>,
        first: &'a ast::Expr,
        env: &Env<'a>,
        scope: &Env<'a>,
    ) -> Eval<Option<(ParamId, Type)>> {
        if let Some(value) = self.instead(decl.guard, Value::Int(0), scope)? {
            self.bind_weight(scope, decl.name, value);
            return Ok(None);
        }
        let (ty, disk) = self.closed_type(decl.ty, scope)?;
        let span = decl.name.span;
        let Some(instance) = self.instances.last() else {
            return Err(self.fail(Code::E0506, span, "weights belong to a layer or a model"));
        };
        if !instance.named {
            let layer = instance.layer.clone();
            return Err(self.nameless_weights(&layer, span));
        }
        let path = join(&instance.place.path, &decl.name.text);
        let mut order = instance.place.order.clone();
        // Own weights come first, then own buffers, then sub-layers, whose positions count from 2.
        order.extend([u32::from(decl.buffer), span.start]);
        let id = match self.weights.find(&path) {
            Some(i) => {
                self.same_shape(i, &ty, span)?;
                i
            }
            None => {
                let init = self.initializer(first, env)?;
                let param =
                    Param { path, ty: ty.clone(), disk, init, optimizer: None, buffer: decl.buffer, span };
                self.weights.params.push(param);
                let place = self.users_place(span);
                self.weights.places.push(place);
                self.weights.order.push(order);
                self.weights.params.len() - 1
            }
        };
        Ok(Some((ParamId::from_index(id), ty)))
    }

    /// A weight may have the name of the setting that switches it: `param bias: … if bias`.
    pub(crate) fn bind_weight(&mut self, scope: &Env<'a>, name: &ast::Name, value: Value<'a>) {
        scope.define(&name.text, value, name.span);
    }

    /// The message about a layer with weights that has no name.
    pub(crate) fn nameless_weights(&mut self, layer: &str, span: Span) -> Failed {
        let place = self.calls.last().copied().unwrap_or(span);
        let message = format!("`{layer}` has weights or a state, so it needs a name");
        let diagnostic = Diagnostic::new(Code::E0506, place, message);
        self.error(diagnostic.help(format!(
            "`{} = {layer}(…)` in a line of its own and without `let`, then `x |> {0}`",
            layer.to_lowercase()
        )))
    }

    /// A type that is no pattern: every extent is known. With the axes in the order written.
    pub(crate) fn closed_type(
        &mut self,
        ty: &'a ast::Type,
        scope: &Env<'a>,
    ) -> Eval<(Type, Vec<stmc_ir::AxisId>)> {
        let ast::TypeKind::Tensor { dtype, missing, shape } = &ty.kind else {
            return Err(self.fail(Code::E0403, ty.span, "a tensor's type is needed here: `[channel: 16]`"));
        };
        if *missing {
            let message = "a weight or buffer has a value everywhere: its type has no `?`";
            return Err(self.fail(Code::E0701, ty.span, message));
        }
        let dtype = self.dtype(*dtype, ty.span)?.unwrap_or(DType::F32);
        let mut dims = vec![];
        for dim in self.dims(shape.as_deref().unwrap_or_default(), scope)? {
            let known = self.instances.last().and_then(|i| i.extents.get(&dim.axis).copied());
            let extent = match (dim.extent, known) {
                (TypedExtent::Is(extent), _) | (TypedExtent::Bare, Some(extent)) => extent,
                _ => {
                    let name = self.axis_name(dim.axis);
                    let message = format!("the extent of `{name}` is not known here");
                    return Err(self.error(
                        Diagnostic::new(Code::E0206, dim.span, message).help(format!("`{name}: …`")),
                    ));
                }
            };
            dims.push(Dim { axis: dim.axis, extent });
        }
        let disk = dims.iter().map(|d| d.axis).collect();
        match Type::new(dtype, dims) {
            Some(ty) => Ok((ty, disk)),
            None => Err(self.fail(Code::E0204, ty.span, "an axis stands here twice")),
        }
    }

    fn same_shape(&mut self, i: usize, ty: &Type, span: Span) -> Eval<()> {
        let (path, first, disk) = {
            let p = &self.weights.params[i];
            (p.path.clone(), p.ty.clone(), p.disk.clone())
        };
        if first == *ty {
            return Ok(());
        }
        let shown = |ty: &Type| -> String {
            let extents: Vec<String> =
                disk.iter().filter_map(|a| ty.extent(*a)).map(|e| e.to_string()).collect();
            extents.join(", ")
        };
        let message = format!("`{path}` was made [{}]; this use needs [{}]", shown(&first), shown(ty));
        let place = self.calls.last().copied().unwrap_or(span);
        let diagnostic = Diagnostic::new(Code::E0505, place, message);
        Err(self.error(diagnostic.help("a layer applied twice shares its weights: declare two layers")))
    }
}
