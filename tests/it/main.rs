//! All integration tests.

#[cfg(test)]
mod decode_corpus;

#[cfg(test)]
mod decode_packings;

#[cfg(test)]
mod decode_hostile;
