//! Typed ids: `define_id! { /** What it numbers. */ pub struct NodeId }`.

/// Defines a `u32` id with `index()` and `from_index()`.
#[macro_export]
macro_rules! define_id {
    ($(#[$meta:meta])* $vis:vis struct $name:ident) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, serde::Serialize)]
        $vis struct $name(pub u32);
        impl $name {
            /// Its place in the arena.
            pub fn index(self) -> usize {
                self.0 as usize
            }
            /// The id of an arena's `i`-th entry.
            pub fn from_index(i: usize) -> $name {
                $name(i as u32)
            }
        }
    };
}
