//! Random bits without a state: Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3").
//! The same key and counter give the same bits everywhere, so a value can be drawn again instead of being stored.

pub(crate) const FACTORS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
pub(crate) const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
pub(crate) const ROUNDS: usize = 10;

/// What one step of 24 bits is, so that all of them are one.
pub(crate) const UNIT: f64 = 1.0 / 16_777_216.0;

/// Four random words.
pub fn philox(key: [u32; 2], counter: [u32; 4]) -> [u32; 4] {
    let (mut key, mut counter) = (key, counter);
    for _ in 0..ROUNDS {
        counter = round(key, counter);
        key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
    }
    counter
}

/// A number in [0, 1) from the high 24 bits: all of them are exact in f32.
pub fn uniform(bits: u32) -> f32 {
    (bits >> 8) as f32 * UNIT as f32
}

/// The key of a seed.
pub fn key(seed: u64) -> [u32; 2] {
    [seed as u32, (seed >> 32) as u32]
}

fn round(key: [u32; 2], [a, b, c, d]: [u32; 4]) -> [u32; 4] {
    let (high0, low0) = product(FACTORS[0], a);
    let (high1, low1) = product(FACTORS[1], c);
    [high1 ^ b ^ key[0], low1, high0 ^ d ^ key[1], low0]
}

fn product(x: u32, y: u32) -> (u32, u32) {
    let p = u64::from(x) * u64::from(y);
    ((p >> 32) as u32, p as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The known answers that the authors publish.
    #[test]
    fn known_answers() {
        let ones = u32::MAX;
        let pi = [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344];
        let cases = [
            ([0; 2], [0; 4], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
            ([ones; 2], [ones; 4], [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]),
            ([0xa409_3822, 0x299f_31d0], pi, [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]),
        ];
        for (key, counter, expected) in cases {
            assert_eq!(philox(key, counter), expected);
        }
    }

    #[test]
    fn uniform_stays_below_one() {
        assert_eq!(uniform(0), 0.0);
        assert!(uniform(u32::MAX) < 1.0);
        assert_eq!(uniform(1 << 31), 0.5);
    }
}
