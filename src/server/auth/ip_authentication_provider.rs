//! Scheme `ip`: the address of the client (Java: server/auth/IPAuthenticationProvider.java).
//!
//! Every connection has such an id. An ACL entry is an IPv4 or IPv6 address, optionally with the number of
//! leading bits to compare. Unlike in Java, the id of a link-local IPv6 client has no zone (`%eth0`), because
//! an id with a zone matches no entry.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use log::{trace, warn};

use super::authentication_provider::{
    AuthConnection, AuthOutcome, AuthenticationProvider, HttpAuthRequest,
};
use crate::common::net_utils;
use crate::common::zk_config::SystemProperties;
use crate::data::Id;
use crate::keeper_exception::KeeperError;

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.auth.IPAuthenticationProvider";

/// The scheme for addresses.
pub(crate) const SCHEME: &str = "ip";

const USE_X_FORWARDED_FOR: &str = "zookeeper.IPAuthenticationProvider.usexforwardedfor";

/// The provider of the scheme `ip`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct IpAuthenticationProvider {
    use_x_forwarded_for: bool,
}

impl IpAuthenticationProvider {
    /// Creates a provider. It trusts the proxy header if the setting says so; this only affects the
    /// AdminServer.
    #[must_use]
    pub(crate) fn from_properties(properties: &SystemProperties) -> Self {
        Self { use_x_forwarded_for: properties.bool(USE_X_FORWARDED_FOR) }
    }

    /// The client's address of an admin command (Java: getClientIPAddress). This is the first address of the
    /// header if the header is trusted.
    #[must_use]
    pub(crate) fn client_ip_address(self, request: &HttpAuthRequest<'_>) -> Option<String> {
        match request.x_forwarded_for {
            Some(header) if self.use_x_forwarded_for => {
                header.split(',').find(|part| !part.is_empty()).map(|part| part.trim().to_owned())
            }
            _ => Some(host_address(request.remote_ip)),
        }
    }
}

/// The id of a connection from this address.
#[must_use]
pub(crate) fn id_of(ip: IpAddr) -> Id {
    Id { scheme: SCHEME.into(), id: host_address(ip) }
}

/// An address in Java's spelling (InetAddress.getHostAddress): IPv6 with all eight groups, and an IPv4-mapped
/// IPv6 address as IPv4.
#[must_use]
pub(crate) fn host_address(ip: IpAddr) -> String {
    net_utils::host_address(ip.to_canonical())
}

fn to_address(text: &str) -> Option<IpAddr> {
    if text.contains(':') {
        return match v6_address(text) {
            Ok(address) => Some(address.into()),
            Err(reason) => {
                warn!(target: LOG, "Fail to parse {text} as IPv6 address: {reason}");
                None
            }
        };
    }
    if text.contains('.') {
        return v4_address(text).map(IpAddr::from);
    }
    warn!(target: LOG, "Input string does not resemble an IPv4 or IPv6 address: {text}");
    None
}

/// Parses four numbers. Like Java, it accepts a sign before each.
fn v4_address(text: &str) -> Option<Ipv4Addr> {
    let mut bytes = [0; 4];
    let mut parts = text.split('.');
    for byte in &mut bytes {
        *byte = parts.next()?.parse::<i32>().ok().and_then(|number| u8::try_from(number).ok())?;
    }
    parts.next().is_none().then(|| bytes.into())
}

/// The number of groups of an IPv6 address.
const V6_GROUPS: usize = 8;

