//! Files -> validated parts; then the configuration is gone. No side effects but reading its files.
