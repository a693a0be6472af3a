//! The executors, over what they really drive.

mod docker;
mod native;
mod reach;
