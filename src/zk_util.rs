//! The text form of ACLs (Java: the part of org/apache/zookeeper/ZKUtil.java that the server uses).

use crate::data::ACL;
use crate::zoo_defs::perms;

/// The letters of permissions (Java: getPermString).
#[must_use]
pub fn perm_string(permissions: i32) -> String {
    let letters = [
        (perms::CREATE, 'c'),
        (perms::DELETE, 'd'),
        (perms::READ, 'r'),
        (perms::WRITE, 'w'),
        (perms::ADMIN, 'a'),
    ];
    letters.iter().filter(|(bit, _)| permissions & bit != 0).map(|(_, letter)| letter).collect()
}

/// The entries as `scheme:id:permissions`, concatenated without a separator, as in Java.
#[must_use]
pub(crate) fn acl_to_string(acls: &[ACL]) -> String {
    let entry = |acl: &ACL| format!("{}:{}:{}", acl.id.scheme, acl.id.id, perm_string(acl.perms));
    acls.iter().map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zoo_defs::ids;

    #[test]
    fn permissions_have_javas_letters_in_javas_order() {
        assert_eq!(perm_string(perms::ALL), "cdrwa");
        assert_eq!(perm_string(perms::READ | perms::CREATE), "cr");
        assert_eq!(perm_string(0), "");
        assert_eq!(acl_to_string(&ids::read_acl_unsafe()), "world:anyone:r");
    }
}
