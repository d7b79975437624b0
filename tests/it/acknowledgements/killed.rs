//! An agent that is killed while it applies an answer.
