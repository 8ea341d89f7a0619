//! Lists of things that the command line names.

/// An enum without fields, with `ALL`, and a name of each for `Display` and `FromStr`.
macro_rules! named {
    (
        $(#[$about:meta])*
        pub enum $list:ident { $($(#[$doc:meta])* $name:ident = $text:literal),+ $(,)? }
    ) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $list { $($(#[$doc])* $name),+ }

        impl $list {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];
        }

        impl std::fmt::Display for $list {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(match self { $(Self::$name => $text),+ })
            }
        }

        impl std::str::FromStr for $list {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                let found = Self::ALL.iter().find(|one| one.to_string() == text);
                let names = || Self::ALL.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                found.copied().ok_or_else(|| format!("expected one of {}, got `{text}`", names()))
            }
        }
    };
}

pub(super) use named;