/// Parses eight groups of up to four hex digits, or fewer with one `::` (Java: parseV6addr). It accepts no IPv4
/// suffix and no zone.
fn v6_address(text: &str) -> Result<Ipv6Addr, &'static str> {
    let mut halves = text.split("::");
    let groups = |half: Option<&str>| match half {
        Some(half) if !half.is_empty() => half.split(':').map(v6_group).collect(),
        _ => Ok(Vec::new()),
    };
    let first = halves.next();
    let second = halves.next();
    if halves.next().is_some() {
        return Err("too many '::'");
    }
    let (before, after) = (groups(first)?, groups(second)?);
    if second.is_none() && before.len() != V6_GROUPS {
        return Err("wrong number of segments");
    }
    if second.is_some() && before.len() + after.len() >= V6_GROUPS {
        return Err("too many segments");
    }
    let mut all = [0; V6_GROUPS];
    all[..before.len()].copy_from_slice(&before);
    all[V6_GROUPS - after.len()..].copy_from_slice(&after);
    Ok(all.into())
}

/// Parses up to four characters. Like Java, it accepts a sign as one of them and wraps a negative group to
/// two's complement.
fn v6_group(text: &str) -> Result<u16, &'static str> {
    if text.is_empty() {
        return Err("empty segment");
    }
    if text.len() > 4 {
        return Err("segment too long");
    }
    let number =
        i32::from_str_radix(text, 16).map_err(|_| "invalid hexadecimal characters in segment")?;
    let [.., high, low] = number.to_be_bytes();
    Ok(u16::from_be_bytes([high, low]))
}

/// Parses an ACL entry into an address and the number of bits to compare.
fn to_expression(acl_expr: &str) -> Option<(IpAddr, u32)> {
    let (address, bits) = match acl_expr.split_once('/') {
        Some((address, bits)) => (address, Some(bits)),
        None => (acl_expr, None),
    };
    let address = to_address(address)?;
    let width = if address.is_ipv4() { Ipv4Addr::BITS } else { Ipv6Addr::BITS };
    let bits = match bits {
        Some(bits) => {
            let bits = bits.parse::<i32>().ok().and_then(|bits| u32::try_from(bits).ok())?;
            (bits <= width).then_some(bits)?
        }
        None => width,
    };
    Some((address, bits))
}

