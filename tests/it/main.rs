//! Integration tests: one binary, one module per room of the house.

mod table;
