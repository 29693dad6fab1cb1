//! Commands about the server's role in its ensemble (Java: IsroCommand, LeaderCommand,
//! ObserverCnxnStatResetCommand, RuokCommand, SyncedObserverConsCommand, VotingViewCommand and ZabStateCommand
//! of server/admin/Commands.java).

use super::super::command_response::CommandResponse;
use super::super::http_message::Status;
use super::super::json_outputter::Json;
use super::{Commands, Kwargs};
use crate::server::admin::admin_context::{
    AdminContext, EnsembleContext, MemberView, ObserversView,
};

/// `ruok`: an empty answer, which shows that the server is running.
pub(super) fn are_you_ok(
    _commands: &Commands,
    _server: &dyn AdminContext,
    _kwargs: &Kwargs,
    _response: &mut CommandResponse,
) {
}

/// `is_read_only`: whether the server is read-only.
pub(super) fn is_read_only(
    _commands: &Commands,
    server: &dyn AdminContext,
    _kwargs: &Kwargs,
    response: &mut CommandResponse,
) {
    response.put("read_only", server.is_read_only());
}

/// `leader`: the current leader.
pub(super) fn leader(
    _commands: &Commands,
    server: &dyn AdminContext,
    _kwargs: &Kwargs,
    response: &mut CommandResponse,
) {
    match server.ensemble().map(EnsembleContext::leader) {
        Some(view) => {
            response.put("is_leader", view.is_leader);
            response.put("leader_id", view.leader_id);
            response.put("leader_ip", view.leader_address.unwrap_or_default());
        }
        None => response.put("error", "server is not initialized"),
    }
}

/// `observers`: the observers that are synced with this server.
pub(super) fn observers(
    _commands: &Commands,
    server: &dyn AdminContext,
    _kwargs: &Kwargs,
    response: &mut CommandResponse,
) {
    let none = ObserversView { synced_observers: 0, observers: Vec::new() };
    let view = server.ensemble().and_then(EnsembleContext::observers).unwrap_or(none);
    response.put("synced_observers", view.synced_observers);
    response.put("observers", Json::List(view.observers));
}

/// `observer_connection_stat_reset`: resets the statistics of the observers' connections.
pub(super) fn reset_observers(
    _commands: &Commands,
    server: &dyn AdminContext,
    _kwargs: &Kwargs,
    _response: &mut CommandResponse,
) {
    if let Some(ensemble) = server.ensemble() {
        ensemble.reset_observer_connection_stats();
    }
}

/// `learner_master`: the server that this observer follows. With `to`, the observer moves to another observer master,
/// named by its id, its IP address, or its IP address and port (no Java twin: the attribute LearnerMaster of the
/// ObserverMXBean).
pub(super) fn learner_master(
    _commands: &Commands,
    server: &dyn AdminContext,
    kwargs: &Kwargs,
    response: &mut CommandResponse,
) {
    let Some(ensemble) = server.ensemble() else {
        response.put("learner_master_id", -1_i64);
        return;
    };
    if let Some((_, desired)) = kwargs.iter().find(|(name, _)| name == "to")
        && !ensemble.set_learner_master(desired)
    {
        response.set_status(Status::BAD_REQUEST);
        response.put("reason", "Not a valid learner master");
    }
    response.put("learner_master_id", ensemble.learner_master().unwrap_or(-1));
}

/// `voting_view`: the voters.
pub(super) fn voting_view(
    _commands: &Commands,
    server: &dyn AdminContext,
    _kwargs: &Kwargs,
    response: &mut CommandResponse,
) {
    let voters = server.ensemble().map(EnsembleContext::voting_view).unwrap_or_default();
    let voters = voters.into_iter().map(|(id, view)| (id.to_string(), member(view)));
    response.put("current_config", Json::Object(voters.collect()));
}

fn member(view: MemberView) -> Json {
    let list = |texts: Vec<String>| Json::List(texts.into_iter().map(Json::from).collect());
    Json::object([
        ("server_addresses", list(view.server_addresses)),
        ("election_addresses", list(view.election_addresses)),
        ("client_address", view.client_address.into()),
        ("learner_type", if view.is_participant { "participant" } else { "observer" }.into()),
    ])
}

/// `zabstate`: the phase of the ZAB protocol.
pub(super) fn zab_state(
    _commands: &Commands,
    server: Option<&dyn AdminContext>,
    _kwargs: &Kwargs,
    response: &mut CommandResponse,
) {
    let known = server
        .and_then(|server| Some((server.ensemble()?.zab_state(), server.last_processed_zxid())));
    let Some((view, last_zxid)) = known else {
        response.put("voting", false);
        response.put("zabstate", "");
        return;
    };
    response.put("myid", view.my_id);
    response.put("is_leader", view.is_leader);
    response.put("quorum_address", view.learner_address);
    response.put("election_address", view.election_address);
    response.put("client_address", view.client_address);
    response.put("voting", view.voting);
    response.put("last_zxid", last_zxid.to_string());
    response.put("zab_epoch", last_zxid.epoch());
    response.put("zab_counter", last_zxid.counter());
    response.put("zabstate", view.zab_state);
}
