//! `scheme:id:perm,scheme:id:perm` (Java: cli/AclParser.java).

use super::cli_command::Console;
use crate::data::{ACL, Id};
use crate::zoo_defs::perms;

/// Parses the entries of a text. Prints a message for an invalid entry and leaves it out, as in Java.
pub fn parse(console: &mut Console<'_>, text: &str) -> Vec<ACL> {
    let mut acls = Vec::new();
    // Java's `split` drops empty parts at the end, and of commas alone nothing is left.
    let entries = text.trim_end_matches(',');
    if entries.is_empty() && !text.is_empty() {
        return acls;
    }
    for entry in entries.split(',') {
        let parts = entry.split_once(':').and_then(|(scheme, rest)| {
            rest.rsplit_once(':').map(|(id, letters)| (scheme, id, letters))
        });
        let Some((scheme, id, letters)) = parts else {
            console.err_line(&format!("{entry} does not have the form scheme:id:perm"));
            continue;
        };
        let id = Id { scheme: scheme.to_owned(), id: id.to_owned() };
        acls.push(ACL { perms: perms_of(console, letters), id });
    }
    acls
}

fn perms_of(console: &mut Console<'_>, letters: &str) -> i32 {
    let mut perms = 0;
    for letter in letters.chars() {
        perms |= match letter {
            'r' => perms::READ,
            'w' => perms::WRITE,
            'c' => perms::CREATE,
            'd' => perms::DELETE,
            'a' => perms::ADMIN,
            _ => {
                console.err_line(&format!("Unknown perm type: {letter}"));
                0
            }
        };
    }
    perms
}
