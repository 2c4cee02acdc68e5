//! `anima audit`: who changed what, when, from where, and through what.

use anima_types::{
    Timestamp,
    audit::{Entry, Filter, ListQuery},
};
use clap::Args;

use super::Ask;
use crate::{
    exit::Result,
    output::{self, or_dash},
};

/// Entries that are asked for at once.
const PAGE: u32 = 500;

/// Show who changed what, when, from where, and through which token or session
#[derive(Args, Debug)]
pub struct Audit {
    /// Of this account or token only
    #[arg(long, value_name = "NAME")]
    who: Option<String>,
    /// About this kind of thing only, such as release, account, right
    #[arg(long, value_name = "NOUN")]
    noun: Option<String>,
    /// From this address only
    #[arg(long, value_name = "ADDRESS")]
    address: Option<String>,
    /// Through this token or session only: token:7, session:3
    #[arg(long, value_name = "VIA")]
    via: Option<String>,
    /// Not before this moment, such as 2026-11-30T02:00:00Z
    #[arg(long, value_name = "MOMENT", value_parser = super::release::moment)]
    since: Option<Timestamp>,
    /// So many entries, the newest
    #[arg(long, default_value_t = 50, value_name = "COUNT")]
    limit: usize,
}

impl Audit {
    pub async fn run(self, ask: &Ask) -> Result {
        let filter = Filter { who: self.who, noun: self.noun, address: self.address, via: self.via, since: self.since };
        let mut entries: Vec<Entry> = Vec::new();
        while entries.len() < self.limit {
            let limit = u32::try_from(self.limit - entries.len()).unwrap_or(PAGE).min(PAGE);
            let before = entries.last().map(|entry| entry.event.id);
            let more = ask.client.audit(&ListQuery { filter: filter.clone(), before, limit: Some(limit) }).await?;
            let is_end = more.len() < limit as usize;
            entries.extend(more);
            if is_end {
                break;
            }
        }
        ask.output.list(&entries, ["entry", "when", "who", "through", "from", "what"], row, "Nobody changed anything.")
    }
}

fn row(entry: &Entry) -> [String; 6] {
    [
        entry.event.id.to_string(),
        output::moment(entry.event.at),
        entry.event.actor.clone(),
        entry.via.clone(),
        or_dash(entry.address.clone()),
        entry.event.message.clone(),
    ]
}
