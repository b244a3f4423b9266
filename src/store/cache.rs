//! Decoded fields, least recently used last, counted in bytes.

use bytes::Bytes;
use lru::LruCache;

use crate::dataset::archive::RowId;

/// A byte-counted cache of decoded fields by row.
#[derive(Debug)]
pub(super) struct FieldCache {
    fields: LruCache<RowId, Bytes>,
    bytes: u64,
    limit_bytes: u64,
}

impl FieldCache {
    pub(super) fn new(limit_bytes: u64) -> Self {
        Self {
            fields: LruCache::unbounded(),
            bytes: 0,
            limit_bytes,
        }
    }

    pub(super) fn get(&mut self, row: RowId) -> Option<Bytes> {
        self.fields.get(&row).cloned()
    }

    /// Keeps a field, and lets go of the oldest ones beyond the limit.
    pub(super) fn insert(&mut self, row: RowId, field: Bytes) {
        let size = field.len() as u64;
        if size > self.limit_bytes {
            return;
        }
        self.bytes += size;
        if let Some(old) = self.fields.put(row, field) {
            self.bytes -= old.len() as u64;
        }
        while self.bytes > self.limit_bytes {
            let Some((_, oldest)) = self.fields.pop_lru() else {
                break;
            };
            self.bytes -= oldest.len() as u64;
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_fields_go_first_and_bytes_are_counted() {
        let mut cache = FieldCache::new(10);
        cache.insert(1, Bytes::from_static(&[0; 4]));
        cache.insert(2, Bytes::from_static(&[0; 4]));
        assert!(cache.get(1).is_some());
        cache.insert(3, Bytes::from_static(&[0; 4]));
        assert!(cache.get(2).is_none() && cache.get(1).is_some() && cache.get(3).is_some());
        assert_eq!(cache.bytes(), 8);
        cache.insert(1, Bytes::from_static(&[0; 2]));
        assert_eq!(cache.bytes(), 6);
        cache.insert(4, Bytes::from_static(&[0; 11]));
        assert!(cache.get(4).is_none());
    }
}
