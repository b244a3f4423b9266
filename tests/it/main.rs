//! The test house: one binary, one room per subject.

mod support;

mod storage; // reads, listings and writes against a server that misbehaves
