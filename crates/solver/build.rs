//! Compiles the C side and links libsolv. The shim keeps libsolv's structs out of Rust, so no generated bindings are needed.

/// Metadata of a real Enterprise Linux, which lies beside a developer's checkout and is too large for the repository.
const SHARED_DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data");

fn main() {
    println!("cargo::rustc-check-cfg=cfg(shared_data)");
    println!("cargo::rerun-if-changed={SHARED_DATA}");
    match std::path::Path::new(SHARED_DATA).is_dir() {
        true => println!("cargo::rustc-cfg=shared_data"),
        false => println!(
            "cargo::warning=tests/real_repositories.rs is left out: there is no ../shared/data beside this checkout"
        ),
    }
    println!("cargo:rerun-if-changed=src/shim");
    cc::Build::new()
        .files(["src/shim/read.c", "src/shim/guard.c", "src/shim/ask.c", "src/shim/answer.c", "src/shim/closure.c"])
        .define("_GNU_SOURCE", None)
        .warnings(true)
        .try_compile("anima_solver_shim")
        .unwrap_or_else(|error| {
            panic!("could not compile the libsolv shim: {error}\nlibsolv's headers are needed: apt-get install libsolv-dev libsolvext-dev")
        });
    // After the shim: a linker takes symbols from left to right.
    println!("cargo:rustc-link-lib=solvext");
    println!("cargo:rustc-link-lib=solv");
}
