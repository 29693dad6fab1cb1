//! Parses the options of a command (no Java twin: the DefaultParser of commons-cli 1.5 as far as the shell uses it).
//!
//! Options begin with one dash; some have names of several letters. If an option takes a value, the next word is its
//! value, unless that word is an option. `-v5` and `-v=5` mean the same as `-v 5`. A word that begins with a dash but
//! is not an option is an error, including negative numbers. After the word `--`, all words are arguments.

use super::cli_exception::CliError;

/// An option of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommandOption {
    /// Its name without the dash.
    pub name: &'static str,
    /// Whether it takes a value.
    pub has_arg: bool,
    /// The description for the usage.
    pub description: &'static str,
}

impl CommandOption {
    /// An option without a value.
    #[must_use]
    pub const fn flag(name: &'static str, description: &'static str) -> Self {
        Self { name, has_arg: false, description }
    }

    /// An option with a value.
    #[must_use]
    pub const fn value(name: &'static str, description: &'static str) -> Self {
        Self { name, has_arg: true, description }
    }
}

/// How many options of a command may be combined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Any number of them.
    Any,
    /// At most one of them.
    AtMostOne,
    /// Exactly one of them.
    One,
}

/// The options of a command.
#[derive(Clone, Copy, Debug)]
pub struct CommandOptions {
    /// All of them.
    pub options: &'static [CommandOption],
    /// How many of them may be combined.
    pub choice: Choice,
}

/// No options.
pub(crate) const NO_OPTIONS: CommandOptions = CommandOptions { options: &[], choice: Choice::Any };

/// The words are not a valid call of the command. The text is that of commons-cli, with the name of its class.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// An option that the command does not have.
    #[error("org.apache.commons.cli.UnrecognizedOptionException: Unrecognized option: {0}")]
    Unrecognized(
        /// The word.
        String,
    ),
    /// An option without its value.
    #[error("org.apache.commons.cli.MissingArgumentException: Missing argument for option: {0}")]
    MissingArgument(
        /// The option.
        &'static str,
    ),
    /// Two options that exclude each other.
    #[error(
        "org.apache.commons.cli.AlreadySelectedException: The option '{option}' was specified but an option from this \
         group has already been selected: '{selected}'"
    )]
    AlreadySelected {
        /// The second one.
        option: &'static str,
        /// The first one.
        selected: &'static str,
    },
    /// None of the options was given, although exactly one is required.
    #[error("org.apache.commons.cli.MissingOptionException: Missing required option: [{0}]")]
    MissingOption(
        /// The options.
        String,
    ),
}

/// Java: CliParseException.
impl From<ParseError> for CliError {
    fn from(error: ParseError) -> Self {
        Self::new(error.to_string())
    }
}

/// The parsed words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommandLine {
    /// All words that are neither options nor their values, beginning with the command's name.
    pub args: Vec<String>,
    options: Vec<(&'static str, Option<String>)>,
}

impl CommandLine {
    /// Whether the option was given.
    #[must_use]
    pub fn has_option(&self, name: &str) -> bool {
        self.options.iter().any(|(other, _)| *other == name)
    }

    /// The value of an option. If the option was given more than once, the first value.
    #[must_use]
    pub fn option_value(&self, name: &str) -> Option<&str> {
        let (_, value) = self.options.iter().find(|(other, _)| *other == name)?;
        value.as_deref()
    }
}

struct Parser<'a> {
    known: &'a CommandOptions,
    line: CommandLine,
    /// The option whose value may be the next word.
    open: Option<&'static str>,
}

impl CommandOptions {
    /// Parses the words.
    ///
    /// # Errors
    /// If they are not a valid call of the command.
    pub fn parse(&self, words: &[String]) -> Result<CommandLine, super::cli_exception::CliError> {
        let mut parser = Parser { known: self, line: CommandLine::default(), open: None };
        let mut words = words.iter();
        for word in words.by_ref() {
            if word == "--" {
                break;
            }
            parser.word(word)?;
        }
        parser.no_open_option()?;
        parser.line.args.extend(words.cloned());
        if self.choice == Choice::One && parser.line.options.is_empty() {
            let names = self.options.iter();
            let names: Vec<String> =
                names.map(|option| format!("-{} {}", option.name, option.description)).collect();
            return Err(ParseError::MissingOption(names.join(", ")).into());
        }
        Ok(parser.line)
    }

    fn find(&self, name: &str) -> Option<&'static CommandOption> {
        self.options.iter().find(|option| option.name == name)
    }

    /// The option whose name is the first letter of the text.
    fn find_first_letter(&self, text: &str) -> Option<&'static CommandOption> {
        text.chars().next().and_then(|letter| self.find(letter.encode_utf8(&mut [0; 4])))
    }

    /// Whether a word is an option rather than a value.
    fn is_option(&self, word: &str) -> bool {
        let Some(name) = word.strip_prefix('-').filter(|name| !name.is_empty()) else {
            return false;
        };
        let name = name.split('=').next().unwrap_or_default();
        let is_number = word.parse::<f64>().is_ok();
        !is_number && (self.find(name).is_some() || self.find_first_letter(name).is_some())
    }
}

