//! The standard library's texts, embedded.

/// Module paths and texts.
const MODULES: &[(&str, &str)] = &[
    ("std.attention", include_str!("../../../stdlib/attention.stm")),
    ("std.data", include_str!("../../../stdlib/data.stm")),
    ("std.init", include_str!("../../../stdlib/init.stm")),
    ("std.loss", include_str!("../../../stdlib/loss.stm")),
    ("std.metric", include_str!("../../../stdlib/metric.stm")),
    ("std.nn", include_str!("../../../stdlib/nn.stm")),
    ("std.optim", include_str!("../../../stdlib/optim.stm")),
    ("std.perceptual", include_str!("../../../stdlib/perceptual.stm")),
    ("std.recurrent", include_str!("../../../stdlib/recurrent.stm")),
    ("std.schedule", include_str!("../../../stdlib/schedule.stm")),
];

/// The text of a module, `std.nn`. `None`: there is none of that name.
pub fn module(path: &str) -> Option<&'static str> {
    MODULES.iter().find(|(name, _)| *name == path).map(|(_, text)| *text)
}

/// The paths of all modules.
pub fn modules() -> impl Iterator<Item = &'static str> {
    MODULES.iter().map(|(name, _)| *name)
}

/// `std/nn.stm`, as messages name it.
pub(crate) fn file_name(path: &str) -> String {
    format!("{}.stm", path.replace('.', "/"))
}

/// The module that declares a name.
pub(crate) fn holder(name: &str) -> Option<&'static str> {
    let declares = |text: &str| {
        ["fn", "layer", "schedule", "optimizer"]
            .iter()
            .any(|word| text.contains(&format!("\n{word} {name}(")))
    };
    MODULES.iter().find(|(_, text)| declares(text)).map(|(path, _)| *path)
}
