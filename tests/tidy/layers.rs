//! The layers inside `server` and inside `server::quorum` (no Java twin).
//!
//! A module uses modules of lower ranks and of its own group. Groups of one rank do not use each other. What is below
//! both, such as storage, has no layers (see `modules`).

use super::lexer::Source;
use super::modules::{Level, level, module_of, paths, resolve};

/// A rank, the name of a group of that rank, and its modules: a file or package with all that is in it. The longest
/// name that fits a module counts.
type Layer = (u8, &'static str, &'static [&'static str]);

/// The modules of `server` that are not of storage and not of `server::quorum`.
const SERVER: &[Layer] = &[
    (
        0,
        "tools",
        &[
            "blue_throttle",
            "buffer_stats",
            "cnxn_stats",
            "committed_log",
            "connection_limits",
            "container_manager",
            "datadir_cleanup_manager",
            "descriptor_reserve",
            "disk_speed",
            "expiry_queue",
            "fair_queue",
            "large_requests",
            "memory_account",
            "processor_queue",
            "purge_txn_log",
            "request_throttler",
            "server_config",
            "server_stats",
            "session_password",
            "sessions_with_timeouts",
            "snapshot_formatter",
            "strangers",
            "util",
            "worker_service",
            "zookeeper_server_conf",
        ],
    ),
    (1, "authentication", &["auth", "authentication_helper", "util::auth_util"]),
    (1, "four-letter words", &["command", "first_bytes"]),
    (1, "sessions", &["session_tracker", "session_tracker_impl"]),
    (
        1,
        "answers of the AdminServer",
        &[
            "admin::auth_request",
            "admin::command_response",
            "admin::http_message",
            "admin::json_outputter",
            "admin::stream_outputter",
        ],
    ),
    (2, "settings", &["server_settings"]),
    (2, "HTTP", &["admin::http_server"]),
    (2, "what commands see", &["admin::admin_context"]),
    (
        3,
        "AdminServer",
        &[
            "admin::admin_server",
            "admin::admin_server_factory",
            "admin::commands",
            "admin::dummy_admin_server",
            "admin::http_admin_server",
        ],
    ),
    (3, "connection", &["server_cnxn", "server_cnxn_factory"]),
    (4, "request", &["request", "request_processor"]),
    (5, "database", &["txn_log_proposal_iterator", "zk_database"]),
    (5, "role", &["server_role"]),
    (6, "server", &["zookeeper_server"]),
    (
        7,
        "processors",
        &["final_request_processor", "prep_request_processor", "sync_request_processor"],
    ),
    (
        8,
        "sockets",
        &[
            "blocking_server_cnxn",
            "client_socket",
            "cnxn_socket",
            "nio_server_cnxn",
            "nio_server_cnxn_factory",
        ],
    ),
    (9, "main", &["zookeeper_server_main"]),
];

/// The modules of `server::quorum`.
const QUORUM: &[Layer] = &[
    (
        0,
        "types",
        &["epochs", "multiple_addresses", "quorum_server", "state_summary", "states", "vote"],
    ),
    (1, "verifiers", &["flexible", "synced_learner_tracker"]),
    (2, "settings", &["quorum_peer_config", "quorum_peer_settings"]),
    (
        2,
        "wire",
        &["leader_link", "learner_info", "learner_sync_request", "packet_output", "quorum_packet"],
    ),
    (3, "election", &["election", "fast_leader_election", "quorum_cnx_manager"]),
    (
        3,
        "sessions and processors",
        &[
            "commit_processor",
            "leader_request_processor",
            "leader_session_tracker",
            "learner_session_tracker",
            "learner_sync_throttler",
            "local_session_tracker",
            "quorum_zookeeper_server",
            "read_only_request_processor",
            "upgradeable_session_tracker",
        ],
    ),
    (4, "peer and leader as their servers see them", &["proposer", "role_peer"]),
    (
        5,
        "server of a leader",
        &[
            "ack_request_processor",
            "leader_zookeeper_server",
            "proposal_request_processor",
            "to_be_applied_request_processor",
        ],
    ),
    (5, "server of a learner", &["learner_zookeeper_server", "send_ack_request_processor"]),
    (5, "server without a leader", &["read_only_zookeeper_server"]),
    (6, "masters of learners", &["epoch_agreement", "learner_handler", "learner_master"]),
    (7, "leader", &["leader"]),
    (
        7,
        "learner",
        &[
            "follower",
            "follower_request_processor",
            "follower_zookeeper_server",
            "learner",
            "observer",
            "observer_master",
            "observer_request_processor",
            "observer_zookeeper_server",
        ],
    ),
    (8, "peer", &["quorum_peer"]),
    (9, "main", &["quorum_peer_main"]),
];

/// The package of a module that has layers: how many names lead to it, and the layers.
fn layers_of(module: &[String]) -> Option<(usize, &'static [Layer])> {
    let (depth, layers) = match level(module) {
        Level::Quorum => (2, QUORUM),
        Level::Server if module.first().is_some_and(|name| name == "server") => (1, SERVER),
        _ => return None,
    };
    (module.len() > depth).then_some((depth, layers))
}

/// The layer of a module, by its names below the package that has layers.
fn layer_of<'a>(layers: &'a [Layer], names: &[String]) -> Option<&'a Layer> {
    let named = |length: usize| names[..length].join("::");
    let lengths = (1..=names.len()).rev();
    lengths
        .map(named)
        .find_map(|name| layers.iter().find(|(_, _, modules)| modules.contains(&name.as_str())))
}

/// Checks that a module uses only what is below it or in its group.
pub(crate) fn layer(source: &Source) -> Vec<(usize, String)> {
    // A `mod.rs` only lists the modules of its package.
    let own = module_of(&source.path).filter(|_| !source.path.ends_with("mod.rs"));
    let Some(own) = own else { return Vec::new() };
    let Some((depth, layers)) = layers_of(&own) else { return Vec::new() };
    let in_no_layer = |names: &[String]| {
        format!("{} is in no layer: add it to tests/tidy/layers.rs", names.join("::"))
    };
    let Some((own_rank, own_group, _)) = layer_of(layers, &own[depth..]) else {
        return vec![(1, in_no_layer(&own))];
    };
    let mut faults = Vec::new();
    for (line, path) in paths(source.product_code()) {
        let Some(used) = resolve(&own, &path) else { continue };
        if layers_of(&used).is_none_or(|(of_used, _)| of_used != depth) {
            continue;
        }
        match layer_of(layers, &used[depth..]) {
            None => faults.push((line, in_no_layer(&used))),
            Some((rank, group, _)) if rank > own_rank || rank == own_rank && group != own_group => {
                let place = if rank > own_rank { "above" } else { "beside" };
                faults.push((
                    line,
                    format!(
                        "{} ({group}, {rank}) is {place} {own_group} ({own_rank})",
                        used.join("::")
                    ),
                ));
            }
            Some(_) => {}
        }
    }
    faults
}

#[test]
fn every_layer_names_modules_that_exist() {
    let packages = [("src/server", SERVER), ("src/server/quorum", QUORUM)];
    for (package, layers) in packages {
        let mut names: Vec<&str> =
            layers.iter().flat_map(|(_, _, modules)| *modules).copied().collect();
        for name in &names {
            let file = super::documents::root().join(package).join(name.replace("::", "/"));
            let exists = file.is_dir() || file.with_extension("rs").is_file();
            assert!(exists, "there is no {name} in {package}");
        }
        let listed = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), listed, "a module of {package} is listed twice");
    }
}
