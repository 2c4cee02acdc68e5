//! The command line: what is said for all commands, and the table of commands.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::{cmd, exit::Exit};

/// Everything that it takes to run an Enterprise Linux distribution.
#[derive(Debug, Parser)]
#[command(name = "anima", version, after_help = Exit::table(), max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// What can be said with every command.
#[derive(Args, Clone, Debug)]
pub struct Global {
    /// The data folder [default: /var/lib/anima for root, ./data for others]
    #[arg(long, global = true, env = "ANIMA_DATA", value_name = "FOLDER", help_heading = "Everywhere")]
    pub data: Option<PathBuf>,
    /// The configuration file [default: anima.toml in the data folder, if there is one]
    #[arg(long, global = true, env = "ANIMA_CONFIG", value_name = "FILE", help_heading = "Everywhere")]
    pub config: Option<PathBuf>,
    /// The master's address [default: that of the `anima up` on the data folder]
    #[arg(long, global = true, env = "ANIMA_MASTER", value_name = "URL", help_heading = "Everywhere")]
    pub master: Option<String>,
    /// The token [default: that of the data folder, where it can be read]
    #[arg(
        long,
        global = true,
        env = "ANIMA_TOKEN",
        value_name = "TOKEN",
        hide_env_values = true,
        help_heading = "Everywhere"
    )]
    pub token: Option<String>,
    /// Print JSON
    #[arg(long, global = true, help_heading = "Everywhere")]
    pub json: bool,
}

/// The commands: one file of `cmd` each.
#[derive(Debug, Subcommand)]
pub enum Command {
    Up(cmd::up::Up),
    #[command(subcommand)]
    Build(cmd::build::Build),
    Plan(cmd::plan::Plan),
    #[command(subcommand)]
    Rebuild(cmd::rebuild::Rebuild),
    #[command(subcommand)]
    Task(cmd::task::Task),
    #[command(subcommand)]
    Package(cmd::package::Package),
    Search(cmd::search::Search),
    #[command(subcommand)]
    Release(cmd::release::Release),
    #[command(subcommand)]
    Product(cmd::product::Product),
    #[command(subcommand)]
    Repo(cmd::repo::Repo),
    #[command(subcommand)]
    Store(cmd::repo_keep::Store),
    #[command(subcommand)]
    Platform(cmd::platform::Platform),
    #[command(subcommand)]
    Maintenance(cmd::maintenance::Maintenance),
    #[command(subcommand)]
    Node(cmd::node::Node),
    #[command(subcommand)]
    Key(cmd::key::Key),
    Login(cmd::login::Login),
    Logout(cmd::login::Logout),
    #[command(subcommand)]
    Account(cmd::account::Account),
    #[command(subcommand)]
    Session(cmd::session::Session),
    #[command(subcommand)]
    Team(cmd::team::Team),
    #[command(subcommand)]
    Right(cmd::right::Right),
    #[command(subcommand)]
    Token(cmd::token::Token),
    Audit(cmd::audit::Audit),
    #[command(subcommand)]
    Webhook(cmd::webhook::Webhook),
    #[command(subcommand)]
    Event(cmd::event::Event),
    #[command(subcommand)]
    Lookaside(cmd::lookaside::Lookaside),
    #[command(subcommand)]
    Local(cmd::local::Local),
    #[command(subcommand)]
    Buildroot(cmd::buildroot::Buildroot),
    Master(cmd::role::master::Master),
    GitService(cmd::role::git_service::GitService),
    BuildNode(cmd::role::build_node::BuildNode),
    TestNode(cmd::role::test_node::TestNode),
    SignServer(cmd::role::sign_server::SignServer),
    ReleaseSystem(cmd::role::release_system::ReleaseSystem),
    #[command(subcommand)]
    Elevate(cmd::elevate::Elevate),
    Diagnose(cmd::diagnose::Diagnose),
    Doctor(cmd::doctor::Doctor),
    #[command(subcommand)]
    Config(cmd::config::Config),
    Completion(cmd::completion::Completion),
    Man(cmd::completion::Man),
    Backup(cmd::upkeep::Backup),
    Restore(cmd::upkeep::Restore),
    Move(cmd::upkeep::Move),
    Fsck(cmd::upkeep::Fsck),
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_and_every_argument_is_explained() {
        fn walk(command: &clap::Command, path: &str) {
            for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
                assert!(argument.get_help().is_some(), "{path}: {}", argument.get_id());
            }
            for inner in command.get_subcommands() {
                let path = format!("{path} {}", inner.get_name());
                assert!(inner.get_about().is_some(), "{path}");
                walk(inner, &path);
            }
        }

        walk(&Cli::command(), "anima");
    }

    #[test]
    fn the_exit_codes_stand_below_the_help() {
        assert!(Cli::command().render_long_help().to_string().contains("Exit codes:\n  0  done"));
    }
}
