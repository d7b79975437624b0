//! ENCODE: pure functions between records and bytes.

pub mod certificate;
pub mod csv;
pub mod json;
