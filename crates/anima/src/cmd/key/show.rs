//! Keys in words.

use anima_types::key::{self, KeyDetail};

use super::Ask;
use crate::{
    exit::Result,
    output::{self, or_dash},
};

pub async fn list(ask: &Ask) -> Result {
    ask.output.list(
        &ask.client.keys().await?,
        ["key", "name", "status", "algorithm", "expires", "user id", "fingerprint"],
        row,
        "There are no keys. A product gets one when it is made.",
    )
}

fn row(key: &key::Key) -> [String; 7] {
    [
        key.id.to_string(),
        key.key.name.clone(),
        key.status.name().to_string(),
        key.key.algorithm.name().to_string(),
        key.expires_at.map_or_else(|| "never".to_string(), output::moment),
        key.key.user_id.clone(),
        key.fingerprint.clone().unwrap_or_else(|| "the Sign Server has not made it yet".to_string()),
    ]
}

pub fn describe(detail: &KeyDetail) -> String {
    let key = &detail.key;
    let [id, name, status, algorithm, expires, user_id, fingerprint] = row(key);
    let list = |names: &[String]| if names.is_empty() { "-".to_string() } else { names.join(", ") };
    let signed = detail.signed.iter().map(|one| format!("{} {}", one.count, one.kind.name()));
    let signed = signed.collect::<Vec<_>>();
    let mut also = Vec::new();
    if key.key.options.signs_payload {
        also.push("header and payload, for old clients".to_string());
    }
    if key.key.options.signs_files {
        also.push("files of packages".to_string());
    }
    let fields = output::fields(&[
        ("key", id),
        ("name", name),
        ("status", status),
        ("algorithm", algorithm),
        ("user id", user_id),
        ("fingerprint", fingerprint),
        ("asked for", output::moment(key.created_at)),
        ("expires", expires),
        ("ended", or_dash(key.ended_at.map(output::moment))),
        ("why", or_dash(key.reason.clone())),
        ("products", list(&detail.products)),
        ("formerly", list(&detail.former_products)),
        ("signed", list(&signed)),
        ("users see", format!("{} packages with its signature", detail.seen_count)),
        ("signs also", list(&also)),
    ]);
    let newest = detail.newest.iter().map(|record| {
        [
            output::moment(record.signed_at),
            record.kind.name().to_string(),
            record.form.name().to_string(),
            record.name.clone(),
        ]
    });
    let newest = match detail.newest.is_empty() {
        true => String::new(),
        false => format!("\n\n{}", output::table(["signed", "kind", "form", "what"], newest)),
    };
    let public = key.public_key.as_deref().map_or(String::new(), |text| format!("\n\n{}", text.trim_end()));
    format!("{fields}{newest}{public}")
}