impl Parser<'_> {
    fn word(&mut self, word: &str) -> Result<(), ParseError> {
        if let Some(name) = self.open
            && !self.known.is_option(word)
        {
            self.add_value(name, word);
            return Ok(());
        }
        match word.strip_prefix('-') {
            Some(text) if !text.is_empty() => self.dashed(word, text),
            _ => {
                self.line.args.push(word.to_owned());
                Ok(())
            }
        }
    }

    fn add_value(&mut self, name: &'static str, value: &str) {
        if let Some((_, slot)) = self.line.options.iter_mut().rfind(|(other, _)| *other == name) {
            *slot = Some(without_quotes(value).to_owned());
        }
        self.open = None;
    }

    /// Parses a word that begins with a dash; `text` is what follows the dash.
    fn dashed(&mut self, word: &str, text: &str) -> Result<(), ParseError> {
        let unrecognized = || ParseError::Unrecognized(word.to_owned());
        if text.starts_with('-') {
            return Err(unrecognized());
        }
        if let Some(option) = self.known.find(text) {
            return self.option(option);
        }
        if let Some((name, value)) = text.split_once('=') {
            let option = self.known.find(name).filter(|option| option.has_arg && name.len() == 1);
            let option = option.ok_or_else(unrecognized)?;
            self.option(option)?;
            self.add_value(option.name, value);
            return Ok(());
        }
        // Each letter is an option. If an option takes a value, the rest of the word is its value.
        let mut rest = text;
        while let Some(letter) = rest.chars().next() {
            let option = self.known.find_first_letter(rest).ok_or_else(unrecognized)?;
            self.option(option)?;
            rest = &rest[letter.len_utf8()..];
            if option.has_arg && !rest.is_empty() {
                self.add_value(option.name, rest);
                break;
            }
        }
        Ok(())
    }

    fn option(&mut self, option: &'static CommandOption) -> Result<(), ParseError> {
        self.no_open_option()?;
        if self.known.choice != Choice::Any
            && let Some((selected, _)) = self.line.options.first()
            && *selected != option.name
        {
            return Err(ParseError::AlreadySelected { option: option.name, selected });
        }
        self.line.options.push((option.name, None));
        self.open = option.has_arg.then_some(option.name);
        Ok(())
    }

    fn no_open_option(&mut self) -> Result<(), ParseError> {
        match self.open.take() {
            Some(name) => Err(ParseError::MissingArgument(name)),
            None => Ok(()),
        }
    }
}

fn without_quotes(text: &str) -> &str {
    text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: CommandOptions = CommandOptions {
        options: &[
            CommandOption::flag("e", "ephemeral"),
            CommandOption::flag("s", "sequential"),
            CommandOption::value("t", "ttl"),
            CommandOption::value("add", "servers"),
        ],
        choice: Choice::Any,
    };

    fn parse(options: CommandOptions, words: &str) -> Result<CommandLine, String> {
        let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
        options.parse(&words).map_err(|error| error.message.split(": ").skip(1).collect())
    }

    #[test]
    fn options_may_stand_anywhere_and_have_their_values_in_three_forms() {
        for words in ["c -t 5 -es /a", "c /a -se -t5", "c -e /a -t=5 -s", "c -est 5 /a"] {
            let line = parse(OPTIONS, words).unwrap();
            assert_eq!(line.args, ["c", "/a"], "{words}");
            assert_eq!(line.option_value("t"), Some("5"), "{words}");
            assert!(line.has_option("e") && line.has_option("s") && !line.has_option("add"));
        }
        assert_eq!(parse(OPTIONS, "c -add x").unwrap().option_value("add"), Some("x"));
    }

    /// The same results as from Java's shell.
    #[test]
    fn words_that_are_no_options_are_refused() {
        for (words, message) in [
            ("c -x", "Unrecognized option-x"),
            ("c -ex", "Unrecognized option-ex"),
            ("c /a -5", "Unrecognized option-5"),
            ("c --foo", "Unrecognized option--foo"),
            ("c -add=x", "Unrecognized option-add=x"),
            ("c -t", "Missing argument for optiont"),
            ("c -t -e", "Missing argument for optiont"),
        ] {
            assert_eq!(parse(OPTIONS, words), Err(message.into()), "{words}");
        }
        assert_eq!(parse(OPTIONS, "c -- -5 -x").unwrap().args, ["c", "-5", "-x"]);
        assert_eq!(parse(OPTIONS, "c -").unwrap().args, ["c", "-"]);
        assert_eq!(parse(OPTIONS, "c -t -5").unwrap().option_value("t"), Some("-5"));
    }

    #[test]
    fn options_of_a_group_exclude_each_other() {
        let at_most_one = CommandOptions { choice: Choice::AtMostOne, ..OPTIONS };
        assert!(parse(at_most_one, "c").is_ok());
        assert!(parse(at_most_one, "c -e -e").is_ok());
        let error = parse(at_most_one, "c -e -s").unwrap_err();
        assert!(error.starts_with("The option 's' was specified but"), "{error}");
        let one = CommandOptions { choice: Choice::One, ..OPTIONS };
        let error = parse(one, "c").unwrap_err();
        assert_eq!(
            error,
            "Missing required option[-e ephemeral, -s sequential, -t ttl, -add servers]"
        );
    }
}
