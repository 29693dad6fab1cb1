//! Which release this is (Java: org/apache/zookeeper/Version.java and
//! version/VersionInfoMain.java).
//!
//! Clients and tools read the number to learn what a server can do, so it is that of the Java
//! release whose behaviour this server has.

/// The Java release whose behaviour this is (Java: Version.getVersion).
pub const VERSION: &str = "3.9.5";

/// The revision of the sources, if the build was told (Java: Version.getRevisionHash).
pub const REVISION_HASH: &str = match option_env!("ZOOKEEPER_REVISION_HASH") {
    Some(hash) => hash,
    None => concat!("rust.", env!("CARGO_PKG_VERSION")),
};

/// When it was built, if the build was told (Java: Version.getBuildDate).
pub const BUILD_DATE: &str = match option_env!("ZOOKEEPER_BUILD_DATE") {
    Some(date) => date,
    None => "unknown date",
};

/// Number, revision and date, as the word `srvr` shows them (Java: Version.getFullVersion).
#[must_use]
pub fn full_version() -> String {
    format!("{VERSION}-{REVISION_HASH}, built on {BUILD_DATE}")
}

/// The line of `zkServer.sh version` (Java: VersionInfoMain).
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
        assert!(rest.contains(", built on "), "{full}");
        assert!(version_info().starts_with("Apache ZooKeeper, version 3.9.5 "));
    }
}
