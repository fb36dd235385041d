//! A tree as an S-expression, for people and for comparing trees. Spans are left out, so two texts that mean the
//! same give the same dump; documentation is kept.
use crate::ast::*;

/// The whole tree, one declaration after the other.
pub fn dump(file: &File) -> String {
    let mut out = String::new();
    let doc = file.doc.iter().map(|d| node("doc", [quoted(d)]));
    for sexp in doc.chain(file.items.iter().map(item)) {
        sexp.write(0, &mut out);
        out.push('\n');
    }
    out
}

/// Lines are not longer than this where that can be helped.
const WIDTH: usize = 100;

enum Sexp {
    Atom(String),
    List(Vec<Sexp>),
}

impl Sexp {
    fn push(mut self, more: impl IntoIterator<Item = Sexp>) -> Sexp {
        match &mut self {
            Sexp::List(all) => all.extend(more),
            Sexp::Atom(_) => unreachable!("only lists grow"),
        }
        self
    }

    fn flat(&self) -> String {
        match self {
            Sexp::Atom(text) => text.clone(),
            Sexp::List(all) => format!("({})", all.iter().map(Sexp::flat).collect::<Vec<_>>().join(" ")),
        }
    }

    /// On one line where it fits, else the head and then one child a line.
    fn write(&self, indent: usize, out: &mut String) {
        let flat = self.flat();
        match self {
            Sexp::List(all) if indent + flat.len() > WIDTH && all.len() > 1 => {
                out.push('(');
                all[0].write(indent + 1, out);
                for child in &all[1..] {
                    out.push('\n');
                    out.push_str(&" ".repeat(indent + 2));
                    child.write(indent + 2, out);
                }
                out.push(')');
            }
            _ => out.push_str(&flat),
        }
    }
}

fn atom(text: impl Into<String>) -> Sexp {
    Sexp::Atom(text.into())
}

fn quoted(text: &str) -> Sexp {
    atom(format!("{text:?}"))
}

fn node(head: &str, children: impl IntoIterator<Item = Sexp>) -> Sexp {
    Sexp::List(vec![atom(head)]).push(children)
}

fn list(children: impl IntoIterator<Item = Sexp>) -> Sexp {
    Sexp::List(children.into_iter().collect())
}

fn name(name: &Name) -> Sexp {
    atom(&*name.text)
}

fn documented(doc: &Option<String>, sexp: Sexp) -> Sexp {
    match doc {
        Some(doc) => node("documented", [quoted(doc), sexp]),
        None => sexp,
    }
}

/// `(head child)`, if there is a child.
fn maybe<T>(head: &str, child: &Option<T>, dump: impl Fn(&T) -> Sexp) -> Option<Sexp> {
    child.as_ref().map(|c| node(head, [dump(c)]))
}

// ---------------------------------------------------------------- declarations

fn item(item: &Item) -> Sexp {
    let sexp = match &item.kind {
        ItemKind::Use(u) => use_decl(u),
        ItemKind::Axis(a) => axis(a),
        ItemKind::Axes(a) => axes(a),
        ItemKind::Hyper(h) => node("hyper", [name(&h.name)])
            .push(h.ty.as_ref().map(ty))
            .push([expr(&h.default)])
            .push(maybe("in", &h.domain, expr)),
        ItemKind::Let(l) => let_decl(l),
        ItemKind::Assert(a) => assert_decl(a),
        ItemKind::Fn(f) => fn_decl(f),
        ItemKind::Layer(l) => node("layer", [name(&l.name), parameters("settings", &l.settings)])
            .push([parameters("inputs", &l.inputs)])
            .push(maybe("->", &l.result, ty))
            .push([block("block", &l.body)]),
        ItemKind::Model(m) => node("model", [name(&m.name), parameters("inputs", &m.inputs)])
            .push([node("->", [ty(&m.outputs)]), block("block", &m.body)]),
        ItemKind::Schedule(s) => node("schedule", [name(&s.name), parameters("settings", &s.settings)])
            .push([name(&s.time), block("block", &s.body)]),
        ItemKind::Optimizer(o) => node("optimizer", [name(&o.name), parameters("settings", &o.settings)])
            .push([name(&o.weight), name(&o.gradient), block("block", &o.body)]),
        ItemKind::Data(d) => node("data", [name(&d.name)]).push(d.statements.iter().map(data_stmt)),
        ItemKind::Train(t) => node("train", [name(&t.model), name(&t.data)]).push(t.keys.iter().map(key)),
        ItemKind::Tune(t) => node("tune", t.keys.iter().map(key)),
    };
    documented(&item.doc, sexp)
}

