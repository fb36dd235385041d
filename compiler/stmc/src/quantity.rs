//! Numbers with their units, for people.

/// `1 234 567`.
pub(crate) fn grouped(n: usize) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(c);
    }
    out
}

/// `1.23 GFLOP`.
pub(crate) fn flops(x: f64) -> String {
    match x {
        x if x >= 1e12 => format!("{:.2} TFLOP", x / 1e12),
        x if x >= 1e9 => format!("{:.2} GFLOP", x / 1e9),
        x if x >= 1e6 => format!("{:.2} MFLOP", x / 1e6),
        x => format!("{x:.0} FLOP"),
    }
}

/// `1.2 MiB`.
pub(crate) fn bytes(n: u64) -> String {
    let x = n as f64;
    match n {
        n if n >= 1 << 30 => format!("{:.2} GiB", x / f64::from(1 << 30)),
        n if n >= 1 << 20 => format!("{:.1} MiB", x / f64::from(1 << 20)),
        _ => format!("{:.1} KiB", x / 1024.0),
    }
}

/// `153 GFLOP/s`.
pub(crate) fn rate(x: f64) -> String {
    flops(x) + "/s"
}

/// `1.23 ms`.
pub(crate) fn time(seconds: f64) -> String {
    match seconds {
        x if x >= 100.0 => format!("{x:.0} s"),
        x if x >= 1.0 => format!("{x:.2} s"),
        x if x >= 1e-1 => format!("{:.0} ms", x * 1e3),
        x if x >= 1e-2 => format!("{:.1} ms", x * 1e3),
        x if x >= 1e-3 => format!("{:.2} ms", x * 1e3),
        x if x >= 1e-4 => format!("{:.0} us", x * 1e6),
        x => format!("{:.1} us", x * 1e6),
    }
}

/// `no errors`, `1 error`, `2 errors`.
pub(crate) fn plural(n: usize, what: &str) -> String {
    match n {
        0 => format!("no {what}s"),
        1 => format!("1 {what}"),
        n => format!("{} {what}s", grouped(n)),
    }
}
