//! Answers in fixed records of a mainframe.
