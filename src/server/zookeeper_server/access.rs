//! Checks permissions (Java: the parts of server/ZooKeeperServer.java, PrepRequestProcessor.java and
//! FinalRequestProcessor.java that check ACLs).
//!
//! Works on records, and knows no tree, no connection and no lock. The callers choose the node whose ACL counts,
//! send the answer, and close the connection.

use std::collections::HashSet;
use std::sync::Arc;

use log::{debug, error, info, warn};

use crate::data::{ACL, Id};
use crate::jute::{BinaryInputArchive, Limits, Record};
use crate::keeper_exception::KeeperError;
use crate::proto::{AuthPacket, CreateRequest, DeleteRequest, SetACLRequest, SetDataRequest};
use crate::server::auth::authentication_provider::AuthOutcome;
use crate::server::auth::digest_authentication_provider;
use crate::server::auth::provider_registry::ProviderRegistry;
use crate::server::auth::server_authentication_provider::{
    MatchValues, ServerAuthenticationProvider, ServerObjs,
};
use crate::zoo_defs::{OpCode, perms};

use crate::common::zk_config::SystemProperties;

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.ZooKeeperServer";

/// The logger's name in Java for ACLs that clients set.
const PREP_LOG: &str = "org.apache.zookeeper.server.PrepRequestProcessor";

const ENABLE_EAGER_ACL_CHECK: &str = "zookeeper.enableEagerACLCheck";
const SKIP_ACL: &str = "zookeeper.skipACL";

/// The scheme of everybody.
const WORLD: &str = "world";

/// Everybody.
const ANYONE: &str = "anyone";

/// In ACLs that clients set: the client that sets the ACL.
const AUTH: &str = "auth";

/// The maximum size of an ACL in which `auth` is replaced by the client's ids, in bytes. By default no client accepts a
/// longer ACL.
const MAX_FIXED_BYTES: usize = 1 << 20;

/// With more pairs of an ACL's entry and a client's id, the ids are looked up instead of compared.
const MANY_PAIRS: usize = 10_000;

/// The settings for ACLs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AccessConfig {
    /// Nothing is refused (`zookeeper.skipACL=yes`).
    pub skip_acl: bool,
    /// Writes are also checked before the leader sees them (`zookeeper.enableEagerACLCheck`).
    pub enable_eager_acl_check: bool,
}

impl AccessConfig {
    /// Reads the settings `zookeeper.skipACL` and `zookeeper.enableEagerACLCheck`.
    #[must_use]
    pub fn from_properties(properties: &SystemProperties) -> Self {
        let enable_eager_acl_check = properties.bool(ENABLE_EAGER_ACL_CHECK);
        info!(target: LOG, "{ENABLE_EAGER_ACL_CHECK} = {enable_eager_acl_check}");
        let skip_acl = properties.get(SKIP_ACL) == Some("yes");
        if skip_acl {
            info!(target: LOG, "{SKIP_ACL}==\"yes\", ACL checks will be skipped");
        }
        Self { skip_acl, enable_eager_acl_check }
    }
}

/// Checks ACLs with the available schemes.
#[derive(Clone, Debug)]
pub struct AccessControl {
    config: AccessConfig,
    providers: Arc<ProviderRegistry>,
}

fn is_anyone(id: &Id) -> bool {
    id.scheme == WORLD && id.id == ANYONE
}

impl AccessControl {
    /// Creates a check with these schemes.
    #[must_use]
    pub const fn new(config: AccessConfig, providers: Arc<ProviderRegistry>) -> Self {
        Self { config, providers }
    }

    /// The schemes.
    #[must_use]
    pub const fn providers(&self) -> &Arc<ProviderRegistry> {
        &self.providers
    }

    /// Whether writes are checked before the leader sees them.
    #[must_use]
    pub const fn is_eager_acl_check_enabled(&self) -> bool {
        self.config.enable_eager_acl_check
    }

