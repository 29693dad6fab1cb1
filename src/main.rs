//! The `zookeeper` binary: its first word picks Java's main class (no Java twin).

fn main() -> std::process::ExitCode {
    std::process::ExitCode::from(2)
}
