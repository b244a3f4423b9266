//! Why a field's values cannot be had.

use std::sync::Arc;

/// What is wrong with a field, as far as its values go. Never a reason to serve something else instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The data representation template is not supported; known from section 5 alone, so at index time.
    #[error("packing not supported: data representation template 5.{number} ({name})")]
    Template {
        /// Code Table 5.0.
        number: u16,
        /// What the template is called.
        name: &'static str,
    },
    /// A section is shorter than its template, or not the section it should be.
    #[error("section {section} has {found} octets, {needed} are needed")]
    Short {
        /// Section number.
        section: u8,
        /// Octets needed.
        needed: usize,
        /// Octets there are.
        found: usize,
    },
    /// A header field holds a number that its template does not allow.
    #[error("{what} is {found}: not allowed")]
    Header {
        /// Which field.
        what: &'static str,
        /// What it holds.
        found: i64,
    },
    /// The reference value or a scale factor does not give finite numbers.
    #[error("reference value or scale factors do not give finite numbers")]
    Scale,
    /// Two counts that must agree do not.
    #[error("{what}: {found}, but {expected} expected")]
    Count {
        /// What was counted.
        what: &'static str,
        /// The count that must be met.
        expected: u64,
        /// The count found.
        found: u64,
    },
    /// Section 7 ends before the values do.
    #[error("section 7 holds {found} bits of data, {needed} are needed")]
    Truncated {
        /// Bits needed so far.
        needed: u64,
        /// Bits there are.
        found: u64,
    },
    /// Undoing the differences leaves the range of integers that is exact (below 2^51).
    #[error("spatial differences add up beyond 51 bits")]
    Overflow,
    /// An entropy-coded stream (5.40, 5.41, 5.42, 5.200) is not what its format says.
    #[error("{packing} stream: {what}")]
    Stream {
        /// Name of the packing.
        packing: &'static str,
        /// What is wrong with it.
        what: Arc<str>,
    },
    /// A decoder panicked on the data.
    #[error("the decoder panicked: {text}")]
    Panicked {
        /// The panic's text.
        text: Arc<str>,
    },
}

impl DecodeError {
    /// A broken stream of a named packing.
    pub(super) fn stream(packing: &'static str, what: impl Into<Arc<str>>) -> Self {
        Self::Stream {
            packing,
            what: what.into(),
        }
    }
}
