//! Says whether the metadata of a real Enterprise Linux lies beside the checkout: `tests/real_data.rs` and `tests/streams.rs` read it.

const SHARED_DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data");

fn main() {
    println!("cargo::rustc-check-cfg=cfg(shared_data)");
    println!("cargo::rerun-if-changed={SHARED_DATA}");
    match std::path::Path::new(SHARED_DATA).is_dir() {
        true => println!("cargo::rustc-cfg=shared_data"),
        false => {
            println!(
                "cargo::warning=tests/real_data.rs and tests/streams.rs are left out: there is no ../shared/data beside this checkout"
            );
        }
    }
}
