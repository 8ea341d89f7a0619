//! What files begin with: their form and its version.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Makes a type that is written as one text and read from nothing else.
macro_rules! form {
    ($(#[$doc:meta] $name:ident = $text:literal;)*) => {
        $(#[$doc]
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub(super) struct $name;

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str($text)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let found = String::deserialize(deserializer)?;
                if found == $text {
                    Ok(Self)
                } else {
                    Err(D::Error::custom(format_args!("expected the form {:?}, got {found:?}", $text)))
                }
            }
        })*
    };
}

form! {
    /// Accounts of genesis.
    GenesisForm = "crowdfold-genesis";
    /// Transactions.
    TransactionsForm = "crowdfold-transactions";
    /// A batch.
    BatchForm = "crowdfold-batch";
}

/// The number 1: the version of all forms so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Version1;

impl Serialize for Version1 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(1)
    }
}

impl<'de> Deserialize<'de> for Version1 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u64::deserialize(deserializer)? {
            1 => Ok(Self),
            found => {
                Err(D::Error::custom(format_args!("this program reads version 1 of the form, the file has {found}")))
            }
        }
    }
}
