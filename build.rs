//! Lets the binary and the tests find the prebuilt `libduckdb` at run time: where the build found it
//! (`.cargo/config.toml` names the folder), beside the binary, or in `../lib` of the binary.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // Two checkouts may share a target directory; the folder then differs.
    println!("cargo::rerun-if-env-changed=DUCKDB_LIB_DIR");
    if std::env::var_os("CARGO_FEATURE_BUNDLED").is_some() {
        return;
    }
    let library = match std::env::var("CARGO_CFG_TARGET_OS").as_deref() {
        Ok("macos") => "libduckdb.dylib",
        _ => "libduckdb.so",
    };
    let folder = std::env::var("DUCKDB_LIB_DIR").unwrap_or_default();
    if !std::path::Path::new(&folder).join(library).exists() {
        println!(
            "cargo::error=there is no {library} in `{folder}`: run scripts/setup, which fetches it through npm, \
             or build with --features bundled, which takes about half an hour"
        );
        return;
    }
    let origin = match std::env::var("CARGO_CFG_TARGET_OS").as_deref() {
        Ok("macos") => "@loader_path",
        _ => "$ORIGIN",
    };
    let built_with = std::env::var("DUCKDB_LIB_DIR").unwrap_or_default();
    for folder in [built_with, origin.to_owned(), format!("{origin}/../lib")] {
        if !folder.is_empty() {
            println!("cargo::rustc-link-arg=-Wl,-rpath,{folder}");
        }
    }
}
