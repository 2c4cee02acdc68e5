//! The sandbox's helper for this crate's tests. The real program is its own helper.

fn main() {
    anima_sandbox::init_main();
}
