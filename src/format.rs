//! ENCODE: pure functions between records and bytes.

pub mod json;
