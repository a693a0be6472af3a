//! A program that is nothing but the native executor's shim, for this crate's tests; `popsicle shim`
//! does the same.

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let argument = std::env::args_os().nth(1).unwrap_or_default();
    match executor::native::shim::main(Path::new(&argument)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
