//! The usage text of a command (Java: cli/CommandUsageHelper.java, with the HelpFormatter of commons-cli).

use super::command_line::{CommandOption, CommandOptions};

/// The usage, and a line for each option if they are to be explained.
#[must_use]
pub(crate) fn usage(command_syntax: &str, options: Option<&CommandOptions>) -> String {
    let mut text = command_syntax.to_owned();
    if let Some(options) = options.filter(|options| !options.options.is_empty()) {
        text.push('\n');
        text.push_str(&option_lines(options));
        text.push('\n');
    }
    text
}

/// A line for each option, sorted by name without regard to case. The last line has no line end.
#[must_use]
pub(crate) fn option_lines(options: &CommandOptions) -> String {
    let mut sorted: Vec<&CommandOption> = options.options.iter().collect();
    sorted.sort_by_key(|option| option.name.to_ascii_lowercase());
    let call = |option: &CommandOption| {
        format!(" -{}{}", option.name, if option.has_arg { " <arg>" } else { "" })
    };
    let width = sorted.iter().map(|option| call(option).len()).max().unwrap_or(0);
    let lines: Vec<String> = sorted
        .into_iter()
        .map(|option| format!("{:width$}   {}", call(option), option.description))
        .collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::super::command_line::Choice;
    use super::*;

    #[test]
    fn options_are_explained_as_java_explains_them() {
        const OPTIONS: CommandOptions = CommandOptions {
            options: &[
                CommandOption::flag("s", "Print znode stats additionally"),
                CommandOption::value("v", "Set with an expected version"),
                CommandOption::flag("b", "Supply data in base64 format"),
            ],
            choice: Choice::Any,
        };
        assert_eq!(
            usage("set path data", Some(&OPTIONS)),
            "set path data\n \
             -b         Supply data in base64 format\n \
             -s         Print znode stats additionally\n \
             -v <arg>   Set with an expected version\n"
        );
        assert_eq!(usage("sync path", None), "sync path");
    }
}