fn use_decl(u: &Use) -> Sexp {
    let sexp = node("use", u.file.iter().map(|f| quoted(&f.value))).push(u.path.iter().map(name));
    match &u.imports {
        Imports::Path(alias) => sexp.push(maybe("as", alias, name)),
        Imports::Names(names) => {
            sexp.push([list(names.iter().map(|n| list([name(&n.name)]).push(n.alias.as_ref().map(name))))])
        }
    }
}

fn axis(a: &AxisDecl) -> Sexp {
    node("axis", [name(&a.name)]).push(a.periodic.then(|| atom("periodic")))
}

fn axes(a: &AxesDecl) -> Sexp {
    node("axes", [name(&a.name)]).push(a.axes.iter().map(axis_ref))
}

fn let_decl(l: &Let) -> Sexp {
    node("let", [pattern(&l.pattern)]).push(maybe(":", &l.ty, ty)).push([expr(&l.value)])
}

fn assert_decl(a: &Assert) -> Sexp {
    node("assert", [expr(&a.condition)]).push(a.message.as_ref().map(|m| quoted(&m.value)))
}

fn fn_decl(f: &FnDecl) -> Sexp {
    node("fn", [name(&f.name), parameters("parameters", &f.parameters)])
        .push(maybe("->", &f.result, ty))
        .push([block("block", &f.body)])
}

fn parameters(head: &str, all: &[Parameter]) -> Sexp {
    node(head, all.iter().map(parameter))
}

fn parameter(p: &Parameter) -> Sexp {
    let sexp = list([name(&p.name)])
        .push(maybe(":", &p.ty, ty))
        .push(maybe("=", &p.default, expr))
        .push(maybe("in", &p.domain, expr));
    documented(&p.doc, sexp)
}

fn key(k: &Key) -> Sexp {
    documented(&k.doc, node("key", [name(&k.name), expr(&k.value)]))
}

fn data_stmt(stmt: &DataStmt) -> Sexp {
    let sexp = match &stmt.kind {
        DataKind::From(source) => node("from", [expr(source)]),
        DataKind::Field(f) => node("field", [name(&f.name)])
            .push(maybe("=", &f.source, expr))
            .push([ty(&f.ty)])
            .push(maybe("unit", &f.unit, |u| quoted(&u.value)))
            .push(maybe("missing", &f.missing, expr)),
        DataKind::Let(l) => let_decl(l),
        DataKind::Axis(a) => axis(a),
        DataKind::Assert(a) => assert_decl(a),
        DataKind::Sample(s) => node("sample", s.binders.iter().map(binder))
            .push(maybe("if", &s.condition, expr))
            .push([record(&s.parts)]),
        DataKind::Split(parts) => node("split", [record(parts)]),
        DataKind::Balance { method, by } => node("balance", [expr(method), expr(by)]),
        DataKind::Augment(all) => node("augment", all.iter().map(expr)),
    };
    documented(&stmt.doc, sexp)
}

fn binder(b: &SampleBinder) -> Sexp {
    node("at", [name(&b.name), expr(&b.over)]).push(maybe("step", &b.step, expr))
}

// ---------------------------------------------------------------- types

