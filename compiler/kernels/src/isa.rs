//! The instruction-set path: which compilation of the kernels runs.

/// A path through the kernels. A checkpoint records its name, since sums are grouped differently on each.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Isa {
    /// Plain Rust, on every processor.
    Portable,
    /// 256-bit vectors with fused multiply-add.
    Avx2,
    /// 512-bit vectors.
    Avx512,
}

impl Isa {
    /// Every path, the plainest first.
    pub const ALL: [Isa; 3] = [Isa::Portable, Isa::Avx2, Isa::Avx512];

    /// The environment variable by which a user chooses the path.
    pub const VARIABLE: &'static str = "STMC_CPU";

    /// The best path that this processor has.
    pub fn detect() -> Isa {
        Isa::ALL
            .into_iter()
            .rev()
            .find(|isa| isa.is_available())
            .expect("the portable path is always available")
    }

    /// The path named by `STMC_CPU`, else the best one. The error says what is wrong with the variable's value.
    pub fn from_env() -> Result<Isa, String> {
        let Ok(name) = std::env::var(Isa::VARIABLE) else { return Ok(Isa::detect()) };
        let isa = Isa::ALL
            .into_iter()
            .find(|isa| isa.name() == name)
            .ok_or_else(|| format!("{}={name}: expected `avx512`, `avx2` or `portable`", Isa::VARIABLE))?;
        if isa.is_available() {
            return Ok(isa);
        }
        Err(format!("{}={name}: this processor lacks it; it has `{}`", Isa::VARIABLE, Isa::detect().name()))
    }

    /// Lower-case name, as in `STMC_CPU` and in checkpoints.
    pub fn name(self) -> &'static str {
        match self {
            Isa::Portable => "portable",
            Isa::Avx2 => "avx2",
            Isa::Avx512 => "avx512",
        }
    }

    /// Whether this processor can run the path.
    pub fn is_available(self) -> bool {
        match self {
            Isa::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => std::is_x86_feature_detected!("avx512f") && Isa::Avx2.is_available(),
            #[cfg(not(target_arch = "x86_64"))]
            Isa::Avx2 | Isa::Avx512 => false,
        }
    }

    /// `f32` values in one vector.
    pub fn lanes(self) -> usize {
        match self {
            Isa::Portable | Isa::Avx2 => 8,
            Isa::Avx512 => 16,
        }
    }
}
