//! Names in scope: nested, and kept alive by the functions that close over them.
use crate::value::Value;
use std::cell::RefCell;
use std::rc::{Rc, Weak};
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
    kind: Kind,
    vars: RefCell<Vec<Var<'a>>>,
    axes: RefCell<Vec<(Arc<str>, Vec<AxisId>)>>,
    /// Carries and buffers declared here.
    pub carries: RefCell<Vec<Carry<'a>>>,
    /// The scope itself.
    own: Weak<Scope<'a>>,
    /// At the top of a file: the scopes below it with a value that knows the scope where it was made.
    circular: RefCell<Vec<Weak<Scope<'a>>>>,
}

/// What a scope is the scope of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A function, layer or file: names outside it may be declared again.
    Body,
    /// A block.
    Block,
    /// A scan or loop: next values of carries outside cannot be given here.
    Loop,
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
        Scope::with(None, unit, "".into(), Kind::Body)
    }

    fn with(parent: Option<Env<'a>>, unit: usize, owner: Rc<str>, kind: Kind) -> Env<'a> {
        Rc::new_cyclic(|own| {
            let (vars, axes, carries, circular) = Default::default();
            Scope { parent, unit, owner, kind, vars, axes, carries, own: own.clone(), circular }
        })
    }

    /// What closes over a scope and is kept in it would keep it for ever: lets go of the values of all scopes below.
    pub(crate) fn end(&self) {
        for scope in self.circular.take().iter().filter_map(Weak::upgrade) {
            scope.vars.take();
            scope.carries.take();
        }
    }

    fn keep(&self, name: Arc<str>, value: Value<'a>, span: Span) {
        if value.closes_over_a_scope() {
            self.top_of_file().circular.borrow_mut().push(self.own.clone());
        }
        self.vars.borrow_mut().push(Var { name, value, span });
    }

    fn top_of_file(&self) -> &Scope<'a> {
        self.parent.as_ref().map_or(self, |parent| parent.top_of_file())
    }

    /// The body of a function or layer declared in `parent`.
    pub(crate) fn body(parent: &Env<'a>, owner: &str) -> Env<'a> {
        Scope::with(Some(parent.clone()), parent.unit, owner.into(), Kind::Body)
    }

    /// A block within a body.
    pub(crate) fn block(parent: &Env<'a>) -> Env<'a> {
        Scope::with(Some(parent.clone()), parent.unit, parent.owner.clone(), Kind::Block)
    }

    /// The body of a scan or loop: carries outside are values there, and have their next values there.
    pub(crate) fn block_of_its_own(parent: &Env<'a>) -> Env<'a> {
        Scope::with(Some(parent.clone()), parent.unit, parent.owner.clone(), Kind::Loop)
    }

    /// Binds a name. Gives the place of an earlier declaration in the same body, if there is one.
    pub(crate) fn bind(&self, name: &Name, value: Value<'a>) -> Option<Span> {
        let earlier = self.declared(&name.text).filter(|s| *s != name.span);
        self.keep(name.text.clone(), value, name.span);
        earlier
    }

    /// Binds a word that no text declares.
    pub(crate) fn define(&self, name: &str, value: Value<'a>, span: Span) {
        self.keep(name.into(), value, span);
    }

    /// Binds an own axis.
    pub(crate) fn define_axis(&self, name: &str, axes: Vec<AxisId>) {
        self.axes.borrow_mut().push((name.into(), axes));
    }

    fn declared(&self, name: &str) -> Option<Span> {
        let here = self.vars.borrow().iter().find(|v| &*v.name == name).map(|v| v.span);
        match &self.parent {
            _ if here.is_some() => here,
            Some(parent) if self.kind != Kind::Body => parent.declared(name),
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
        self.parent.as_ref().filter(|_| self.kind == Kind::Block)?.carrier(name)
    }

    /// The next value of a carry. `None`: there is no such carry, or it has none yet.
    pub(crate) fn next(self: &Rc<Self>, name: &str) -> Option<Value<'a>> {
        let scope = self.carrier(name)?;
        let carries = scope.carries.borrow();
        carries.iter().find(|c| &*c.name.text == name)?.next.as_ref().map(|n| n.0.clone())
    }
}
