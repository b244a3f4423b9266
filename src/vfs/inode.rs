//! Inode numbers: computed from what a node is, so that none has to be remembered.
//!
//! 64 bits: store (16), node of the store (14), local number (34). Store 0 is the tree above the stores; its node is the
//! collection (0 the mounted one, others as they stood at some instant) and its local number a place of that tree.

use super::tree::{Inode, ROOT};

const LOCAL_BITS: u32 = 34;
const NODE_BITS: u32 = 14;

/// Most stores that a mount can have looked up, collections above them, and nodes of one store.
pub(super) const STORES: usize = 1 << (64 - LOCAL_BITS - NODE_BITS);
pub(super) const NODES: usize = 1 << NODE_BITS;
/// Largest local number: an array has fewer chunks than this, or shows none beyond it.
pub(super) const LOCALS: u64 = 1 << LOCAL_BITS;

/// What an inode number stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Address {
    /// 0 above the stores, else the store's number.
    pub(super) store: usize,
    /// Group or array of the store; above the stores, the collection.
    pub(super) node: usize,
    /// 0 is the node itself; the rest is the node's to define.
    pub(super) local: u64,
}

impl Address {
    pub(super) fn inode(self) -> Inode {
        let number = ((self.store as u64) << (LOCAL_BITS + NODE_BITS))
            | ((self.node as u64) << LOCAL_BITS)
            | self.local;
        // The root is 1 by FUSE's rule; local numbers above the stores start at 1 for that reason.
        number.max(ROOT)
    }

    pub(super) fn of(inode: Inode) -> Self {
        let store = usize::try_from(inode >> (LOCAL_BITS + NODE_BITS)).unwrap_or(usize::MAX);
        let node =
            usize::try_from((inode >> LOCAL_BITS) & (NODES as u64 - 1)).unwrap_or(usize::MAX);
        Self {
            store,
            node,
            local: inode & (LOCALS - 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn addresses_come_back(store in 1_usize..STORES, node in 0_usize..NODES, local in 0_u64..LOCALS) {
            let address = Address { store, node, local };
            prop_assert_eq!(Address::of(address.inode()), address);
        }
    }
}
