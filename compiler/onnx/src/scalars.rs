//! Elementwise ops in those of ONNX: one row each, as in `ir/ops/scalar.rs`. Operands broadcast already.
//!
//! Where the operator of the same name says something else at the edges (NaN, zeros, ties), the row is composed instead.
use crate::proto::element;
use crate::writer::{Value, Writer, code, int, united};
use stmc_ir::DType;
use stmc_ir::ops::Scalar;

enum Row {
    /// The operator of that name.
    Is(&'static str),
    /// Several.
    Made(fn(&mut Writer, &[&str]) -> String),
    /// Nothing is done.
    Same,
}

/// The table.
fn row(op: Scalar) -> Row {
    use Row::{Is, Made, Same};
    match op {
        Scalar::Add => Is("Add"),
        Scalar::Sub => Is("Sub"),
        Scalar::Mul => Is("Mul"),
        Scalar::Div => Is("Div"),
        // `Min` and `Max` of ONNX give NaN for NaN; ours the second operand.
        Scalar::Min => Made(|w, x| {
            let first = w.call("Less", &[x[0], x[1]]);
            w.call("Where", &[&first, x[0], x[1]])
        }),
        Scalar::Max => Made(|w, x| {
            let first = w.call("Less", &[x[1], x[0]]);
            w.call("Where", &[&first, x[0], x[1]])
        }),
        Scalar::Neg => Is("Neg"),
        Scalar::Abs => Is("Abs"),
        Scalar::Exp => Is("Exp"),
        Scalar::Log => Is("Log"),
        Scalar::Sqrt => Is("Sqrt"),
        Scalar::Sin => Is("Sin"),
        Scalar::Cos => Is("Cos"),
        Scalar::Tanh => Is("Tanh"),
        Scalar::Sigmoid => Is("Sigmoid"),
        Scalar::Erf => Is("Erf"),
        Scalar::Floor => Is("Floor"),
        Scalar::Round => Is("Round"),
        // NaN compares false both ways and gives 0.
        Scalar::Sign => Made(|w, x| {
            let (zero, one, minus) = (w.number(0.0), w.number(1.0), w.number(-1.0));
            let above = w.call("Less", &[&zero, x[0]]);
            let below = w.call("Less", &[x[0], &zero]);
            let rest = w.call("Where", &[&below, &minus, &zero]);
            w.call("Where", &[&above, &one, &rest])
        }),
        // `Div` of integers cuts towards zero; what is left after the remainder divides evenly.
        Scalar::FloorDiv => Made(|w, x| {
            let rest = w.call("Mod", &[x[0], x[1]]);
            let even = w.call("Sub", &[x[0], &rest]);
            w.call("Div", &[&even, x[1]])
        }),
        Scalar::FloorMod => Is("Mod"),
        Scalar::Less => Is("Less"),
        Scalar::LessEqual => Is("LessOrEqual"),
        Scalar::Equal => Is("Equal"),
        Scalar::And => Is("And"),
        Scalar::Or => Is("Or"),
        Scalar::Not => Is("Not"),
        Scalar::Where => Is("Where"),
        op if op.only_for_gradients() => Same,
        Scalar::RoundF16 => Made(|w, x| w.through(x[0], element::FLOAT16)),
        Scalar::RoundBf16 => Made(|w, x| w.through(x[0], element::BFLOAT16)),
        Scalar::RoundTf32 => Made(tf32),
        Scalar::Atan2 => Made(atan2),
        // exp(y ln x), but x^0 is 1 for every x; `Pow` takes negative x.
        Scalar::Power => Made(|w, x| {
            let (zero, one) = (w.number(0.0), w.number(1.0));
            let log = w.call("Log", &[x[0]]);
            let exponent = w.call("Mul", &[x[1], &log]);
            let power = w.call("Exp", &[&exponent]);
            let none = w.call("Equal", &[x[1], &zero]);
            w.call("Where", &[&none, &one, &power])
        }),
        Scalar::Order => Made(order),
        _ => unreachable!("the row above takes what is for gradients alone"),
    }
}

impl Writer {
    /// An elementwise op on operands whose axes differ.
    pub fn scalar(&mut self, op: Scalar, operands: &[&Value], dtype: DType) -> Value {
        let dims = united(operands);
        let names: Vec<String> = operands.iter().map(|x| self.aligned(x, &dims)).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let name = match row(op) {
            // onnxruntime has no `Where` for truths.
            Row::Is("Where") if dtype == DType::Bool => {
                let not = self.call("Not", &[names[0]]);
                let (yes, no) =
                    (self.call("And", &[names[0], names[1]]), self.call("And", &[&not, names[2]]));
                self.call("Or", &[&yes, &no])
            }
            Row::Is(operator) => self.call(operator, &names),
            Row::Made(make) => make(self, &names),
            Row::Same => names[0].into(),
        };
        Value { name, dtype, dims }
    }

