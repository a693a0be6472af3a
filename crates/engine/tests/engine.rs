//! The engine with a real store, real git and real files; the executor is an actor that plays containers,
//! and the clock is the test's.

#![allow(clippy::unwrap_used, reason = "a test that can't go on should stop")]

mod engine {
    mod actor;
    mod forge;
    mod outages;
    mod reports;
    mod secrets;
    mod simulation;
    mod stories;
    mod sweeping;
    mod turns;
    mod world;
}
