//! Integration tests, one room per module.

/// Index files: the vectors of the format, real files, hostile files, printing and reading.
#[cfg(test)]
mod index_dialects;
