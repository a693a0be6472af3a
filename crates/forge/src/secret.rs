//! Credentials that can't be printed by accident.

use std::fmt;

macro_rules! hidden {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq)]
        pub struct $name(String);

        impl $name {
            /// Takes the text without the white space around it, as a file or a shell leaves it.
            pub fn new(text: impl AsRef<str>) -> Self {
                Self(text.as_ref().trim().to_owned())
            }

            /// The text itself. Never let it reach a log, an error, a URL or an argument list.
            pub fn expose(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("[hidden]")
            }
        }
    };
}

hidden! {
    /// What a forge signs its deliveries with.
    Secret
}

hidden! {
    /// What opens a forge's API.
    Token
}
