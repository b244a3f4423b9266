//! Reading the files of a tree: bytes in memory at once, fields when they have come.

use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use std::sync::Arc;

use super::inode::Address;
use super::mount_tree::MountTree;
use super::nodes::{Item, StoreNodes};
use super::top::Place;
use super::tree::{Answer, ReadFailure};
use crate::dataset::CellState;
use crate::dataset::archive::RowId;
use crate::store::Read;

impl MountTree {
    /// A reader has come to a chunk: fetches what it will want next.
    fn look_ahead(&self, address: Address, nodes: &StoreNodes, waited: bool) {
        let Some((grid, linear)) = nodes.place(address.node, address.local) else {
            return;
        };
        let array = Address {
            local: 0,
            ..address
        };
        let row_of = |chunk| match nodes.field(address.node, chunk)? {
            CellState::Present(row) => Some(row),
            CellState::Pending(_) | CellState::Gap => None,
        };
        self.reader
            .step(array.inode(), grid, linear, waited, row_of);
    }

    pub(super) fn read_above(&self, address: Address, offset: u64, size: usize) -> Option<Answer> {
        let bytes = match Place::of(address.local)? {
            Place::Latest => Bytes::from(self.latest(address.node).ok()?),
            place @ (Place::StatusFile | Place::MetricsFile) => self.document(place),
            Place::Root
            | Place::Runs
            | Place::Leads
            | Place::Valid
            | Place::AsOf
            | Place::Status => return None,
        };
        Some(Answer::Now(Ok(slice(&bytes, offset, size))))
    }

    pub(super) fn read_item(&self, address: Address, offset: u64, size: usize) -> Option<Answer> {
        let nodes = self.store(address.store).ok()?;
        let later = |bytes: BoxFuture<'static, Result<Bytes, ReadFailure>>| {
            let cut = move |bytes: Result<Bytes, _>| bytes.map(|all| slice(&all, offset, size));
            Some(Answer::Later(bytes.map(cut).boxed()))
        };
        match nodes.item(address.node, address.local)? {
            Item::Directory => None,
            Item::Bytes(bytes) => Some(Answer::Now(Ok(slice(&bytes, offset, size)))),
            Item::Deferred(deferred) => match deferred.source.ready() {
                Some(bytes) => Some(Answer::Now(Ok(slice(&bytes, offset, size)))),
                None => later(self.reader.compute(move || deferred.source.make())),
            },
            Item::Field { bytes, .. } if offset >= bytes => Some(Answer::Now(Ok(Bytes::new()))),
            Item::Field { state, bytes } => match state {
                CellState::Gap => None,
                CellState::Pending(row) => later(self.read_pending(row, bytes - offset)),
                CellState::Present(row) => {
                    let wanted = (bytes - offset).min(size as u64);
                    let read = self.reader.read(row, wanted);
                    if offset == 0 {
                        let waited = matches!(read, Read::Later(_));
                        self.look_ahead(address, &nodes, waited);
                    }
                    match read {
                        Read::Now(field) => {
                            Some(Answer::Now(field.map(|field| slice(&field, offset, size))))
                        }
                        Read::Later(flight) => later(flight.boxed()),
                    }
                }
            },
        }
    }

    /// The field of a cell that had not arrived: it may have by now, where the tables are followed.
    fn read_pending(
        &self,
        row: RowId,
        bytes: u64,
    ) -> BoxFuture<'static, Result<Bytes, ReadFailure>> {
        if self.config.follow.is_none() {
            return self.reader.pending(row);
        }
        let reader = Arc::clone(&self.reader);
        async move {
            match reader.arrived(row).await.map(|row| reader.read(row, bytes)) {
                Some(Read::Now(field)) => field,
                Some(Read::Later(flight)) => flight.await,
                None => reader.pending(row).await,
            }
        }
        .boxed()
    }
}

/// `offset..offset + size` of bytes in memory.
fn slice(bytes: &Bytes, offset: u64, size: usize) -> Bytes {
    let start = usize::try_from(offset)
        .unwrap_or(usize::MAX)
        .min(bytes.len());
    bytes.slice(start..start.saturating_add(size).min(bytes.len()))
}