    /// Elements of another type.
    pub fn cast(&mut self, x: &Value, to: DType) -> Value {
        let name = self.cast_to(&x.name, code(to));
        Value { name, dtype: to, dims: x.dims.clone() }
    }

    pub(crate) fn cast_to(&mut self, x: &str, element: i32) -> String {
        self.node("Cast", &[x], vec![int("to", i64::from(element))])
    }

    /// A number as a narrower format has it.
    fn through(&mut self, x: &str, format: i32) -> String {
        let narrow = self.cast_to(x, format);
        self.cast_to(&narrow, element::FLOAT)
    }

    /// The exponent `e` of a positive normal number, and 2^e: looked for by the logarithm and put right by comparison.
    fn exponent(&mut self, plain: &str) -> (String, String) {
        const LEAST: i32 = -126;
        const MOST: i32 = 127;
        // A table of powers: `Pow` need not be exact.
        let table = (LEAST..=MOST).flat_map(|e| (2f64.powi(e) as f32).to_le_bytes()).collect();
        let table = self.constant(element::FLOAT, &[(MOST - LEAST + 1) as usize], table);
        let (least, most) = (self.integer(LEAST), self.integer(MOST));
        let power = |w: &mut Writer, e: &str| {
            let place = w.call("Sub", &[e, &least]);
            w.node("Gather", &[&table, &place], vec![int("axis", 0)])
        };
        let (log, scale) = (self.call("Log", &[plain]), self.number(std::f32::consts::LOG2_E));
        let log = self.call("Mul", &[&log, &scale]);
        let log = self.call("Floor", &[&log]);
        let guess = self.cast_to(&log, element::INT32);
        let guess = self.call("Max", &[&guess, &least]);
        let guess = self.call("Min", &[&guess, &most]);
        let guessed = power(self, &guess);
        let ratio = self.call("Div", &[plain, &guessed]);
        let (unit, one, two) = (self.integer(1), self.number(1.0), self.number(2.0));
        let (above, below) = (self.call("Less", &[&ratio, &one]), self.call("LessOrEqual", &[&two, &ratio]));
        let (up, down) = (self.call("Add", &[&guess, &unit]), self.call("Sub", &[&guess, &unit]));
        let raised = self.call("Where", &[&below, &up, &guess]);
        let exponent = self.call("Where", &[&above, &down, &raised]);
        let exact = power(self, &exponent);
        (exponent, exact)
    }

