//! Writes the ensemble's configuration to the files where Java keeps it (Java: writeDynamicConfig, editStaticConfig,
//! backupOldConfig and deleteFile of server/quorum/QuorumPeerConfig.java), and parses the text that members send each
//! other (Java: QuorumPeer.configFromString).
//!
//! Files are replaced atomically. They are written only with `reconfigEnabled`.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use log::warn;

use super::dynamic_file::Reading;
use super::{LOG, NEXT_DYNAMIC_CONFIG_FILE_SUFFIX};
use crate::common::atomic_file_writing_idiom::write_atomically;
use crate::common::config_exception::{ConfigError, Place};
use crate::common::net_utils::ResolveHost;
use crate::common::properties::Properties;
use crate::common::string_utils;
use crate::server::quorum::flexible::quorum_members::QuorumMembers;

/// The name that messages show instead of a file name.
const FROM_A_MEMBER: &str = "(configuration from another member)";

/// Parses the text of a configuration (Java: configFromString).
///
/// # Errors
/// When it is not valid, or has no voters.
pub fn members_from_text(
    text: &str,
    has_oracle: bool,
    resolve: ResolveHost<'_>,
) -> Result<QuorumMembers, ConfigError> {
    parse(text, has_oracle, resolve).map_err(ConfigError::about_foreign_text)
}

fn parse(
    text: &str,
    has_oracle: bool,
    resolve: ResolveHost<'_>,
) -> Result<QuorumMembers, ConfigError> {
    let file = Path::new(FROM_A_MEMBER);
    let rule = |line: usize, what: &str| ConfigError::Rule {
        place: Place { file: file.into(), line },
        what: what.into(),
    };
    let settings = Properties::load_str(text)
        .map_err(|malformed| rule(malformed.line, "\\u must be followed by four hex digits"))?;
    let reading = Reading {
        file,
        among_other_keys: false,
        standalone_enabled: false,
        has_oracle,
        multi_address: true,
        resolve,
    };
    reading.check_keys(&settings)?;
    let members = reading.create_quorum_members(&settings)?;
    reading.check_groups(&members)?;
    if members.voting_members().next().is_none() {
        return Err(rule(0, "nobody votes in it"));
    }
    Ok(members)
}

/// The file for the last proposed configuration.
#[must_use]
pub fn next_dynamic_config_file(config_file: &Path) -> PathBuf {
    with_suffix(config_file, NEXT_DYNAMIC_CONFIG_FILE_SUFFIX)
}

fn with_suffix(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Writes the text of a configuration with its lines sorted. The version is left out if the file's name has it.
///
/// # Errors
/// When the file cannot be written; the old file then remains.
pub fn write_dynamic_config(file: &Path, text: &str, keep_version: bool) -> io::Result<()> {
    let mut lines: Vec<&str> = text
        .lines()
        .map(string_utils::trim)
        .filter(|line| !line.is_empty() && (keep_version || !line.starts_with("version")))
        .collect();
    lines.sort_unstable();
    write_atomically(file, |out| out.write_all(lines.join("\n").as_bytes()))
}

/// Writes the dynamic file of the configuration in effect, and makes zoo.cfg refer to it.
///
/// # Errors
/// When a file cannot be read or written; zoo.cfg is written last.
pub fn write_both(
    config_file: &Path,
    text: &str,
    version: i64,
    erase_client_port: bool,
) -> io::Result<()> {
    let dynamic_file = with_suffix(config_file, &format!(".dynamic.{version:x}"));
    write_dynamic_config(&dynamic_file, text, false)?;
    edit_static_config(config_file, &dynamic_file, erase_client_port)
}

/// Removes the members from zoo.cfg and adds the name of the dynamic file.
fn edit_static_config(
    config_file: &Path,
    dynamic_file: &Path,
    erase_client_port: bool,
) -> io::Result<()> {
    let settings = Properties::load(&fs::read(config_file)?)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "zoo.cfg cannot be read"))?;
    let dynamic_file = fs::canonicalize(dynamic_file)?;
    let moved = |key: &str| {
        ["server.", "group", "weight", "dynamicConfigFile", "peerType"]
            .iter()
            .any(|prefix| key.starts_with(prefix))
            || erase_client_port && key.starts_with("clientPort")
    };
    write_atomically(config_file, |out| {
        for property in settings.iter() {
            let key = string_utils::trim(&property.key);
            if !moved(key) {
                writeln!(out, "{key}={}", string_utils::trim(&property.value))?;
            }
        }
        writeln!(out, "dynamicConfigFile={}", dynamic_file.display())
    })
}

