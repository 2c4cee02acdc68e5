//! What sandboxes are started with in tests; the program itself has the same lines in its `main`.

fn main() {
    if std::env::args().nth(1).as_deref() == Some(anima_sandbox::HELPER_ARGUMENT) {
        anima_sandbox::init_main();
    }
    std::process::exit(2);
}
