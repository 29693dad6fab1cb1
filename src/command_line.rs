//! The command line of `zookeeper` (no Java twin: the JVM's own command line).
//!
//! Flags for a JVM are still accepted. `-Dkey=value` sets a property. Every other flag before the command (`-Xmx1g`,
//! `-XX:..`, `-javaagent:..`) has no effect and is logged once.

use crate::common::zk_config::SystemProperties;

/// A parsed command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommandLine {
    /// Properties from `-Dkey=value`. If a key is set twice, the last value wins.
    pub properties: SystemProperties,
    /// Flags that only a JVM understands.
    pub jvm_flags: Vec<String>,
    /// The command; `None` if none was given.
    pub word: Option<String>,
    /// All arguments after the command, without `-D` flags.
    pub args: Vec<String>,
}

/// JVM flags whose value is the next argument.
const FLAGS_WITH_VALUE: [&str; 12] = [
    "-cp",
    "-classpath",
    "--class-path",
    "-p",
    "--module-path",
    "--upgrade-module-path",
    "--add-modules",
    "--limit-modules",
    "--add-reads",
    "--add-exports",
    "--add-opens",
    "--patch-module",
];

/// Commands whose own arguments may look like `-D` flags. For them, `-D` flags count only before the first argument.
const WORDS_WITH_FREE_ARGS: [&str; 1] = ["cli"];

impl CommandLine {
    /// Parses the arguments. No list of arguments is invalid.
    #[must_use]
    pub fn parse(words: impl IntoIterator<Item = String>) -> Self {
        let mut line = Self::default();
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            if line.take_property(&word) {
                continue;
            }
            match &line.word {
                Some(_) => {
                    line.args.push(word);
                    if line.args_are_free() {
                        line.args.extend(words.by_ref());
                    }
                }
                None if word.starts_with('-') => {
                    let has_value = FLAGS_WITH_VALUE.contains(&word.as_str());
                    line.jvm_flags.push(word);
                    if has_value {
                        line.jvm_flags.extend(words.next());
                    }
                }
                None => line.word = Some(word),
            }
        }
        line
    }

    /// The message about flags without effect; `None` if there are none.
    #[must_use]
    pub fn notice(&self) -> Option<String> {
        if self.jvm_flags.is_empty() {
            return None;
        }
        Some(format!("There is no JVM: {} has no effect", self.jvm_flags.join(" ")))
    }

    fn args_are_free(&self) -> bool {
        self.word.as_deref().is_some_and(|word| WORDS_WITH_FREE_ARGS.contains(&word))
    }

    /// As in Java, `-Dkey` without a value sets an empty value.
    fn take_property(&mut self, word: &str) -> bool {
        let Some(property) = word.strip_prefix("-D").filter(|rest| !rest.is_empty()) else {
            return false;
        };
        let (key, value) = property.split_once('=').unwrap_or((property, ""));
        self.properties.set(key, value);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> CommandLine {
        CommandLine::parse(text.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn properties_count_before_and_behind_the_word() {
        let line = parse("-Da=1 -Dflag -Da=2 server -Db=x=y conf/zoo.cfg -Dc=3");
        let properties: Vec<_> = line.properties.iter().collect();
        assert_eq!(properties, [("a", "2"), ("b", "x=y"), ("c", "3"), ("flag", "")]);
        assert_eq!(line.word.as_deref(), Some("server"));
        assert_eq!(line.args, ["conf/zoo.cfg"]);
        assert_eq!(line.notice(), None);
    }

    #[test]
    fn flags_of_a_jvm_are_named_once_and_do_not_eat_the_word() {
        let line = parse("-Xmx1g -cp lib.jar --add-opens java.base/x=ALL -XX:+UseG1GC server z");
        assert_eq!(line.word.as_deref(), Some("server"));
        assert_eq!(
            line.notice().unwrap(),
            "There is no JVM: -Xmx1g -cp lib.jar --add-opens java.base/x=ALL -XX:+UseG1GC has no \
             effect"
        );
    }

    #[test]
    fn arguments_of_the_client_are_its_own() {
        let line = parse("cli -Da=1 -server h:1 create /x -Dy=1");
        assert_eq!(line.args, ["-server", "h:1", "create", "/x", "-Dy=1"]);
        assert_eq!(line.properties.get("y"), None);
        assert_eq!(parse("txnlog -d file").args, ["-d", "file"]);
        assert_eq!(parse("").word, None);
    }
}