impl AuthenticationProvider for IpAuthenticationProvider {
    fn scheme(&self) -> &'static str {
        SCHEME
    }

    fn handle_authentication(
        &self,
        cnxn: &dyn AuthConnection,
        _auth_data: Option<&[u8]>,
    ) -> AuthOutcome {
        let Some(ip) = cnxn.remote_ip() else { return AuthOutcome::Refused };
        cnxn.add_auth_info(id_of(ip));
        AuthOutcome::Accepted
    }

    fn handle_http_authentication(
        &self,
        request: &HttpAuthRequest<'_>,
        _auth_data: Option<&[u8]>,
    ) -> Result<Vec<Id>, KeeperError> {
        let id = self.client_ip_address(request).ok_or(KeeperError::AuthFailed)?;
        Ok(vec![Id { scheme: SCHEME.into(), id }])
    }

    fn matches(&self, id: &str, acl_expr: &str) -> bool {
        trace!(target: LOG, "id: '{id}' aclExpr:  {acl_expr}");
        let Some((allowed, bits)) = to_expression(acl_expr) else { return false };
        match (allowed, to_address(id)) {
            (IpAddr::V4(allowed), Some(IpAddr::V4(remote))) => {
                let differ = allowed.to_bits() ^ remote.to_bits();
                differ.checked_shr(Ipv4Addr::BITS - bits).unwrap_or(0) == 0
            }
            (IpAddr::V6(allowed), Some(IpAddr::V6(remote))) => {
                let differ = allowed.to_bits() ^ remote.to_bits();
                differ.checked_shr(Ipv6Addr::BITS - bits).unwrap_or(0) == 0
            }
            _ => false,
        }
    }

    fn is_authenticated(&self) -> bool {
        false
    }

    fn is_valid(&self, id: &str) -> bool {
        to_expression(id).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each row comes from Java 3.9.5: an entry, whether it is valid, and which of the clients below it
    /// matches.
    #[test]
    fn entries_mean_the_clients_that_java_says() {
        let clients =
            ["10.1.2.3", "0:0:0:0:0:0:0:1", "2001:db8:0:0:0:0:0:5", "fe80:0:0:0:0:0:0:1%eth0"];
        let provider = IpAuthenticationProvider::default();
        for (entry, valid, means) in [
            ("10.1.2.3", true, "TFFF"),
            ("10.1.2.4", true, "FFFF"),
            ("10.1.2.0/24", true, "TFFF"),
            ("10.1.2.128/25", true, "FFFF"),
            ("10.1.0.0/15", true, "TFFF"),
            ("0.0.0.0/0", true, "TFFF"),
            ("10.1.2.3/32", true, "TFFF"),
            ("10.1.2.3/33", false, "FFFF"),
            ("10.1.2.3/", false, "FFFF"),
            ("10.1.2.3/-1", false, "FFFF"),
            ("10.1.2.3/x", false, "FFFF"),
            ("+10.1.2.3", true, "TFFF"),
            ("10.1.2", false, "FFFF"),
            ("10.1.2.3.4", false, "FFFF"),
            ("10.1.2.256", false, "FFFF"),
            ("::1", true, "FTFF"),
            ("::1/128", true, "FTFF"),
            ("::1/129", false, "FFFF"),
            ("::/0", true, "FTTF"),
            ("2001:db8::/32", true, "FFTF"),
            ("2001:db8::5", true, "FFTF"),
            ("2001:db9::/31", true, "FFTF"),
            ("2001:db8:0:0::0:5", true, "FFTF"),
            ("1:2:3:4:5:6:7", false, "FFFF"),
            ("1:2:3:4:5:6:7:8:9", false, "FFFF"),
            ("1::2::3", false, "FFFF"),
            (":::", false, "FFFF"),
            ("::12345", false, "FFFF"),
            ("::g", false, "FFFF"),
            ("::-1", true, "FFFF"),
            ("::+1", true, "FTFF"),
            ("1:2:3:4:5:6:7::", true, "FFFF"),
            ("::1.2.3.4", false, "FFFF"),
            ("localhost", false, "FFFF"),
            ("", false, "FFFF"),
            ("10.1.2.3/+24", true, "TFFF"),
            ("-0.0.0.0/0", true, "TFFF"),
            ("::1/0x1", false, "FFFF"),
        ] {
            assert_eq!(AuthenticationProvider::is_valid(&provider, entry), valid, "{entry:?}");
            let matched = clients.map(|client| {
                if AuthenticationProvider::matches(&provider, client, entry) { 'T' } else { 'F' }
            });
            assert_eq!(String::from_iter(matched), means, "{entry:?}");
        }
    }

    #[test]
    fn addresses_are_written_as_java_writes_them() {
        for (ip, text) in [
            ("10.0.0.1", "10.0.0.1"),
            ("2001:db8::a:0:5", "2001:db8:0:0:0:a:0:5"),
            ("::ffff:1.2.3.4", "1.2.3.4"),
            ("::1", "0:0:0:0:0:0:0:1"),
        ] {
            assert_eq!(host_address(ip.parse().unwrap()), text);
        }
    }

    #[test]
    fn the_header_of_proxies_counts_only_when_it_is_switched_on() {
        let on = IpAuthenticationProvider { use_x_forwarded_for: true };
        let off = IpAuthenticationProvider::default();
        for (provider, header, address) in [
            (off, Some("1.2.3.4"), Some("127.0.0.1")),
            (on, None, Some("127.0.0.1")),
            (on, Some("1.2.3.4, 5.6.7.8"), Some("1.2.3.4")),
            (on, Some(", a ,b"), Some("a")),
            (on, Some(",,"), None),
        ] {
            let request =
                HttpAuthRequest { remote_ip: [127, 0, 0, 1].into(), x_forwarded_for: header };
            assert_eq!(provider.client_ip_address(&request).as_deref(), address, "{header:?}");
        }
    }
}
