//! `popsicle shim`: what the native executor starts to hold a container. It outlives the server.

use std::path::Path;

use crate::cli::ShimArgs;
use crate::error::{Exit, Failure};

/// Holds one container until it has exited.
pub fn run(args: &ShimArgs) -> Result<Exit, Failure> {
    let [dir] = args.words.as_slice() else {
        return Err(Failure::usage("`popsicle shim` takes one job directory"));
    };
    executor::native::shim::main(Path::new(dir)).map_err(Failure::unable)?;
    Ok(Exit::Success)
}
