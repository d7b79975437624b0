//! RUN: workers, wake-up, signals, the loopback API.
