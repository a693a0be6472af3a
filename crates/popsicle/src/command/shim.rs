//! `popsicle shim`: what the native executor starts to hold a container. It outlives the server.

use crate::cli::ShimArgs;
use crate::error::{Exit, Failure};

/// Holds one container until it has exited, or reaches into one that another holds.
pub fn run(args: &ShimArgs) -> Result<Exit, Failure> {
    let code = executor::native::shim::main(&args.words).map_err(Failure::unable)?;
    Ok(Exit::Shim(code))
}
