//! The measured values by round and server, and the tables that compare them (no Java twin).

use std::fmt::Write;

use super::json::Json;

/// The name of the server that does nothing. It shows what this machine can do at most.
pub(crate) const LIMIT: &str = "limit";

/// Which of two values of a figure is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Better {
    Higher,
    Lower,
    /// The figure only explains others and is not compared.
    Neither,
}

/// The table that a figure belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Section {
    Throughput,
    ServerCpu,
    Latency,
    Failover,
    Tail,
    Storm,
    ScaleAndStart,
    Memory,
    Client,
    Disturbance,
}

impl Section {
    const ALL: [Self; 10] = [
        Self::Throughput,
        Self::ServerCpu,
        Self::Latency,
        Self::Failover,
        Self::Tail,
        Self::Storm,
        Self::ScaleAndStart,
        Self::Memory,
        Self::Client,
        Self::Disturbance,
    ];

    const fn title(self) -> &'static str {
        match self {
            Self::Throughput => "Throughput",
            Self::ServerCpu => "Server CPU time per operation",
            Self::Latency => "Latency",
            Self::Failover => "From kill -9 of the leader to the next write",
            Self::Tail => "Tail of many writes",
            Self::Storm => "All clients at once",
            Self::ScaleAndStart => "Start, creation, sessions, watches",
            Self::Memory => "Memory",
            Self::Client => "The client's own CPU time (not compared)",
            Self::Disturbance => "Others on the machine (not compared)",
        }
    }
}

/// One measured value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Figure {
    pub(crate) section: Section,
    pub(crate) name: String,
    pub(crate) unit: &'static str,
    pub(crate) better: Better,
    pub(crate) value: f64,
}

/// A figure's values, by server and round.
#[derive(Clone, Debug, PartialEq)]
struct Row {
    section: Section,
    name: String,
    unit: &'static str,
    better: Better,
    /// One list of values for each server, in the order of the labels.
    values: Vec<Vec<f64>>,
    /// The values of a server that does nothing, if there is one.
    limit: Vec<f64>,
}

/// All figures of a comparison. It compares the first server with the best of the others.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Figures {
    labels: Vec<String>,
    rows: Vec<Row>,
}

impl Figures {
    pub(crate) fn new(labels: Vec<String>) -> Self {
        Self { labels, rows: Vec::new() }
    }

    /// Adds a value of the server with that index in the list of labels.
    pub(crate) fn add(&mut self, server: usize, figure: Figure) {
        let value = figure.value;
        self.row_of(figure).values[server].push(value);
    }

    /// Adds a value of the server that does nothing: what this machine can do at most.
    pub(crate) fn add_limit(&mut self, figure: Figure) {
        let value = figure.value;
        self.row_of(figure).limit.push(value);
    }

    fn row_of(&mut self, figure: Figure) -> &mut Row {
        let Figure { section, name, unit, better, .. } = figure;
        let at = self.rows.iter().position(|row| row.section == section && row.name == name);
        let at = at.unwrap_or_else(|| {
            let (values, limit) = (vec![Vec::new(); self.labels.len()], Vec::new());
            self.rows.push(Row { section, name, unit, better, values, limit });
            self.rows.len() - 1
        });
        &mut self.rows[at]
    }

