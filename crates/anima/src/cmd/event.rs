//! `anima event`: what happened, in order.

use std::pin::pin;

use anima_types::{
    event,
    id::{BuildId, EventId},
};
use clap::{Args, Subcommand};
use futures_util::StreamExt;

use super::Ask;
use crate::{
    exit::Result,
    output::{self, Output},
};

/// Look at what happens
#[derive(Debug, Subcommand)]
pub enum Event {
    /// List events, the oldest first
    List(List),
}

#[derive(Args, Debug)]
pub struct List {
    /// Print events as they happen, until Ctrl-C
    #[arg(long, short)]
    follow: bool,
    /// Only events after this one
    #[arg(long, value_name = "EVENT")]
    after: Option<EventId>,
    /// Only events of this build (with --follow)
    #[arg(long, value_name = "BUILD", requires = "follow")]
    build: Option<BuildId>,
    /// How many at most (without --follow)
    #[arg(long, default_value_t = 200)]
    limit: u32,
}

impl Event {
    pub async fn run(self, ask: &Ask) -> Result {
        match self {
            Event::List(list) if list.follow => follow(ask, list).await,
            Event::List(list) => ask.output.list(
                &ask.client.events_after(list.after, list.limit).await?,
                ["event", "at", "by", "what"],
                row,
                "Nothing happened.",
            ),
        }
    }
}

async fn follow(ask: &Ask, list: List) -> Result {
    let mut events = pin!(ask.client.follow_events(list.after, list.build));
    while let Some(event) = events.next().await {
        let event = event?;
        match ask.output {
            Output::Json => ask.output.json_line(&event)?,
            Output::Text => output::line(&row(&event).join("  "))?,
        }
    }
    Ok(())
}

fn row(event: &event::Event) -> [String; 4] {
    [event.id.to_string(), output::moment(event.at), event.actor.clone(), event.message.clone()]
}