fn ty(ty: &Type) -> Sexp {
    match &ty.kind {
        TypeKind::Tensor { dtype, missing, shape } => {
            let dtype = dtype.map_or("_", DType::text);
            let dtype = atom(format!("{dtype}{}", if *missing { "?" } else { "" }));
            match shape {
                None => dtype,
                Some(shape) => node("tensor", [dtype]).push(shape.iter().map(dim)),
            }
        }
        TypeKind::List(element) => node("list", [self::ty(element)]),
        TypeKind::Record(fields) => {
            node("record", fields.iter().map(|f| documented(&f.doc, list([name(&f.name), self::ty(&f.ty)]))))
        }
        TypeKind::Each(inner) => node("each", [self::ty(inner)]),
        TypeKind::Static(word) => atom(word.text()),
    }
}

fn dim(d: &Dim) -> Sexp {
    match &d.extent {
        Extent::Bare => axis_ref(&d.axis),
        Extent::Any => node(":", [axis_ref(&d.axis), atom("_")]),
        Extent::Expr(extent) => node(":", [axis_ref(&d.axis), expr(extent)]),
    }
}

fn axis_ref(axis: &AxisRef) -> Sexp {
    match &axis.kind {
        AxisRefKind::Word(word) => name(word),
        AxisRefKind::Taps(word, of) => node(&word.text, of.iter().map(name)),
        AxisRefKind::Position(alias, position) => atom(format!("{}.{position}", alias.text)),
    }
}

// ---------------------------------------------------------------- statements

fn block(head: &str, block: &Block) -> Sexp {
    node(head, block.statements.iter().map(statement)).push(block.result.as_ref().map(expr))
}

fn statement(stmt: &Stmt) -> Sexp {
    let sexp = match &stmt.kind {
        StmtKind::Let(l) => let_decl(l),
        StmtKind::Axis(a) => axis(a),
        StmtKind::Axes(a) => axes(a),
        StmtKind::Param(p) => node("param", [name(&p.name), ty(&p.ty), node("~", [expr(&p.initializer)])])
            .push(p.guard.as_ref().map(guard)),
        StmtKind::Buffer(b) => {
            node("buffer", [name(&b.name), ty(&b.ty), expr(&b.value)]).push(b.guard.as_ref().map(guard))
        }
        StmtKind::Carry(c) => node("carry", [name(&c.name)])
            .push(maybe(":", &c.ty, ty))
            .push([expr(&c.value)])
            .push(c.guard.as_ref().map(guard)),
        StmtKind::Yield(value) => node("yield", [expr(value)]),
        StmtKind::Assert(a) => assert_decl(a),
        StmtKind::Fn(f) => fn_decl(f),
        StmtKind::Update(u) => {
            node("next", [name(&u.name), expr(&u.value)]).push(u.guard.as_ref().map(guard))
        }
        StmtKind::SubLayer(s) => node("sublayer", [name(&s.name), expr(&s.value)])
            .push(s.overrides.iter().map(|o| node("~", [name(&o.name), expr(&o.initializer)])))
            .push(s.guard.as_ref().map(guard)),
    };
    documented(&stmt.doc, sexp)
}

fn guard(guard: &Guard) -> Sexp {
    node("if", [expr(&guard.condition)]).push(maybe("else", &guard.otherwise, expr))
}

// ---------------------------------------------------------------- expressions

