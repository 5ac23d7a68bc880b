//! Enums whose names become label values: declared once, so that no list of names can miss one.

macro_rules! closed_set {
    ($(#[doc = $doc:literal])* pub enum $Set:ident { $($(#[doc = $item_doc:literal])* $Item:ident => $name:literal,)* }) => {
        $(#[doc = $doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $Set {
            $($(#[doc = $item_doc])* $Item,)*
        }

        impl $Set {
            /// All of them, in the order of their index.
            pub const ALL: &'static [Self] = &[$(Self::$Item,)*];
            /// How many there are.
            pub const COUNT: usize = Self::ALL.len();

            /// The position among all.
            pub const fn index(self) -> usize {
                self as usize
            }

            /// The name in labels, logs and the API.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$Item => $name,)* }
            }
        }

        impl std::fmt::Display for $Set {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}