/// Copies zoo.cfg before the members are removed from it.
///
/// # Errors
/// When it cannot be copied.
pub fn backup_old_config(config_file: &Path) -> io::Result<()> {
    let bytes = fs::read(config_file)?;
    write_atomically(&with_suffix(config_file, ".bak"), |out| out.write_all(&bytes))
}

/// Deletes a file, if it exists.
pub fn delete_file(file: &Path) {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            warn!(target: LOG, "deleting {} failed: {error}", file.display());
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Sid;
    use crate::server::persistence::test_dir::TestDir;

    const TEXT: &str =
        "server.2=b:1:2:participant\nserver.1=a:1:2:participant;0.0.0.0:5\nversion=1f";

    #[test]
    fn a_configuration_is_read_as_members_write_it() {
        let members = members_from_text(TEXT, false, &|_| None).unwrap();
        assert_eq!((members.version, members.servers.len()), (0x1f, 2));
        assert_eq!(members.servers[&Sid(1)].client_address.as_ref().unwrap().port, 5);
        for text in ["", "version=1", "clientPort=1", "server.1=a:1:2:observer", "server.1=a"] {
            let error = members_from_text(text, false, &|_| None).expect_err(text).to_string();
            assert!(error.contains(FROM_A_MEMBER), "{error}");
        }
    }

    #[test]
    fn an_error_about_a_members_text_is_one_short_line() {
        let long = "x".repeat(1 << 20);
        for text in
            [long.clone(), format!("server.1={long}"), "server.1=a\\nforged\\u001b[m".to_owned()]
        {
            let error = members_from_text(&text, false, &|_| None).unwrap_err().to_string();
            assert!(error.len() < 1000 && !error.contains(char::is_control), "{error}");
        }
        let error = members_from_text("server.1=a\\nforged", false, &|_| None).unwrap_err();
        assert!(error.to_string().contains("server.1=a\\nforged: "), "{error}");
    }

    #[test]
    fn the_members_move_from_zoo_cfg_into_a_file_of_their_own() {
        let dir = TestDir::new();
        let file = dir.path().join("zoo.cfg");
        let old = "tickTime = 2000\nserver.1=a:1:2\ngroup.1=1\npeerType=observer\nclientPort=5\n";
        fs::write(&file, old).unwrap();
        backup_old_config(&file).unwrap();
        write_both(&file, TEXT, 0x1f, true).unwrap();
        let dynamic = fs::canonicalize(dir.path().join("zoo.cfg.dynamic.1f")).unwrap();
        let text = fs::read_to_string(&dynamic).unwrap();
        assert_eq!(text, "server.1=a:1:2:participant;0.0.0.0:5\nserver.2=b:1:2:participant");
        let text = fs::read_to_string(&file).unwrap();
        assert_eq!(text, format!("tickTime=2000\ndynamicConfigFile={}\n", dynamic.display()));
        assert_eq!(fs::read_to_string(dir.path().join("zoo.cfg.bak")).unwrap(), old);
        let next = next_dynamic_config_file(&file);
        write_dynamic_config(&next, TEXT, true).unwrap();
        assert!(fs::read_to_string(&next).unwrap().ends_with("version=1f"));
        delete_file(&next);
        delete_file(&next);
        assert!(!next.exists());
    }
}
