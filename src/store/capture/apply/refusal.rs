//! Which errors are a row's own, and how they are told: kinds and names, never a value.

use rusqlite::{ErrorCode, ffi};

use crate::rules::outcome::Reason;

/// The application's rules refuse the row; nothing else is wrong.
pub(super) struct Refusal;

/// Why the application's file refuses a row; none = the error is not about the row.
pub(super) fn refusal(error: &rusqlite::Error) -> Option<Reason> {
    if let rusqlite::Error::ToSqlConversionFailure(_) = error {
        return Some(Reason::new("type", "a list or an object does not fit into a column"));
    }
    let code = error.sqlite_error()?;
    let text = match error {
        rusqlite::Error::SqliteFailure(_, Some(text)) => text.clone(),
        rusqlite::Error::SqlInputError { msg, .. } => msg.clone(),
        _ => String::new(),
    };
    let class = match (code.code, code.extended_code) {
        // Its words are the application's, and may hold a value.
        (_, ffi::SQLITE_CONSTRAINT_TRIGGER) => {
            return Some(Reason::new("trigger", "a trigger of the application refuses it"));
        }
        (_, ffi::SQLITE_CONSTRAINT_NOTNULL) => "not-null",
        (_, ffi::SQLITE_CONSTRAINT_CHECK) => "check",
        (_, ffi::SQLITE_CONSTRAINT_FOREIGNKEY) => "foreign-key",
        (_, ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY | ffi::SQLITE_CONSTRAINT_ROWID) => {
            "unique"
        }
        (_, ffi::SQLITE_CONSTRAINT_DATATYPE) => "type",
        (ErrorCode::TypeMismatch, _) => return Some(Reason::new("type", "the key of this table is an integer")),
        (ErrorCode::TooBig, _) => return Some(Reason::new("type", "a value is larger than the file takes")),
        (ErrorCode::ConstraintViolation, _) => "constraint",
        // A function or a collation that only the application knows.
        (ErrorCode::Unknown, _) if text.starts_with("no such function") || text.starts_with("no such collation") => {
            "unknown-to-us"
        }
        _ => return None,
    };
    if text.is_empty() || class == "constraint" {
        return Some(Reason::new(class, "a constraint of the table refuses it"));
    }
    Some(Reason::new(class, text))
}
