//! The release of this server (Java: org/apache/zookeeper/Version.java and version/VersionInfoMain.java).
//!
//! Clients and tools use the version to learn what a server can do. It is therefore that of the Java release whose
//! behaviour this server has.

/// The Java release whose behaviour this server has (Java: Version.getVersion).
pub const VERSION: &str = "3.9.5";

/// The revision of the sources, if `build.rs` knows it (Java: Version.getRevisionHash).
pub const REVISION_HASH: &str = match option_env!("ZOOKEEPER_REVISION_HASH") {
    Some(hash) => hash,
    None => concat!("rust.", env!("CARGO_PKG_VERSION")),
};

/// The date of the revision or, if it is unknown, of the build (Java: Version.getBuildDate). It comes from
/// `build.rs`.
pub const BUILD_DATE: &str = env!("ZOOKEEPER_BUILD_DATE");

/// Version, revision and date, as `srvr` shows them (Java: Version.getFullVersion).
#[must_use]
pub fn full_version() -> String {
    format!("{VERSION}-{REVISION_HASH}, built on {BUILD_DATE}")
}

/// The text that `zkServer.sh version` prints (Java: VersionInfoMain).
#[must_use]
pub fn version_info() -> String {
    format!(
        "Apache ZooKeeper, version {VERSION} {BUILD_DATE} (compatible server in Rust, {})",
        env!("CARGO_PKG_VERSION")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_full_version_has_javas_form() {
        let full = full_version();
        let (version, rest) = full.split_once('-').unwrap();
        assert_eq!(version.split('.').count(), 3);
        let (_, date) = rest.split_once(", built on ").unwrap();
        let form = "dddd-dd-dd dd:dd UTC";
        let is_form = date.chars().zip(form.chars()).all(|(is, form)| match form {
            'd' => is.is_ascii_digit(),
            form => is == form,
        });
        assert!(date.len() == form.len() && is_form, "{full}");
        assert!(version_info().starts_with("Apache ZooKeeper, version 3.9.5 "));
    }
}
