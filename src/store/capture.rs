//! Capture: the tables and triggers in the application's file, and reading what they wrote.
