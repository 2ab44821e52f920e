//! The program: hands its arguments and environment to the library, and its exit code to the system.

fn main() -> std::process::ExitCode {
    devenv::cli::main(std::env::args_os(), std::env::vars_os())
}
