//! REMEMBER: all SQL. Two files: the application's (capture, read mostly) and the agent's own state.

pub mod capture;
pub mod shadow;
pub mod state;