    /// Whether permissions are not checked at all (`zookeeper.skipACL`).
    #[must_use]
    pub const fn skips_acl(&self) -> bool {
        self.config.skip_acl
    }

    /// Whether a client with these ids has one of the permissions `perm` according to a node's ACL (Java: checkACL).
    /// An empty ACL allows everything. `path` and `set_acls` are additional information for a provider.
    ///
    /// # Errors
    /// [`KeeperError::NoAuth`] when it has none.
    pub fn check_acl(
        &self,
        acl: &[ACL],
        perm: i32,
        ids: &[Id],
        path: Option<&str>,
        set_acls: Option<&[ACL]>,
    ) -> Result<(), KeeperError> {
        if self.config.skip_acl {
            return Ok(());
        }
        debug!(target: LOG, "Permission requested: {perm}; ACLs for node: {acl:?}; client credentials: {ids:?}");
        let is_allowed = acl.is_empty()
            || acl.iter().any(|entry| entry.perms & perm != 0 && is_anyone(&entry.id))
            || ids.iter().any(|id| id.scheme == digest_authentication_provider::SUPER_SCHEME)
            || self.is_one_meant(acl, perm, ids, path, set_acls);
        if is_allowed { Ok(()) } else { Err(KeeperError::NoAuth) }
    }

    /// Whether an ACL entry with one of the permissions applies to a client with these ids.
    fn is_one_meant(
        &self,
        acl: &[ACL],
        perm: i32,
        ids: &[Id],
        path: Option<&str>,
        set_acls: Option<&[ACL]>,
    ) -> bool {
        let mut entries = acl.iter().filter(|entry| entry.perms & perm != 0);
        if acl.len().saturating_mul(ids.len()) <= MANY_PAIRS {
            return entries.any(|entry| self.is_meant(&entry.id, perm, ids, path, set_acls));
        }
        // Clients choose both. Compared one by one, the longest ACL and the most ids would take nearly a second.
        let is_equal_meant = |id: &&Id| {
            let provider = self.providers.server_provider(&id.scheme);
            provider.is_some_and(ServerAuthenticationProvider::matches_equals)
        };
        let (equal, others): (Vec<&Id>, Vec<&Id>) = ids.iter().partition(is_equal_meant);
        let equal: HashSet<&Id> = equal.into_iter().collect();
        entries.any(|entry| {
            let others = others.iter().copied();
            equal.contains(&entry.id) || self.is_meant(&entry.id, perm, others, path, set_acls)
        })
    }