    /// The tables, one for each section.
    pub(crate) fn render(&self) -> String {
        let mut text = String::new();
        for section in Section::ALL {
            let rows: Vec<&Row> = self.rows.iter().filter(|row| row.section == section).collect();
            if rows.is_empty() {
                continue;
            }
            let mut table = Table::new();
            let mut head = vec![section.title().to_owned(), "unit".into()];
            head.extend(self.labels.iter().cloned());
            let compared =
                self.labels.len() > 1 && !matches!(section, Section::Client | Section::Disturbance);
            if compared {
                head.extend(["ratio", "spread"].map(str::to_owned));
            }
            let limited = rows.iter().any(|row| !row.limit.is_empty());
            if limited {
                head.extend([LIMIT, "of limit"].map(str::to_owned));
            }
            table.line(head);
            for row in rows {
                let mut cells = vec![row.name.clone(), row.unit.to_owned()];
                cells.extend(
                    row.values.iter().map(|values| median(values).map_or("-".into(), number)),
                );
                if compared {
                    cells.push(row.ratio().map_or("-".into(), |ratio| format!("{ratio:.2}")));
                    cells.push(row.spread().map_or("-".into(), |spread| format!("{spread:.0}%")));
                }
                if limited {
                    cells.push(median(&row.limit).map_or("-".into(), number));
                    cells.push(row.of_limit().map_or("-".into(), |share| format!("{share:.0}%")));
                }
                table.line(cells);
            }
            text.push_str(&table.render());
            text.push('\n');
        }
        if self.rows.iter().any(|row| !row.limit.is_empty()) {
            text.push_str(
                "limit: a server that answers everything and keeps nothing. of limit: the first server's share.\n",
            );
        }
        if self.labels.len() > 1 {
            text.push_str(
                "Medians of the rounds. ratio: how many times better the first server is than the best of the others, \
                 above 1 is better.\nspread: (largest - smallest) / median of the server whose rounds differ most.\n",
            );
        }
        text
    }

    /// All values, round by round.
    pub(crate) fn to_json(&self) -> Json {
        let row = |row: &Row| {
            let servers = self.labels.iter().zip(&row.values).map(|(label, values)| {
                let rounds = values.iter().map(|value| Json::Number(*value)).collect();
                let value = Json::object([
                    ("median", Json::optional(median(values))),
                    ("rounds", Json::List(rounds)),
                ]);
                (label.clone(), value)
            });
            Json::object([
                ("section", Json::Text(row.section.title().into())),
                ("name", Json::Text(row.name.clone())),
                ("unit", Json::Text(row.unit.into())),
                ("ratio", Json::optional(row.ratio())),
                ("limit", Json::optional(median(&row.limit))),
                ("servers", Json::object(servers)),
            ])
        };
        Json::List(self.rows.iter().map(row).collect())
    }
}

impl Row {
    /// How many times better the first server's median is than the best median of the others.
    fn ratio(&self) -> Option<f64> {
        let ours = median(self.values.first()?)?;
        let others = self.values[1..].iter().filter_map(|values| median(values));
        match self.better {
            Better::Neither => None,
            Better::Higher => others.reduce(f64::max).map(|best| ours / best),
            Better::Lower => others.reduce(f64::min).map(|best| best / ours),
        }
        .filter(|ratio| ratio.is_finite())
    }

    /// The first server's median in percent of what this machine can do at most.
    fn of_limit(&self) -> Option<f64> {
        let ours = median(self.values.first()?)?;
        Some(ours / median(&self.limit)? * 100.0).filter(|share| share.is_finite())
    }

    /// How much the rounds of one server differ, in percent of their median: the largest value of all servers.
    fn spread(&self) -> Option<f64> {
        let spread = |values: &Vec<f64>| {
            let middle = median(values)?;
            let largest = values.iter().copied().reduce(f64::max)?;
            let smallest = values.iter().copied().reduce(f64::min)?;
            (values.len() > 1 && middle > 0.0).then_some((largest - smallest) / middle * 100.0)
        };
        self.values.iter().filter_map(spread).reduce(f64::max)
    }
}

/// The median: the middle value, or the mean of the two middle ones.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = *sorted.get(sorted.len() / 2)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    Some(f64::midpoint(sorted[sorted.len() / 2 - 1], upper))
}

/// Formats the value with about three significant digits, and separates thousands.
pub(crate) fn number(value: f64) -> String {
    let size = value.abs();
    if size >= 1000.0 {
        let digits = format!("{size:.0}");
        let mut grouped = String::from(if value < 0.0 { "-" } else { "" });
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at) % 3 == 0 {
                grouped.push(' ');
            }
            grouped.push(digit);
        }
        grouped
    } else if size >= 100.0 {
        format!("{value:.0}")
    } else if size >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

/// A table: the first column is aligned to the left, the others to the right.
pub(crate) struct Table {
    lines: Vec<Vec<String>>,
}

impl Table {
    pub(crate) const fn new() -> Self {
        Self { lines: Vec::new() }
    }

    /// Adds a line. The first line is the header.
    pub(crate) fn line(&mut self, cells: Vec<String>) {
        self.lines.push(cells);
    }

