//! Buffers that fields are decoded into, used again.
//!
//! A new buffer of 4 MB costs the kernel a thousand page faults, a tenth of a decode. A field's buffer comes back when the last user of
//! its bytes lets go, and the next field of that size takes it. A few wait for their next use, the rest goes back to the system.
//!
//! What a buffer held before is still in it: [`decode`](crate::grib::decode::decode) writes every value or fails, and of a field that
//! failed nothing is served.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

/// Buffers that wait.
#[derive(Debug)]
pub(super) struct Buffers {
    waiting: Mutex<Vec<Vec<f32>>>,
    at_most: usize,
}

impl Buffers {
    /// No buffers yet; at most so many will wait.
    pub(super) fn new(at_most: usize) -> Arc<Self> {
        Arc::new(Self {
            waiting: Mutex::default(),
            at_most,
        })
    }

    /// A buffer for so many values, which are anything.
    pub(super) fn take(&self, values: usize) -> Vec<f32> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let fitting = waiting.iter().rposition(|buffer| buffer.len() == values);
        match fitting {
            Some(at) => waiting.swap_remove(at),
            None => vec![0.0; values],
        }
    }

    fn give_back(&self, buffer: Vec<f32>) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        // The one that waited longest makes place: its size may not be asked for any more.
        if waiting.len() >= self.at_most && !waiting.is_empty() {
            waiting.remove(0);
        }
        if self.at_most > 0 {
            waiting.push(buffer);
        }
    }

    /// The values' bytes, little endian, without a copy on machines that are; the buffer comes back when nobody has them any more.
    pub(super) fn bytes_of(self: &Arc<Self>, mut values: Vec<f32>) -> Bytes {
        if cfg!(target_endian = "big") {
            for value in &mut values {
                *value = f32::from_bits(value.to_bits().to_le());
            }
        }
        Bytes::from_owner(Owner {
            values,
            home: Arc::clone(self),
        })
    }
}

/// Values in use as bytes.
struct Owner {
    values: Vec<f32>,
    home: Arc<Buffers>,
}

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        bytemuck::cast_slice(&self.values)
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.home.give_back(std::mem::take(&mut self.values));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_with_the_last_user_and_serves_its_own_size() {
        let buffers = Buffers::new(2);
        let mut values = buffers.take(3);
        values.copy_from_slice(&[1.0, 2.0, 3.0]);
        let at = values.as_ptr();
        let bytes = buffers.bytes_of(values);
        assert_eq!(bytes[4..8], 2.0_f32.to_le_bytes());
        let part = bytes.slice(8..12);
        drop(bytes);
        let other = buffers.take(3);
        assert_ne!(other.as_ptr(), at, "a part of it is in use");
        drop(part);
        assert_eq!(buffers.take(4).len(), 4);
        let again = buffers.take(3);
        assert_eq!(again.as_ptr(), at);
    }

    #[test]
    fn few_buffers_wait() {
        let buffers = Buffers::new(2);
        let many: Vec<Bytes> = (0..5).map(|_| buffers.bytes_of(buffers.take(8))).collect();
        drop(many);
        assert_eq!(buffers.waiting.lock().unwrap().len(), 2);
    }
}
