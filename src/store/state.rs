//! The agent's own state file.
