//! The smallest helper program: what a caller's `main` does before anything else. The tests start it.

fn main() {
    if std::env::args().nth(1).as_deref() == Some(anima_sandbox::HELPER_ARGUMENT) {
        anima_sandbox::init_main();
    }
    std::process::exit(2);
}
