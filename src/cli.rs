//! One file per verb group.
