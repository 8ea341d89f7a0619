//! The canonical encoding: little-endian numbers of fixed width, u32 lengths, one encoding for each value.

/// Bytes that are not the encoding of a message. Each case names the field and its offset in the frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes end within a field.
    #[error("{what} at byte {at} takes {expected} bytes, {left} are left")]
    Short {
        /// The field.
        what: &'static str,
        /// Where it starts.
        at: usize,
        /// Bytes that it takes.
        expected: usize,
        /// Bytes that are left.
        left: usize,
    },
    /// A number or length outside its limits, found before anything was allocated for it.
    #[error("{what} at byte {at} must be from {least} to {most}, got {found}")]
    Limit {
        /// The field.
        what: &'static str,
        /// Where it starts.
        at: usize,
        /// The least allowed value.
        least: u64,
        /// The largest allowed value.
        most: u64,
        /// The value found.
        found: u64,
    },
    /// A byte that names none of the cases of its place. Flags are 0 or 1.
    #[error("{what} at byte {at} is {found}, expected {expected}")]
    Kind {
        /// The field.
        what: &'static str,
        /// Where it is.
        at: usize,
        /// The cases there are.
        expected: &'static str,
        /// The byte found.
        found: u8,
    },
    /// A text that is not UTF-8 without control characters.
    #[error("{what} at byte {at} must be UTF-8 without control characters")]
    Text {
        /// The field.
        what: &'static str,
        /// Where its bytes start.
        at: usize,
    },
    /// Fields that contradict each other.
    #[error("{what} before byte {at}: {expected}")]
    Inconsistent {
        /// The message or field.
        what: &'static str,
        /// Where it ends.
        at: usize,
        /// What was expected of it.
        expected: &'static str,
    },
    /// Bytes after the message.
    #[error("the message ends at byte {at}, {left} more bytes follow")]
    Left {
        /// Where it ends.
        at: usize,
        /// Bytes that follow.
        left: usize,
    },
}

/// Something that is part of messages.
pub(crate) trait Wire: Sized {
    /// Appends the encoding.
    fn write(&self, out: &mut Vec<u8>);
    /// Reads one value and nothing beyond it.
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError>;
}

/// A place in the bytes of a frame.
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    /// The field being read, for errors.
    pub(crate) what: &'static str,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, what: "kind of the message" }
    }

    pub(crate) fn at(&self) -> usize {
        self.at
    }

    pub(crate) fn take(&mut self, n: usize) -> Result<&'a [u8], DecodeError> {
        let left = &self.bytes[self.at..];
        let Some(taken) = left.get(..n) else {
            return Err(DecodeError::Short { what: self.what, at: self.at, expected: n, left: left.len() });
        };
        self.at += n;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    /// A length from 0 to `most`.
    pub(crate) fn length(&mut self, most: usize) -> Result<usize, DecodeError> {
        let at = self.at;
        let found = u32::read(self)?;
        self.check(at, u64::from(found), 0, most as u64)?;
        Ok(found as usize)
    }

    pub(crate) fn check(&self, at: usize, found: u64, least: u64, most: u64) -> Result<(), DecodeError> {
        if (least..=most).contains(&found) {
            Ok(())
        } else {
            Err(DecodeError::Limit { what: self.what, at, least, most, found })
        }
    }

    pub(crate) fn finish(&self) -> Result<(), DecodeError> {
        let left = self.bytes.len() - self.at;
        if left == 0 { Ok(()) } else { Err(DecodeError::Left { at: self.at, left }) }
    }
}

macro_rules! numbers {
    ($($number:ty),+) => {
        $(
            impl Wire for $number {
                fn write(&self, out: &mut Vec<u8>) {
                    out.extend_from_slice(&self.to_le_bytes());
                }

                fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
                    reader.array().map(Self::from_le_bytes)
                }
            }
        )+
    };
}
numbers!(u8, u16, u32, u64);

impl Wire for bool {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (what, at) = (reader.what, reader.at());
        match u8::read(reader)? {
            0 => Ok(false),
            1 => Ok(true),
            found => Err(DecodeError::Kind { what, at, expected: "0 or 1", found }),
        }
    }
}

impl<const N: usize> Wire for [u8; N] {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.array()
    }
}

impl<T: Wire> Wire for Option<T> {
    fn write(&self, out: &mut Vec<u8>) {
        self.is_some().write(out);
        self.iter().for_each(|value| value.write(out));
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if bool::read(reader)? { T::read(reader).map(Some) } else { Ok(None) }
    }
}

/// A struct whose encoding is that of its fields in order. With `check` a function sees what was read.
macro_rules! wire_struct {
    (
        $(#[$attribute:meta])*
        pub struct $name:ident { $($(#[$field_attribute:meta])* pub $field:ident: $type:ty,)+ }
        $(check $check:expr)?
    ) => {
        $(#[$attribute])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name { $($(#[$field_attribute])* pub $field: $type,)+ }

        impl $crate::codec::Wire for $name {
            fn write(&self, out: &mut Vec<u8>) {
                $($crate::codec::Wire::write(&self.$field, out);)+
            }

            fn read(reader: &mut $crate::codec::Reader<'_>) -> Result<Self, $crate::DecodeError> {
                let value = Self {
                    $($field: {
                        reader.what = concat!(stringify!($name), ".", stringify!($field));
                        $crate::codec::Wire::read(reader)?
                    },)+
                };
                $(
                    let check: fn(&Self) -> Result<(), &'static str> = $check;
                    check(&value).map_err(|expected| $crate::DecodeError::Inconsistent {
                        what: stringify!($name),
                        at: reader.at(),
                        expected,
                    })?;
                )?
                Ok(value)
            }
        }
    };
}

/// An enum whose encoding is a byte for the case, then what the case carries.
macro_rules! wire_enum {
    (
        $(#[$attribute:meta])*
        pub enum $name:ident {
            $($(#[$case_attribute:meta])* $case:ident $(($carried:ty))? = $byte:literal,)+
        }
    ) => {
        $(#[$attribute])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$case_attribute])* $case $(($carried))?,)+ }

        impl $crate::codec::Wire for $name {
            fn write(&self, out: &mut Vec<u8>) {
                match self {
                    $($crate::codec::wire_enum!(@pattern $name $case carried $($carried)?) => {
                        out.push($byte);
                        $($crate::codec::wire_enum!(@write carried out $carried);)?
                    })+
                }
            }

            fn read(reader: &mut $crate::codec::Reader<'_>) -> Result<Self, $crate::DecodeError> {
                let (what, at) = (reader.what, reader.at());
                match <u8 as $crate::codec::Wire>::read(reader)? {
                    $($byte => Ok($crate::codec::wire_enum!(@make $name $case reader $($carried)?)),)+
                    found => Err($crate::DecodeError::Kind {
                        what,
                        at,
                        expected: concat!("one of", $(" ", $byte),+),
                        found,
                    }),
                }
            }
        }
    };
    (@pattern $name:ident $case:ident $value:ident) => { Self::$case };
    (@pattern $name:ident $case:ident $value:ident $carried:ty) => { Self::$case($value) };
    (@write $value:ident $out:ident $carried:ty) => { $crate::codec::Wire::write($value, $out) };
    (@make $name:ident $case:ident $reader:ident) => { Self::$case };
    (@make $name:ident $case:ident $reader:ident $carried:ty) => {
        Self::$case(<$carried as $crate::codec::Wire>::read($reader)?)
    };
}
pub(crate) use {wire_enum, wire_struct};
