//! ENCODE: pure functions between records and bytes.

pub mod answers;
pub mod certificate;
pub mod codepage;
pub mod copybook;
pub mod csv;
pub mod exposition;
pub mod feed;
pub mod fixed;
pub mod frame;
pub mod hl7;
pub mod hook;
pub mod json;
pub mod layout;
pub mod markup;
pub mod message;
pub mod mllp;
pub mod multipart;
pub mod note;
pub mod notice;
pub mod segment;
pub mod trail;
pub mod xml;
