//! Stories of the whole: the real binary, real git, real containers, real HTTP.
//!
//! Each story has a server of its own (`world::Ci`) on its own port, with its own data and its own
//! namespace, so they run side by side. Only GitHub is played: `world::Github` stands in for its API,
//! and pushes are signed and sent as GitHub sends them.
//!
//! What the machine lacks (Docker, say) skips the stories that need it, with a message; where `CI`
//! is set they fail instead.

mod borders;
mod world;

mod stories {
    mod background;
    mod cancel;
    mod commands;
    mod configs;
    mod docker;
    mod examples;
    mod failure;
    mod forge;
    mod hosting;
    mod images;
    mod interrupts;
    mod keeping;
    mod kept;
    mod limits;
    mod local;
    mod logs;
    mod lsp;
    mod metrics;
    mod orbs;
    mod output;
    mod pages;
    mod push;
    mod restart;
    mod secrets;
    mod services;
    mod sources;
    mod telemetry;
    mod terminal;
    mod tokens;
    mod tools;
    mod turns;
    mod webhooks;
}
