//! Commands about settings and tracing (Java: ConfCommand, EnvCommand, InitialConfigurationCommand,
//! SystemPropertiesCommand, GetTraceMaskCommand and SetTraceMaskCommand of
//! server/admin/Commands.java).
//!
//! Java shows passwords to everybody who can reach the port. Here the values of settings with names that
//! suggest a secret are replaced.

use std::collections::BTreeMap;

use super::super::command_response::CommandResponse;
use super::super::json_outputter::Json;
use super::{Commands, Kwargs};
use crate::environment;
use crate::server::admin::admin_context::AdminContext;
use crate::server::zoo_trace;
use crate::server::zookeeper_server_conf::ConfValue;

/// The text that replaces a secret.
const HIDDEN: &str = "***";

/// `configuration`: the settings in use.
pub(super) fn configuration(
    _commands: &Commands,
    server: &dyn AdminContext,
    _kwargs: &Kwargs,
    response: &mut CommandResponse,
) {
    for (name, value) in server.conf().to_map() {
        let value = match value {
            ConfValue::Number(number) => Json::Long(number),
            ConfValue::Text(text) => Json::Text(text),
        };
        response.put(name, value);
    }
}

/// `environment`: the environment of the process.
pub(super) fn environment(
    _commands: &Commands,
    _server: Option<&dyn AdminContext>,
    _kwargs: &Kwargs,
    response: &mut CommandResponse,
) {
    for entry in environment::list() {
        response.put(entry.key, entry.value);
    }
}

/// `initial_configuration`: the text of zoo.cfg.
pub(super) fn initial_configuration(
    _commands: &Commands,
    server: &dyn AdminContext,
    _kwargs: &Kwargs,
    response: &mut CommandResponse,
) {
    let config = server.initial_config();
    let lines = config.split_inclusive('\n').map(|line| match line.split_once('=') {
        Some((key, value)) if is_secret(key) && !key.trim_start().starts_with('#') => {
            let end = if value.ends_with('\n') { "\n" } else { "" };
            format!("{key}={HIDDEN}{end}")
        }
        _ => line.to_owned(),
    });
    response.put("initial_configuration", lines.collect::<String>());
}

/// `system_properties`: the properties of this server, and the `java.*`, `os.*` and `user.*` values of the
/// environment, sorted by name.
pub(super) fn system_properties(
    commands: &Commands,
    _server: Option<&dyn AdminContext>,
    _kwargs: &Kwargs,
    response: &mut CommandResponse,
) {
    let of_the_machine = |key: &str| {
        ["java.", "os.", "user."].iter().any(|start| key.starts_with(start))
            && !key.starts_with("os.memory.")
    };
    let environment = environment::list();
    let mut properties: BTreeMap<&str, &str> = environment
        .iter()
        .filter(|entry| of_the_machine(entry.key))
        .map(|entry| (entry.key, entry.value.as_str()))
        .collect();
    properties.extend(commands.parts.properties.iter());
    for (key, value) in properties {
        response.put(key, if is_secret(key) { HIDDEN } else { value });
    }
}

/// Whether the name of a setting suggests that its value is a secret.
fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    let path_of_one = key.trim_end().ends_with("passwordpath");
    !path_of_one && ["password", "passwd", "superdigest"].iter().any(|word| key.contains(word))
}

/// `get_trace_mask`: the mask of traced messages.
pub(super) fn get_trace_mask(
    _commands: &Commands,
    _server: Option<&dyn AdminContext>,
    _kwargs: &Kwargs,
    response: &mut CommandResponse,
) {
    response.put("tracemask", zoo_trace::text_trace_level());
}

/// `set_trace_mask`: sets the mask of traced messages.
pub(super) fn set_trace_mask(
    _commands: &Commands,
    _server: Option<&dyn AdminContext>,
    kwargs: &Kwargs,
    response: &mut CommandResponse,
) {
    let argument = kwargs.iter().find(|(name, _)| name == "traceMask").map(|(_, value)| value);
    let Some(argument) = argument else {
        response.put("error", "setTraceMask requires long traceMask argument");
        return;
    };
    let Ok(mask) = argument.parse::<i64>() else {
        let error = format!("setTraceMask requires long traceMask argument, got {argument}");
        response.put("error", error);
        return;
    };
    zoo_trace::set_text_trace_level(mask);
    response.put("tracemask", mask);
}
