//! The fence around all decoding: a panic in an unpacker, ours or a library's, becomes an error.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::error::DecodeError;

/// Runs a decoder.
///
/// # Errors
/// [`DecodeError::Panicked`], or what the decoder returns.
pub(super) fn fence<T>(decode: impl FnOnce() -> Result<T, DecodeError>) -> Result<T, DecodeError> {
    // Whatever a panic leaves behind is a buffer whose content is void after any error.
    catch_unwind(AssertUnwindSafe(decode)).unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("no text");
        Err(DecodeError::Panicked { text: text.into() })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error_with_its_text() {
        let error = fence::<()>(|| panic!("at {}", 7)).unwrap_err();
        assert_eq!(error.to_string(), "the decoder panicked: at 7");
    }
}