    /// Whether an ACL entry with this id applies to a client with these ids.
    fn is_meant<'a>(
        &self,
        entry: &Id,
        perm: i32,
        ids: impl IntoIterator<Item = &'a Id>,
        path: Option<&str>,
        set_acls: Option<&[ACL]>,
    ) -> bool {
        let Some(provider) = self.providers.server_provider(&entry.scheme) else { return false };
        ids.into_iter().filter(|id| id.scheme == entry.scheme).any(|id| {
            let acl_expr = entry.id.as_str();
            provider.matches(&MatchValues { path, id: &id.id, acl_expr, perm, set_acls })
        })
    }

    /// The ACL that is stored when a client with these ids sets `acls` (Java: PrepRequestProcessor.fixupACL):
    /// without duplicates, and with the client's own ids in place of `auth`.
    ///
    /// # Errors
    /// [`KeeperError::InvalidAcl`] when it is empty, or when an entry has an unknown scheme or an id that its scheme
    /// does not accept. Also when an entry is `auth` and the client has not authenticated, or when the client's ids
    /// would make the ACL too long.
    pub fn fixup_acl(
        &self,
        auth_info: &[Id],
        acls: Option<Vec<ACL>>,
    ) -> Result<Vec<ACL>, KeeperError> {
        let mut acls = acls.unwrap_or_default();
        self.validate_acl(auth_info, &acls)?;
        remove_duplicates(&mut acls);
        if acls.iter().all(|acl| acl.id.scheme != AUTH) {
            return Ok(acls);
        }
        let own_bytes: usize = self
            .authenticated_ids(auth_info)
            .map(|id| size_of::<ACL>() + id.scheme.len() + id.id.len())
            .sum();
        let times = acls.iter().filter(|acl| acl.id.scheme == AUTH).count();
        if own_bytes.saturating_mul(times) > MAX_FIXED_BYTES {
            warn!(target: PREP_LOG, "An ACL names auth {times} times, for ids of {own_bytes} bytes: it is refused");
            return Err(KeeperError::InvalidAcl);
        }
        let mut fixed = Vec::with_capacity(acls.len());
        for acl in acls {
            if acl.id.scheme == AUTH {
                let own = self.authenticated_ids(auth_info);
                fixed.extend(own.map(|id| ACL { perms: acl.perms, id: id.clone() }));
            } else {
                fixed.push(acl);
            }
        }
        Ok(fixed)
    }

    /// Whether a client with these ids may set this ACL, apart from the length that [`fixup_acl`](Self::fixup_acl)
    /// limits.
    ///
    /// # Errors
    /// [`KeeperError::InvalidAcl`], as there.
    pub fn validate_acl(&self, auth_info: &[Id], acls: &[ACL]) -> Result<(), KeeperError> {
        if acls.is_empty() {
            return Err(KeeperError::InvalidAcl);
        }
        for acl in acls {
            debug!(target: PREP_LOG, "Processing ACL: {acl:?}");
            let is_valid = if is_anyone(&acl.id) {
                true
            } else if acl.id.scheme == AUTH {
                self.authenticated_ids(auth_info).next().is_some()
            } else {
                let provider = self.providers.server_provider(&acl.id.scheme);
                provider.is_some_and(|provider| provider.is_valid(&acl.id.id))
            };
            if !is_valid {
                return Err(KeeperError::InvalidAcl);
            }
        }
        Ok(())
    }

    /// The ids that authenticate the client.
    fn authenticated_ids<'a>(&self, auth_info: &'a [Id]) -> impl Iterator<Item = &'a Id> {
        auth_info.iter().filter(|id| match self.providers.server_provider(&id.scheme) {
            Some(provider) => provider.is_authenticated(),
            None => {
                error!(target: PREP_LOG, "Missing AuthenticationProvider for {}", id.scheme);
                false
            }
        })
    }

    /// A node's ACL as `getACL` shows it to a client with these ids (Java: within FinalRequestProcessor). Hashes of
    /// passwords are shown only to clients that may change the ACL.
    ///
    /// # Errors
    /// [`KeeperError::NoAuth`] when the client may neither read the node nor change its ACL.
    pub fn visible_acl(
        &self,
        acl: &[ACL],
        ids: &[Id],
        path: &str,
    ) -> Result<Vec<ACL>, KeeperError> {
        self.check_acl(acl, perms::READ | perms::ADMIN, ids, Some(path), None)?;
        let mut shown = acl.to_vec();
        if self.check_acl(acl, perms::ADMIN, ids, Some(path), None).is_err() {
            let of_passwords =
                |acl: &&mut ACL| acl.id.scheme == digest_authentication_provider::SCHEME;
            for acl in shown.iter_mut().filter(of_passwords) {
                acl.id.id = mask_digest(&acl.id.id);
            }
        }
        Ok(shown)
    }

    /// Processes an auth packet (Java: within ZooKeeperServer.processPacket): valid credentials add their ids to the
    /// connection. The caller answers, and does what else the outcome requires.
    pub fn authenticate(&self, packet: &AuthPacket, server_objs: ServerObjs<'_>) -> AuthOutcome {
        let scheme = &packet.scheme;
        let Some(provider) = self.providers.server_provider(scheme) else {
            warn!(
                target: LOG,
                "No authentication provider for scheme: {scheme} has {}",
                self.providers.list_providers()
            );
            return AuthOutcome::Refused;
        };
        let outcome = provider.handle_authentication(server_objs, packet.auth.as_deref());
        if outcome != AuthOutcome::Accepted {
            warn!(target: LOG, "Authentication failed for scheme: {scheme}");
        }
        outcome
    }

    /// Checks a write that will be sent to the leader against the ACLs that this server knows (Java:
    /// authWriteRequest). It is refused only if that is certain: a write that cannot be decoded, or that has an
    /// invalid path or a missing node, goes to the leader.
    ///
    /// # Errors
    /// [`KeeperError::NoAuth`] or [`KeeperError::InvalidAcl`]: the answer, with zxid 0.
    pub fn check_eagerly(
        &self,
        op: OpCode,
        payload: &[u8],
        limits: Limits,
        ids: &[Id],
        tree: &dyn AclSource,
    ) -> Result<(), KeeperError> {
        if !self.config.enable_eager_acl_check {
            return Ok(());
        }
        let Some(check) = EagerCheck::of_request(op, payload, limits, tree) else { return Ok(()) };
        if let Some(acls) = &check.set_acls {
            self.validate_acl(ids, acls.as_deref().unwrap_or_default())?;
        }
        let Some(acl) = tree.acl_of(&check.path) else {
            debug!(target: LOG, "ACL check against non-existent node: {}", check.path);
            return Ok(());
        };
        self.check_acl(&acl, check.perm, ids, Some(&check.path), None)
    }
}

