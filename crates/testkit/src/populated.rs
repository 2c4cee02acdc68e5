//! A master that has some of everything: who asks it about a thing is not told each time that there is none.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::System;

/// Gives a new master, which runs alone, two builds of which a node has begun one, releases, a webhook, a team, an account with
/// a right, a token and an identity, a node, and a product beside that of its platform. The first thing of each kind has
/// number 1; names are those of `schemathesis/schemathesis.toml`.
pub async fn populate(system: &System) -> Result<()> {
    let ask = Ask { client: reqwest::Client::new(), system };
    let platform = ask.read("platforms").await?[0].clone();
    let (name, branch) = (&platform["name"], &platform["branch"]);
    let product = ask.read("products").await?[0].clone();
    let arch = &platform["architectures"][0];
    let claim = json!({
        "node": "node-1", "kinds": ["src", "build"], "architectures": [arch], "slots": 1, "version": "1", "wait_secs": 0,
        "condition": { "protocol": anima_types::lease::PROTOCOL },
    });
    let import = |product: &Value| {
        let repository = product["repositories"][0].clone();
        json!({ "product": product["name"], "import": { "url": "file:///nowhere", "repository": repository } })
    };
    let more = json!({ "name": "more", "title": "More", "repositories": ["Main"], "architectures": [arch] });
    let asked: [(&str, &str, Value); 14] = [
        ("admin", "webhooks", json!({ "name": "chat", "url": "http://127.0.0.1:1/hook" })),
        ("admin", "teams", json!({ "name": "crew", "title": "The crew" })),
        ("admin", "accounts", json!({ "name": "ann", "title": "Ann", "password": "correct horse battery" })),
        ("admin", "accounts/ann/identities", json!({ "issuer": "https://id.example.org", "subject": "u-7" })),
        (
            "admin",
            "rights",
            json!({ "account": "ann", "role": "contributor", "on": format!("platform:{}", text(name)) }),
        ),
        ("admin", "tokens", json!({ "name": "ci", "role": "observer" })),
        ("admin", "products", more.clone()),
        ("git-service", "pushes", push("of-the-contract", branch)),
        ("git-service", "pushes", push("of-the-contract-2", branch)),
        ("git-service", "git-changes", json!({ "package": "of-the-contract", "pusher": "ann", "changes": [] })),
        ("build-node", "leases", claim),
        ("admin", "releases", import(&product)),
        ("admin", "releases", import(&more)),
        ("admin", "enrolments", json!({ "node": "node-2", "role": "build-node" })),
    ];
    for (role, path, body) in asked {
        ask.post(role, path, &body).await?;
    }
    for path in ["builds/1", "tasks/1", "releases/1", "webhooks/1/deliveries", "nodes", "repositories/1", "keys/1"] {
        ask.read(path).await.with_context(|| format!("{path} is to be there"))?;
    }
    Ok(())
}

fn push(package: &str, branch: &Value) -> Value {
    json!({ "package": package, "branch": branch, "commit": "c0ffee", "subject": "Begin", "pusher": package })
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

struct Ask<'a> {
    client: reqwest::Client,
    system: &'a System,
}

impl Ask<'_> {
    async fn read(&self, path: &str) -> Result<Value> {
        self.send(self.client.get(self.url(path)), "admin", path).await
    }

    async fn post(&self, role: &str, path: &str, body: &Value) -> Result<Value> {
        let call = self.client.post(self.url(path)).header("content-type", "application/json").body(body.to_string());
        self.send(call, role, path).await
    }

    fn url(&self, path: &str) -> String {
        format!("{}/api/v1/{path}", self.system.master_url())
    }

    async fn send(&self, call: reqwest::RequestBuilder, role: &str, path: &str) -> Result<Value> {
        let answer = call.bearer_auth(self.system.token(role)?).send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        ensure!(status.is_success(), "{path} as {role}: {status} {text}");
        Ok(serde_json::from_str(&text).unwrap_or(Value::Null))
    }
}
