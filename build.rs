//! Lets the linker's output find the prebuilt `libduckdb` at run time: in the checkout
//! (where `scripts/setup` puts it), beside the binary, or in `../lib` of the binary.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var_os("CARGO_FEATURE_BUNDLED").is_some() {
        return;
    }
    let origin = match std::env::var("CARGO_CFG_TARGET_OS").as_deref() {
        Ok("macos") => "@loader_path",
        _ => "$ORIGIN",
    };
    let checkout = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    for folder in [
        format!("{checkout}/.duckdb/lib"),
        origin.to_owned(),
        format!("{origin}/../lib"),
    ] {
        println!("cargo::rustc-link-arg=-Wl,-rpath,{folder}");
    }
}
