//! The client against a small master of this test, when the line between them is good and when it is not.

mod common;
mod lease;
mod stream;
