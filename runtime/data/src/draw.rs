//! Random draws without a state: every number is a pure function of (seed, purpose, number of the stream, place).
use std::ops::Range;
use stmc_ir::philox;

/// A sequence of random words.
pub(crate) struct Stream {
    key: [u32; 2],
    number: u32,
    purpose: [u32; 2],
}

impl Stream {
    /// Streams of different seed, purpose or number are independent.
    pub(crate) fn new(seed: u64, purpose: &str, number: u32) -> Stream {
        let hash = fnv(purpose);
        Stream { key: philox::key(seed), number, purpose: [hash as u32, (hash >> 32) as u32] }
    }

    /// Four words at place `i`.
    pub(crate) fn words(&self, i: u32) -> [u32; 4] {
        philox::philox(self.key, [i, self.number, self.purpose[0], self.purpose[1]])
    }

    /// A whole number below `n`.
    pub(crate) fn below(&self, i: u32, n: usize) -> usize {
        let [low, high, ..] = self.words(i);
        let bits = u64::from(high) << 32 | u64::from(low);
        // The high half of a product spreads 64 bits evenly over 0 .. n; the bias is below n / 2^64.
        ((u128::from(bits) * n as u128) >> 64) as usize
    }

    /// The numbers `0 .. n` in random order (Fisher and Yates).
    pub(crate) fn permutation(&self, n: usize) -> Vec<u32> {
        let mut order: Vec<u32> =
            (0..u32::try_from(n).expect("fewer than 2^32 things are put in order")).collect();
        for i in (1..n).rev() {
            order.swap(i, self.below(i as u32, i + 1));
        }
        order
    }
}

/// One number of a stream after the other.
pub(crate) struct Draw {
    stream: Stream,
    place: u32,
}

impl Draw {
    /// The stream from its start.
    pub(crate) fn new(seed: u64, purpose: &str, number: usize) -> Draw {
        Draw { stream: Stream::new(seed, purpose, number as u32), place: 0 }
    }

    /// Evenly distributed over a range.
    pub(crate) fn between(&mut self, range: Range<f32>) -> f32 {
        range.start + (range.end - range.start) * philox::uniform(self.words()[0])
    }

    /// Of mean 0 and standard deviation 1, close to a normal distribution: the sum of four even ones, of which every
    /// machine makes the same bits.
    pub(crate) fn normal(&mut self) -> f32 {
        let sum: f32 = self.words().into_iter().map(philox::uniform).sum();
        (sum - 2.0) * 1.732_050_8
    }

    fn words(&mut self) -> [u32; 4] {
        self.place += 1;
        self.stream.words(self.place - 1)
    }
}

/// FNV-1a: a short, stable hash of a name.
fn fnv(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permutations_hold_everything_once_and_differ_by_stream() {
        let first = Stream::new(7, "epoch", 0).permutation(1000);
        let mut sorted = first.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..1000).collect::<Vec<_>>());
        assert_eq!(first, Stream::new(7, "epoch", 0).permutation(1000));
        for other in [Stream::new(8, "epoch", 0), Stream::new(7, "epoch", 1), Stream::new(7, "flip", 0)] {
            assert_ne!(first, other.permutation(1000));
        }
        assert!(Stream::new(1, "none", 0).permutation(0).is_empty());
    }

    /// Each number is as likely at each place: the mean of a place lies within five standard errors.
    #[test]
    fn permutations_are_even() {
        let mean = |place: usize| {
            (0..2000).map(|i| f64::from(Stream::new(3, "x", i).permutation(10)[place])).sum::<f64>() / 2000.0
        };
        let error = (99.0f64 / 12.0 / 2000.0).sqrt();
        for place in 0..10 {
            assert!((mean(place) - 4.5).abs() < 5.0 * error, "place {place}: {}", mean(place));
        }
    }
}