/// What an eager check needs from the tree.
pub trait AclSource {
    /// A node's ACL; `None` when there is no node.
    fn acl_of(&self, path: &str) -> Option<Arc<[ACL]>>;

    /// Whether a path is a system node that no client may delete (Java: ZKDatabase.isSpecialPath).
    fn is_special_path(&self, path: &str) -> bool;
}

/// The permission that a write needs (Java: effectiveACLPath, effectiveACLPerms).
struct EagerCheck {
    path: String,
    perm: i32,
    /// The ACL that the write sets, if it sets one.
    set_acls: Option<Option<Vec<ACL>>>,
}

impl EagerCheck {
    /// `None` for requests that are not checked early.
    fn of_request(
        op: OpCode,
        payload: &[u8],
        limits: Limits,
        tree: &dyn AclSource,
    ) -> Option<Self> {
        let mut archive = BinaryInputArchive::new(payload, limits);
        Some(match op {
            OpCode::Create | OpCode::Create2 => {
                let request = CreateRequest::deserialize(&mut archive).ok()?;
                let path = parent_path(&request.path, tree)?;
                Self { path, perm: perms::CREATE, set_acls: Some(request.acl) }
            }
            OpCode::Delete => {
                let request = DeleteRequest::deserialize(&mut archive).ok()?;
                let path = parent_path(&request.path, tree)?;
                Self { path, perm: perms::DELETE, set_acls: None }
            }
            OpCode::SetData => {
                let request = SetDataRequest::deserialize(&mut archive).ok()?;
                Self { path: request.path, perm: perms::WRITE, set_acls: None }
            }
            OpCode::SetAcl => {
                let request = SetACLRequest::deserialize(&mut archive).ok()?;
                Self { path: request.path, perm: perms::ADMIN, set_acls: Some(request.acl) }
            }
            _ => return None,
        })
    }
}

/// The parent of a path that a client may create or delete.
fn parent_path(path: &str, tree: &dyn AclSource) -> Option<String> {
    let last_slash = path.rfind('/')?;
    if path.contains('\0') || tree.is_special_path(path) {
        debug!(target: LOG, "ACL check against illegal node path: {path}");
        return None;
    }
    Some(if last_slash == 0 { "/".into() } else { path[..last_slash].to_owned() })
}

