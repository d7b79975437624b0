//! The `hms-sync` binary: arguments -> verb -> exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    hms_sync::cli::main(std::env::args_os())
}