    /// Whether the sign of a number is that of -1; the sign of a zero counts.
    fn negative(&mut self, x: &str) -> String {
        let (zero, one) = (self.number(0.0), self.number(1.0));
        let is_zero = self.call("Equal", &[x, &zero]);
        let inverse = self.call("Div", &[&one, x]);
        let side = self.call("Where", &[&is_zero, &inverse, x]);
        self.call("Less", &[&side, &zero])
    }
}

/// The angle of (x, y), given y and x: that of the smaller over the larger side, turned into the right octant.
fn atan2(w: &mut Writer, x: &[&str]) -> String {
    let (zero, one, largest) = (w.number(0.0), w.number(1.0), w.number(f32::MAX));
    let [y, x] = [x[0], x[1]];
    let (high, wide) = (w.call("Abs", &[y]), w.call("Abs", &[x]));
    let steep = w.call("Less", &[&wide, &high]);
    let short = w.call("Where", &[&steep, &wide, &high]);
    let long = w.call("Where", &[&steep, &high, &wide]);
    let origin = w.call("Equal", &[&long, &zero]);
    let safe = w.call("Where", &[&origin, &one, &long]);
    let tangent = w.call("Div", &[&short, &safe]);
    // Two infinite sides are as long as each other.
    let (infinite, equal) = (w.call("Less", &[&largest, &long]), w.call("Equal", &[&wide, &high]));
    let diagonal = w.call("And", &[&infinite, &equal]);
    let tangent = w.call("Where", &[&diagonal, &one, &tangent]);
    let angle = w.call("Atan", &[&tangent]);
    let (half, pi) = (w.number(std::f32::consts::FRAC_PI_2), w.number(std::f32::consts::PI));
    let complement = w.call("Sub", &[&half, &angle]);
    let angle = w.call("Where", &[&steep, &complement, &angle]);
    let (left, under) = (w.negative(x), w.negative(y));
    let supplement = w.call("Sub", &[&pi, &angle]);
    let angle = w.call("Where", &[&left, &supplement, &angle]);
    let minus = w.call("Neg", &[&angle]);
    w.call("Where", &[&under, &minus, &angle])
}

/// The bits of |x|, with their complement for negative x; the largest i32 for NaN. There is no operator that gives the bits of
/// a number: they are its exponent `e` and |x| / 2^e - 1, which is exact. Below the normal numbers they count steps of 2^-149.
fn order(w: &mut Writer, x: &[&str]) -> String {
    let x = x[0];
    let size = w.call("Abs", &[x]);
    let infinity = w.number(f32::INFINITY);
    let (nan, endless) = (w.call("IsNaN", &[x]), w.call("Equal", &[&size, &infinity]));
    let (normal, one) = (w.number(f32::MIN_POSITIVE), w.number(1.0));
    let small = w.call("Less", &[&size, &normal]);
    let odd = w.call("Or", &[&nan, &endless]);
    let odd = w.call("Or", &[&odd, &small]);
    let plain = w.call("Where", &[&odd, &one, &size]);
    let (exponent, exact) = w.exponent(&plain);
    let fraction = w.call("Div", &[&plain, &exact]);
    let fraction = w.call("Sub", &[&fraction, &one]);
    let steps = w.number(8_388_608.0);
    let fraction = w.call("Mul", &[&fraction, &steps]);
    let fraction = w.cast_to(&fraction, element::INT32);
    let (bias, shift) = (w.integer(127), w.integer(1 << 23));
    let biased = w.call("Add", &[&exponent, &bias]);
    let biased = w.call("Mul", &[&biased, &shift]);
    let bits = w.call("Add", &[&biased, &fraction]);
    // 2^149 is beyond f32.
    let (first, second) = (w.number(2f32.powi(100)), w.number(2f32.powi(49)));
    let tiny = w.call("Where", &[&small, &size, &normal]);
    let tiny = w.call("Mul", &[&tiny, &first]);
    let tiny = w.call("Mul", &[&tiny, &second]);
    let tiny = w.cast_to(&tiny, element::INT32);
    let bits = w.call("Where", &[&small, &tiny, &bits]);
    let endless_bits = w.bits(DType::I32, f32::INFINITY.to_bits());
    let bits = w.call("Where", &[&endless, &endless_bits, &bits]);
    let minus = w.integer(-1);
    let complement = w.call("Sub", &[&minus, &bits]);
    let negative = w.negative(x);
    let key = w.call("Where", &[&negative, &complement, &bits]);
    let last = w.integer(i32::MAX);
    w.call("Where", &[&nan, &last, &key])
}

/// x with 11 binary digits. No operator of ONNX has this format, but f16 has as many between 1 and 2. What is below the normal
/// numbers is a whole number of steps of 2^-136.
fn tf32(w: &mut Writer, x: &[&str]) -> String {
    let x = x[0];
    let size = w.call("Abs", &[x]);
    let (normal, largest, one) = (w.number(f32::MIN_POSITIVE), w.number(f32::MAX), w.number(1.0));
    let (enough, finite) =
        (w.call("LessOrEqual", &[&normal, &size]), w.call("LessOrEqual", &[&size, &largest]));
    let usual = w.call("And", &[&enough, &finite]);
    let plain = w.call("Where", &[&usual, &size, &one]);
    let (_, exact) = w.exponent(&plain);
    let fraction = w.call("Div", &[x, &exact]);
    let rounded = w.through(&fraction, element::FLOAT16);
    let rounded = w.call("Mul", &[&rounded, &exact]);
    let small = w.call("Less", &[&size, &normal]);
    // 2^136 is beyond f32.
    let power = |w: &mut Writer, x: &str, exponent: i32| {
        let factor = w.number(2f32.powi(exponent));
        w.call("Mul", &[x, &factor])
    };
    let steps = power(w, x, 100);
    let steps = power(w, &steps, 36);
    let steps = w.call("Round", &[&steps]);
    let tiny = power(w, &steps, -36);
    let tiny = power(w, &tiny, -100);
    let rest = w.call("Where", &[&small, &tiny, x]);
    w.call("Where", &[&usual, &rounded, &rest])
}
