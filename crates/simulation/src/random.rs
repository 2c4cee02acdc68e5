//! Numbers that look random, and are the same for a seed with every version of every library: SplitMix64.

/// A row of numbers that a seed begins.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Returns the row of a seed.
    pub const fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// Returns the next number. Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators" (2014).
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Returns a number from `low` to `high`, both included.
    pub const fn between(&mut self, low: i64, high: i64) -> i64 {
        assert!(low <= high, "a range begins before it ends");
        low + (self.next() % ((high - low) as u64 + 1)) as i64
    }

    /// Returns true so many times in a thousand.
    pub const fn thousandths(&mut self, count: u32) -> bool {
        self.next() % 1_000 < count as u64
    }

    /// Returns one of a list that is not empty.
    pub fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[(self.next() % list.len() as u64) as usize]
    }
}
