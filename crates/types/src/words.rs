//! Enums whose values are words: in the database, on the wire, in messages.

/// Gives an enum without fields its list, its words, and the way back: `ALL`, `name`, `from_name`. A value that is left out does
/// not compile.
macro_rules! words {
    ($name:ident { $($value:ident = $word:literal),+ $(,)? }) => {
        impl $name {
            /// All of them, in their order.
            pub const ALL: [$name; [$($word),+].len()] = [$($name::$value),+];

            /// Returns the word that is kept in the database and on the wire.
            pub const fn name(self) -> &'static str {
                match self {
                    $($name::$value => $word),+
                }
            }

            /// Returns the value of that word.
            pub fn from_name(name: &str) -> Option<$name> {
                $name::ALL.into_iter().find(|value| value.name() == name)
            }
        }
    };
}
pub(crate) use words;
