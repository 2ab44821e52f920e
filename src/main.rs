//! The program: hands its arguments and environment to the library, and its exit code to the system.

fn main() -> std::process::ExitCode {
    #[cfg(feature = "failpoints")]
    let _failpoints = fail::FailScenario::setup();
    devenv::cli::main(std::env::args_os(), std::env::vars_os())
}
