//! Command-line flags made from the table.

use std::collections::BTreeMap;
use std::marker::PhantomData;

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

use super::table::{self, Row, Scope, TABLE};

/// What was said with flags, by the setting's name.
#[derive(Clone, Debug, Default)]
pub struct Given(BTreeMap<&'static str, String>);

impl Given {
    /// What was said about that setting.
    pub fn get(&self, row: &Row) -> Option<&str> {
        self.0.get(row.name).map(String::as_str)
    }

    /// Both together.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }
}

/// The flags of some settings, to be flattened into a command's arguments.
#[derive(Clone, Debug)]
pub struct Flags<P> {
    /// What was said.
    pub given: Given,
    part: PhantomData<P>,
}

/// Some settings of the table.
pub trait Part {
    /// Whether the setting is one of them.
    fn has(row: &Row) -> bool;
    /// Whether the flags are understood before and after every subcommand.
    const GLOBAL: bool;
}

/// The settings of every command.
#[derive(Clone, Debug)]
pub struct Global;

/// What `serve` adds.
#[derive(Clone, Debug)]
pub struct Serving;

/// What `run` adds.
#[derive(Clone, Debug)]
pub struct Running;

/// What `config` and `orb` add.
#[derive(Clone, Debug)]
pub struct Configuring;

/// What `image` adds.
#[derive(Clone, Debug)]
pub struct Imaging;

impl Part for Imaging {
    const GLOBAL: bool = false;

    fn has(row: &Row) -> bool {
        let of_images = [
            &table::DATA_DIR,
            &table::IMAGES,
            &table::IMAGE_LIMIT,
            &table::PLAIN_HTTP_REGISTRIES,
        ];
        of_images.iter().any(|known| known.name == row.name)
    }
}

impl Part for Global {
    const GLOBAL: bool = true;

    fn has(row: &Row) -> bool {
        row.scope == Scope::Everywhere
    }
}

impl Part for Serving {
    const GLOBAL: bool = false;

    fn has(row: &Row) -> bool {
        row.scope != Scope::Everywhere
    }
}

impl Part for Running {
    const GLOBAL: bool = false;

    fn has(row: &Row) -> bool {
        matches!(row.scope, Scope::Configs | Scope::Jobs)
    }
}

impl Part for Configuring {
    const GLOBAL: bool = false;

    fn has(row: &Row) -> bool {
        row.scope == Scope::Configs
    }
}

fn rows<P: Part>() -> impl Iterator<Item = (&'static Row, &'static str)> {
    TABLE
        .iter()
        .filter(|row| P::has(row))
        .filter_map(|row| Some((*row, row.flag?)))
}

impl<P: Part> Flags<P> {
    /// Help on the settings that have no flag, because they are secrets.
    pub fn only_in_the_environment() -> String {
        let mut text = "Secrets, in the environment or the settings file alone:".to_owned();
        for row in TABLE.iter().filter(|row| P::has(row) && row.flag.is_none()) {
            text.push_str(&format!("\n  {}", row.help_text()));
        }
        text
    }
}

impl<P: Part> Args for Flags<P> {
    fn augment_args(command: Command) -> Command {
        rows::<P>().fold(command, |command, (row, flag)| {
            let arg = Arg::new(row.name)
                .long(flag)
                .global(P::GLOBAL)
                .help_heading("Settings")
                .help(row.help_text());
            command.arg(match row.value_name {
                Some(name) => arg.value_name(name),
                None => arg.action(ArgAction::SetTrue),
            })
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<P: Part> FromArgMatches for Flags<P> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut given = BTreeMap::new();
        for (row, _) in rows::<P>() {
            if row.is_switch() {
                if matches.get_flag(row.name) {
                    given.insert(row.name, "true".to_owned());
                }
            } else if let Some(text) = matches.get_one::<String>(row.name) {
                given.insert(row.name, text.clone());
            }
        }
        Ok(Self {
            given: Given(given),
            part: PhantomData,
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

#[cfg(test)]
impl Given {
    pub(super) fn of(pairs: &[(&'static str, &str)]) -> Self {
        Self(
            pairs
                .iter()
                .map(|(name, text)| (*name, (*text).to_owned()))
                .collect(),
        )
    }
}