fn expr(expr: &Expr) -> Sexp {
    let e = self::expr;
    match &expr.kind {
        ExprKind::Int(value) => atom(value.to_string()),
        ExprKind::Float(value) => atom(format!("{value:?}")),
        ExprKind::Percent(share) => node("share", [atom(format!("{share:?}"))]),
        ExprKind::Quantity { value, unit } => node("quantity", [atom(format!("{value:?}")), name(unit)]),
        ExprKind::Date(date) => atom(date_text(date)),
        ExprKind::Str(text) => quoted(text),
        ExprKind::Bool(value) => atom(value.to_string()),
        ExprKind::Name(word) => atom(&**word),
        ExprKind::Primed(word) => atom(format!("{word}'")),
        ExprKind::List(elements) => node("list", elements.iter().map(element)),
        ExprKind::Comprehension { binder, iterable, body } => {
            node("each", [loop_binder(binder), e(iterable), e(body)])
        }
        ExprKind::Record(r) => record(r),
        ExprKind::Tuple(args) => node("tuple", args.iter().map(arg)),
        ExprKind::Block(b) => block("block", b),
        ExprKind::If { condition, then, otherwise } => node("if", [e(condition), e(then), e(otherwise)]),
        ExprKind::Scan(s) => scan(s),
        ExprKind::For { binder, iterable, body } => {
            node("for", [loop_binder(binder), e(iterable), block("block", body)])
        }
        ExprKind::Unary { op: UnaryOp::Neg, operand } => node("-", [e(operand)]),
        ExprKind::Unary { op: UnaryOp::Not, operand } => node("not", [e(operand)]),
        ExprKind::Binary { op, left, right, .. } => node(op.text(), [e(left), e(right)]),
        ExprKind::Pipe { value, stage } => node("|>", [e(value), e(stage)]),
        ExprKind::Call { callee, args } => node("call", [e(callee)]).push(args.iter().map(arg)),
        ExprKind::Index { base, args } => node("index", [e(base)]).push(args.iter().map(arg)),
        ExprKind::Member { base, member: Member::Name(word) } => node(".", [e(base), name(word)]),
        ExprKind::Member { base, member: Member::Position(position, _) } => {
            node(".", [e(base), atom(position.to_string())])
        }
        ExprKind::Range { start, end } => {
            let bound = |b: &Option<Box<Expr>>| b.as_ref().map_or(atom("_"), |b| e(b));
            node("..", [bound(start), bound(end)])
        }
    }
}

fn date_text(date: &Date) -> String {
    let mut text = format!("{:04}-{:02}", date.year, date.month);
    for (sign, part) in [('-', date.day), ('T', date.hour), (':', date.minute)] {
        if let Some(part) = part {
            text.push_str(&format!("{sign}{part:02}"));
        }
    }
    text
}

fn arg(arg: &Arg) -> Sexp {
    let value = match &arg.arrow {
        Some(to) => node("->", [expr(&arg.value), expr(to)]),
        None => expr(&arg.value),
    };
    match &arg.label {
        Some(label) => node(":", [axis_ref(label), value]),
        None => value,
    }
}

fn element(element: &Element) -> Sexp {
    match &element.guard {
        Some(g) => node("guarded", [expr(&element.value), guard(g)]),
        None => expr(&element.value),
    }
}

fn loop_binder(binder: &LoopBinder) -> Sexp {
    list(binder.index.iter().map(name)).push([pattern(&binder.element)])
}

fn pattern(pattern: &Pattern) -> Sexp {
    match pattern {
        Pattern::Name(word) => name(word),
        Pattern::Tuple(names, _) => node("tuple", names.iter().map(name)),
    }
}

fn record(record: &Record) -> Sexp {
    node("record", record.lets.iter().map(let_decl)).push(record.entries.iter().map(entry))
}

fn entry(entry: &Entry) -> Sexp {
    let key = if entry.quoted { quoted(&entry.key.text) } else { name(&entry.key) };
    documented(&entry.doc, list([key, expr(&entry.value)]))
}

fn scan(scan: &Scan) -> Sexp {
    node("scan", scan.sources.iter().map(|s| node("in", [pattern(&s.pattern), expr(&s.value)])))
        .push([node("along", [name(&scan.along)]).push(scan.extent.as_ref().map(expr))])
        .push(maybe("at", &scan.at, name))
        .push([block("block", &scan.body)])
}
