//! Spatial differencing (template 5.3): integers as sums of first or second order of the packed ones.
//!
//! A state is stepped from integer to integer. [`Difference::reach`] bounds what steps can come to, so that whole groups need
//! no check of their own; where the bound does not hold, [`Difference::careful_step`] checks each.

use super::scale::Biased;

/// How integers follow from the packed ones: not at all, or as sums of first or second order.
pub(super) trait Difference: Copy {
    const ORDER: usize;
    /// The state after the first values, which are coded apart.
    fn start(first: [i64; 2]) -> Self;
    /// The next integer.
    fn step(&mut self, packed: i64) -> Biased;
    /// The next integer if it can be had exactly.
    fn careful_step(&mut self, packed: i64) -> Option<Biased>;
    /// The state after the integers that were stepped to last, at least one.
    fn after(self, integers: &[Biased]) -> Self;
    /// No integer within `count` steps is larger, if no packed one is larger than `packed`.
    fn reach(&self, count: u64, packed: u64) -> u64;
}

#[derive(Clone, Copy)]
pub(super) struct Plain;

impl Difference for Plain {
    const ORDER: usize = 0;

    fn start(_: [i64; 2]) -> Self {
        Self
    }

    #[inline(always)]
    fn step(&mut self, packed: i64) -> Biased {
        Biased::new(packed)
    }

    fn careful_step(&mut self, packed: i64) -> Option<Biased> {
        exact(Some(packed)).map(Biased::new)
    }

    fn after(self, _: &[Biased]) -> Self {
        self
    }

    fn reach(&self, _: u64, packed: u64) -> u64 {
        packed
    }
}

#[derive(Clone, Copy)]
pub(super) struct First {
    sum: Biased,
}

impl Difference for First {
    const ORDER: usize = 1;

    fn start(first: [i64; 2]) -> Self {
        let [first, _] = first;
        Self {
            sum: Biased::new(first),
        }
    }

    #[inline(always)]
    fn step(&mut self, packed: i64) -> Biased {
        self.sum = self.sum.plus(packed);
        self.sum
    }

    fn careful_step(&mut self, packed: i64) -> Option<Biased> {
        let sum = exact(self.sum.get().checked_add(packed))?;
        self.sum = Biased::new(sum);
        Some(self.sum)
    }

    #[inline(always)]
    fn after(self, integers: &[Biased]) -> Self {
        Self {
            sum: integers.last().copied().unwrap_or(self.sum),
        }
    }

    fn reach(&self, count: u64, packed: u64) -> u64 {
        count
            .saturating_mul(packed)
            .saturating_add(self.sum.get().unsigned_abs())
    }
}

#[derive(Clone, Copy)]
pub(super) struct Second {
    sum: Biased,
    slope: i64,
}

impl Difference for Second {
    const ORDER: usize = 2;

    fn start(first: [i64; 2]) -> Self {
        let [first, second] = first;
        Self {
            sum: Biased::new(second),
            slope: second - first,
        }
    }

    #[inline(always)]
    fn step(&mut self, packed: i64) -> Biased {
        self.slope = self.slope.wrapping_add(packed);
        self.sum = self.sum.plus(self.slope);
        self.sum
    }

    fn careful_step(&mut self, packed: i64) -> Option<Biased> {
        let slope = self.slope.checked_add(packed)?;
        let sum = exact(self.sum.get().checked_add(slope))?;
        *self = Self {
            sum: Biased::new(sum),
            slope,
        };
        Some(self.sum)
    }

    #[inline(always)]
    fn after(self, integers: &[Biased]) -> Self {
        let (before, sum) = match integers {
            [.., before, sum] => (*before, *sum),
            [sum] => (self.sum, *sum),
            [] => return self,
        };
        Self {
            sum,
            slope: sum.get().wrapping_sub(before.get()),
        }
    }

    fn reach(&self, count: u64, packed: u64) -> u64 {
        count
            .saturating_mul(packed)
            .saturating_add(self.slope.unsigned_abs())
            .saturating_mul(count)
            .saturating_add(self.sum.get().unsigned_abs())
    }
}

/// An integer that [`Biased`] can hold.
pub(super) fn exact(integer: Option<i64>) -> Option<i64> {
    integer.filter(|integer| integer.unsigned_abs() < Biased::LIMIT)
}