    pub(crate) fn render(&self) -> String {
        let columns = self.lines.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.lines.iter().filter_map(|line| line.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut text = String::new();
        for (at, line) in self.lines.iter().enumerate() {
            for (column, (cell, width)) in line.iter().zip(&widths).enumerate() {
                // Writing into a String cannot fail.
                let _written = if column == 0 {
                    write!(text, "{cell:<width$}")
                } else {
                    write!(text, "  {cell:>width$}")
                };
            }
            text.truncate(text.trim_end_matches(' ').len());
            text.push('\n');
            if at == 0 {
                let total = widths.iter().sum::<usize>() + 2 * columns.saturating_sub(1);
                text.push_str(&"-".repeat(total));
                text.push('\n');
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(name: &str, better: Better, value: f64) -> Figure {
        Figure { section: Section::Throughput, name: name.into(), unit: "ops/s", better, value }
    }

    fn figures(better: Better, servers: &[&[f64]]) -> Figures {
        let labels = (0..servers.len()).map(|at| format!("s{at}")).collect();
        let mut figures = Figures::new(labels);
        for (server, values) in servers.iter().enumerate() {
            for value in *values {
                figures.add(server, figure("f", better, *value));
            }
        }
        figures
    }

    #[test]
    fn the_ratio_is_against_the_best_of_the_others_and_above_one_is_better() {
        let ratio = |better, servers: &[&[f64]]| figures(better, servers).rows[0].ratio();
        let rates: &[&[f64]] = &[&[300.0, 100.0, 200.0], &[50.0], &[100.0, 80.0, 1.0]];
        assert_eq!(ratio(Better::Higher, rates), Some(2.5));
        assert_eq!(ratio(Better::Lower, rates), Some(0.25));
        assert_eq!(ratio(Better::Neither, rates), None);
        assert_eq!(ratio(Better::Lower, &[&[0.0], &[1.0]]), None);
        assert_eq!(ratio(Better::Higher, &[&[1.0]]), None);
    }

    #[test]
    fn the_median_is_the_middle_and_of_nothing_there_is_none() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0]), Some(2.5));
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn a_table_shows_medians_ratio_and_the_widest_spread() {
        let text =
            figures(Better::Higher, &[&[200_000.0, 220_000.0, 210_000.0], &[70_000.0]]).render();
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some("Throughput   unit       s0      s1  ratio  spread"));
        assert_eq!(lines.next(), Some("-".repeat(49).as_str()));
        assert_eq!(lines.next(), Some("f           ops/s  210 000  70 000   3.00     10%"));
    }

    #[test]
    fn the_limit_is_shown_beside_the_servers_and_not_compared() {
        let mut figures = figures(Better::Higher, &[&[30.0], &[20.0]]);
        for value in [70.0, 60.0, 50.0] {
            figures.add_limit(figure("f", Better::Higher, value));
        }
        figures.add(0, figure("g", Better::Higher, 1.0));
        let text = figures.render();
        let mut lines = text.lines();
        let head = "Throughput   unit    s0    s1  ratio  spread  limit  of limit";
        assert_eq!(lines.next(), Some(head));
        let row = "f           ops/s  30.0  20.0   1.50       -   60.0       50%";
        assert_eq!(lines.nth(1), Some(row));
        let row = "g           ops/s  1.00     -      -       -      -         -";
        assert_eq!(lines.next(), Some(row));
        assert!(text.contains("limit: a server"), "{text}");
        assert!(figures.to_json().render().contains("\"limit\": 60"));
    }

    #[test]
    fn a_server_without_a_value_has_a_gap_and_no_ratio() {
        let figures = figures(Better::Higher, &[&[1.0], &[]]);
        let json = figures.to_json().render();
        assert!(json.contains("\"ratio\": null"), "{json}");
        assert!(figures.render().contains("1.00   -      -"), "{}", figures.render());
    }

    #[test]
    fn numbers_keep_the_digits_that_mean_something() {
        for (value, text) in [
            (1_234_567.8, "1 234 568"),
            (-1000.0, "-1 000"),
            (123.4, "123"),
            (12.34, "12.3"),
            (1.234, "1.23"),
        ] {
            assert_eq!(number(value), text);
        }
    }
}
