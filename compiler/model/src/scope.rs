//! Names in scope: nested, and kept alive by the functions that close over them.
use crate::value::Value;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use stmc_base::Span;
use stmc_ir::AxisId;
use stmc_ir::module::ParamId;
use stmc_syntax::ast::Name;

/// A scope and those around it.
pub(crate) type Env<'a> = Rc<Scope<'a>>;

/// One scope.
pub(crate) struct Scope<'a> {
    /// `None`: the top of a file.
    pub parent: Option<Env<'a>>,
    /// The file in which the text stands.
    pub unit: usize,
    /// The path of the instance whose text this is; own axes belong to it.
    pub owner: Rc<str>,
    /// The body of a function or layer: names outside it may be declared again.
    pub body: bool,
    /// The body of a loop: next values of carries outside cannot be given here.
    loops: bool,
    vars: RefCell<Vec<Var<'a>>>,
    axes: RefCell<Vec<(Arc<str>, Vec<AxisId>)>>,
    /// Carries and buffers declared here.
    pub carries: RefCell<Vec<Carry<'a>>>,
}

struct Var<'a> {
    name: Arc<str>,
    value: Value<'a>,
    span: Span,
}

/// A carried value: its next one is given once.
pub(crate) struct Carry<'a> {
    pub name: Name,
    /// By which the scan knows it.
    pub key: String,
    /// It may keep its value, and has a next one in training only. `None`: it is no buffer.
    pub buffer: Option<ParamId>,
    /// `None`: not yet primed.
    pub next: Option<(Value<'a>, Span)>,
}

impl<'a> Scope<'a> {
    /// The top of a file.
    pub(crate) fn top(unit: usize) -> Env<'a> {
        Rc::new(Scope::empty(None, unit, "".into(), true))
    }

    fn empty(parent: Option<Env<'a>>, unit: usize, owner: Rc<str>, body: bool) -> Scope<'a> {
        let (vars, axes, carries) = Default::default();
        Scope { parent, unit, owner, body, loops: false, vars, axes, carries }
    }

    /// The body of a function or layer declared in `parent`.
    pub(crate) fn body(parent: &Env<'a>, owner: &str) -> Env<'a> {
        Rc::new(Scope::empty(Some(parent.clone()), parent.unit, owner.into(), true))
    }

    /// A block within a body.
    pub(crate) fn block(parent: &Env<'a>) -> Env<'a> {
        Rc::new(Scope::empty(Some(parent.clone()), parent.unit, parent.owner.clone(), false))
    }

    /// The body of a scan or loop: carries outside are values there, and have their next values there.
    pub(crate) fn block_of_its_own(parent: &Env<'a>) -> Env<'a> {
        let mut scope = Scope::empty(Some(parent.clone()), parent.unit, parent.owner.clone(), false);
        scope.loops = true;
        Rc::new(scope)
    }

    /// Binds a name. Gives the place of an earlier declaration in the same body, if there is one.
    pub(crate) fn bind(&self, name: &Name, value: Value<'a>) -> Option<Span> {
        let earlier = self.declared(&name.text).filter(|s| *s != name.span);
        self.vars.borrow_mut().push(Var { name: name.text.clone(), value, span: name.span });
        earlier
    }

    /// Binds a word that no text declares.
    pub(crate) fn define(&self, name: &str, value: Value<'a>, span: Span) {
        self.vars.borrow_mut().push(Var { name: name.into(), value, span });
    }

    /// Binds an own axis.
    pub(crate) fn define_axis(&self, name: &str, axes: Vec<AxisId>) {
        self.axes.borrow_mut().push((name.into(), axes));
    }

    fn declared(&self, name: &str) -> Option<Span> {
        let here = self.vars.borrow().iter().find(|v| &*v.name == name).map(|v| v.span);
        match &self.parent {
            _ if here.is_some() => here,
            Some(parent) if !self.body => parent.declared(name),
            _ => None,
        }
    }

    /// The value of a name. `None`: no scope up to the file's top binds it.
    pub(crate) fn find(&self, name: &str) -> Option<Value<'a>> {
        let here = self.vars.borrow().iter().rev().find(|v| &*v.name == name).map(|v| v.value.clone());
        here.or_else(|| self.parent.as_ref()?.find(name))
    }

    /// The axes of a name: an own axis or a parameter that stands for axes.
    pub(crate) fn find_axes(&self, name: &str) -> Option<Vec<AxisId>> {
        if let Some((_, axes)) = self.axes.borrow().iter().rev().find(|(n, _)| &**n == name) {
            return Some(axes.clone());
        }
        if let Some(v) = self.vars.borrow().iter().rev().find(|v| &*v.name == name)
            && let Value::Axes(axes) = &v.value
        {
            return Some(axes.clone());
        }
        self.parent.as_ref()?.find_axes(name)
    }

    /// All names, innermost first.
    pub(crate) fn names(&self) -> Vec<Arc<str>> {
        let mut names: Vec<Arc<str>> = self.vars.borrow().iter().map(|v| v.name.clone()).collect();
        if let Some(parent) = &self.parent {
            names.extend(parent.names());
        }
        names
    }

    /// Names of own axes and of parameters that stand for axes.
    pub(crate) fn axis_names(&self) -> Vec<Arc<str>> {
        let mut names: Vec<Arc<str>> = self.axes.borrow().iter().map(|a| a.0.clone()).collect();
        names.extend(
            self.vars.borrow().iter().filter(|v| matches!(v.value, Value::Axes(_))).map(|v| v.name.clone()),
        );
        if let Some(parent) = &self.parent {
            names.extend(parent.axis_names());
        }
        names
    }

    /// The scope that declares a carry of that name.
    pub(crate) fn carrier(self: &Rc<Self>, name: &str) -> Option<Env<'a>> {
        if self.carries.borrow().iter().any(|c| &*c.name.text == name) {
            return Some(self.clone());
        }
        self.parent.as_ref().filter(|_| !self.body && !self.loops)?.carrier(name)
    }

    /// The next value of a carry. `None`: there is no such carry, or it has none yet.
    pub(crate) fn next(self: &Rc<Self>, name: &str) -> Option<Value<'a>> {
        let scope = self.carrier(name)?;
        let carries = scope.carries.borrow();
        carries.iter().find(|c| &*c.name.text == name)?.next.as_ref().map(|n| n.0.clone())
    }
}