/// Keeps only the first of equal entries (Java: PrepRequestProcessor.removeDuplicates).
fn remove_duplicates(acls: &mut Vec<ACL>) {
    if acls.len() < 2 {
        return;
    }
    let mut seen = HashSet::with_capacity(acls.len());
    let is_first: Vec<bool> = acls
        .iter()
        .map(|acl| seen.insert((acl.perms, acl.id.scheme.as_str(), acl.id.id.as_str())))
        .collect();
    let mut is_first = is_first.into_iter();
    acls.retain(|_| is_first.next().unwrap_or(true));
}

/// A digest id with `x` in place of the hash (Java: `replaceAll(":.*", ":x")`, which works line by line).
fn mask_digest(id: &str) -> String {
    const LINE_ENDS: [char; 5] = ['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'];
    id.split_inclusive(LINE_ENDS)
        .map(|line| match line.split_once(':') {
            Some((user, rest)) => {
                let end = rest.find(LINE_ENDS).map_or("", |at| &rest[at..]);
                format!("{user}:x{end}")
            }
            None => line.to_owned(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::auth::server_authentication_provider::fakes::Fake;
    use crate::zoo_defs::ids;

    const BOB: &str = "bob:ZLnpyJBWh1VZxyRoQkI2cRg/9PM=";

    fn id(scheme: &str, id: &str) -> Id {
        Id { scheme: scheme.into(), id: id.into() }
    }

    fn acl(perms: i32, scheme: &str, id_text: &str) -> ACL {
        ACL { perms, id: id(scheme, id_text) }
    }

    fn access() -> AccessControl {
        AccessControl::new(AccessConfig::default(), Arc::new(ProviderRegistry::default()))
    }

    fn eager() -> AccessControl {
        let config = AccessConfig { enable_eager_acl_check: true, ..AccessConfig::default() };
        AccessControl { config, ..access() }
    }

    #[test]
    fn a_long_acl_allows_many_ids_as_a_short_one_allows_few() {
        let access = access();
        let digests = |from: usize, to: usize| (from..to).map(|n| id("digest", &format!("u{n}:h")));
        let entry = |id: Id| ACL { perms: perms::READ, id };
        let node: Vec<ACL> =
            digests(0, 400).map(entry).chain([acl(perms::READ, "ip", "10.0.0.0/8")]).collect();
        let strangers: Vec<Id> = digests(1_000, 1_400).collect();
        let with = |more: Id| strangers.iter().cloned().chain([more]).collect::<Vec<Id>>();
        assert!(node.len() * strangers.len() > MANY_PAIRS);
        for (ids, perm, is_allowed) in [
            (strangers.clone(), perms::READ, false),
            (with(id("digest", "u399:h")), perms::READ, true),
            (with(id("digest", "u399:h")), perms::WRITE, false),
            (with(id("ip", "10.1.2.3")), perms::READ, true),
            (with(id("ip", "11.1.2.3")), perms::READ, false),
        ] {
            let found = access.check_acl(&node, perm, &ids, None, None).is_ok();
            assert_eq!(found, is_allowed, "{:?}", ids.last());
        }
    }

    #[test]
    fn an_acl_allows_whom_one_of_its_entries_means() {
        let read_by_address = acl(perms::READ, "ip", "10.0.0.0/8");
        let all_by_bob = acl(perms::ALL, "digest", BOB);
        let node = [read_by_address, all_by_bob];
        let from_ten = id("ip", "10.1.2.3");
        let from_eleven = id("ip", "11.1.2.3");
        let bob = id("digest", BOB);
        for (acl, perm, ids, allowed) in [
            (&[][..], perms::ADMIN, vec![], true),
            (&ids::open_acl_unsafe(), perms::ADMIN, vec![], true),
            (&ids::read_acl_unsafe(), perms::WRITE, vec![], false),
            (&node, perms::READ, vec![from_ten.clone()], true),
            (&node, perms::READ, vec![from_eleven.clone()], false),
            (&node, perms::WRITE, vec![from_ten], false),
            (&node, perms::WRITE | perms::READ, vec![id("ip", "10.9.9.9")], true),
            (&node, perms::WRITE, vec![from_eleven.clone(), bob], true),
            (&node, perms::WRITE, vec![from_eleven, id("super", "")], true),
            (&[acl(perms::ALL, "odd", "x")], perms::READ, vec![id("odd", "x")], false),
            (&[acl(perms::ALL, "world", "x")], perms::READ, vec![id("world", "x")], false),
        ] {
            let result = access().check_acl(acl, perm, &ids, None, None);
            assert_eq!(result.is_ok(), allowed, "{acl:?} {perm} {ids:?}");
        }
    }

    #[test]
    fn skip_acl_is_the_word_yes_and_nothing_else() {
        for (value, skips) in [("yes", true), ("true", false), ("YES", false)] {
            let properties = SystemProperties::from_pairs([(SKIP_ACL, value)]);
            let config = AccessConfig::from_properties(&properties);
            let access = AccessControl { config, ..access() };
            let result = access.check_acl(&[acl(0, "ip", "1.1.1.1")], perms::READ, &[], None, None);
            assert_eq!(result.is_ok(), skips, "{value}");
        }
    }

    #[test]
    fn an_acl_that_is_set_has_no_duplicates_and_the_clients_own_ids_for_auth() {
        let client = [id("ip", "10.1.2.3"), id("digest", BOB), id("digest", "eve:h")];
        let anyone = acl(perms::READ, "world", "anyone");
        let auth = acl(perms::ALL, "auth", "");
        let set = vec![anyone.clone(), auth.clone(), anyone.clone(), auth];
        assert_eq!(
            access().fixup_acl(&client, Some(set)),
            Ok(vec![anyone, acl(perms::ALL, "digest", BOB), acl(perms::ALL, "digest", "eve:h")])
        );
    }

    #[test]
    fn an_acl_that_would_become_a_giant_is_refused() {
        let client = [id("digest", &format!("bob:{}", "h".repeat(60_000)))];
        let set = |times| (1..=times).map(|perms| acl(perms, "auth", "")).collect();
        assert_eq!(access().fixup_acl(&client, Some(set(17))).unwrap().len(), 17);
        let giant = access().fixup_acl(&client, Some(set(18)));
        assert_eq!(giant, Err(KeeperError::InvalidAcl));
    }

    #[test]
    fn an_acl_that_cannot_be_is_refused() {
        let client = [id("ip", "10.1.2.3"), id("super", "")];
        for set in [
            None,
            Some(vec![]),
            Some(vec![acl(1, "auth", "")]),
            Some(vec![acl(1, "world", "everybody")]),
            Some(vec![acl(1, "digest", "nohash")]),
            Some(vec![acl(1, "ip", "localhost")]),
            Some(vec![acl(1, "sasl", "bob")]),
            Some(vec![acl(1, "", "")]),
            Some(vec![acl(1, "world", "anyone"), acl(1, "super", "")]),
        ] {
            let result = access().fixup_acl(&client, set.clone());
            assert_eq!(result, Err(KeeperError::InvalidAcl), "{set:?}");
        }
    }

    #[test]
    fn hashes_are_shown_to_those_who_may_change_them() {
        let node = [acl(perms::READ, "world", "anyone"), acl(perms::ALL, "digest", BOB)];
        let masked = [acl(perms::READ, "world", "anyone"), acl(perms::ALL, "digest", "bob:x")];
        let access = access();
        assert_eq!(access.visible_acl(&node, &[], "/a").unwrap(), masked);
        assert_eq!(access.visible_acl(&node, &[id("digest", BOB)], "/a").unwrap(), node);
        assert_eq!(access.visible_acl(&node[1..], &[], "/a"), Err(KeeperError::NoAuth));
    }

    #[test]
    fn a_digest_is_masked_as_javas_expression_does_it() {
        for (id, masked) in [
            ("bob:hash", "bob:x"),
            ("bob:", "bob:x"),
            ("bob", "bob"),
            ("a:b:c", "a:x"),
            ("a:b\nc:d\re", "a:x\nc:x\re"),
        ] {
            assert_eq!(mask_digest(id), masked);
        }
    }

    #[test]
    fn an_auth_packet_of_an_unknown_scheme_is_refused() {
        let fake = Fake::default();
        let packet = |scheme: &str, auth: &str| AuthPacket {
            scheme: scheme.into(),
            auth: Some(auth.into()),
            ..AuthPacket::default()
        };
        let access = access();
        assert_eq!(access.authenticate(&packet("odd", ""), fake.objs()), AuthOutcome::Refused);
        let outcome = access.authenticate(&packet("digest", "bob:pa:ss"), fake.objs());
        assert_eq!(outcome, AuthOutcome::Accepted);
        assert_eq!(fake.texts(), [format!("digest:{BOB}")]);
    }

    /// `/` and `/open` are open, `/closed` is bob's.
    struct Tree;

    impl AclSource for Tree {
        fn acl_of(&self, path: &str) -> Option<Arc<[ACL]>> {
            match path {
                "/" | "/open" => Some(ids::open_acl_unsafe().into()),
                "/closed" => Some([acl(perms::ALL, "digest", BOB)].into()),
                _ => None,
            }
        }
        fn is_special_path(&self, path: &str) -> bool {
            path == "/zookeeper"
        }
    }

    fn create(path: &str, acl: Option<Vec<ACL>>) -> Vec<u8> {
        CreateRequest { path: path.into(), acl, ..CreateRequest::default() }.to_bytes()
    }

    #[test]
    fn only_what_is_certain_is_refused_early() {
        let open = || Some(ids::open_acl_unsafe());
        let bad = || Some(vec![acl(1, "odd", "")]);
        let delete = |path: &str| DeleteRequest { path: path.into(), version: -1 }.to_bytes();
        let set =
            |path: &str| SetDataRequest { path: path.into(), ..Default::default() }.to_bytes();
        let set_acl = |path: &str, acl| {
            SetACLRequest { path: path.into(), acl, ..Default::default() }.to_bytes()
        };
        for (op, payload, result) in [
            (OpCode::Create, create("/a", open()), Ok(())),
            (OpCode::Create2, create("/a", bad()), Err(KeeperError::InvalidAcl)),
            (OpCode::Create, create("/a", None), Err(KeeperError::InvalidAcl)),
            (OpCode::Create, create("/closed/a", open()), Err(KeeperError::NoAuth)),
            (OpCode::Create, create("/missing/a", open()), Ok(())),
            (OpCode::Create, create("a", bad()), Ok(())),
            (OpCode::Create, create("/a\0", bad()), Ok(())),
            (OpCode::Create, vec![1, 2, 3], Ok(())),
            (OpCode::CreateContainer, create("/closed/a", bad()), Ok(())),
            (OpCode::Delete, delete("/closed/a"), Err(KeeperError::NoAuth)),
            (OpCode::Delete, delete("/closed"), Ok(())),
            (OpCode::Delete, delete("/zookeeper"), Ok(())),
            (OpCode::SetData, set("/closed"), Err(KeeperError::NoAuth)),
            (OpCode::SetData, set("/open"), Ok(())),
            (OpCode::SetAcl, set_acl("/open", bad()), Err(KeeperError::InvalidAcl)),
            (OpCode::SetAcl, set_acl("/closed", open()), Err(KeeperError::NoAuth)),
            (OpCode::GetData, set("/closed"), Ok(())),
        ] {
            let check = |access: AccessControl| {
                access.check_eagerly(op, &payload, Limits::default(), &[], &Tree)
            };
            assert_eq!(check(eager()), result, "{op:?} {payload:?}");
            assert_eq!(check(access()), Ok(()), "switched off: {op:?}");
        }
    }
}
