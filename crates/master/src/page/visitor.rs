//! Who looks at a page: what the frame around each page says of them, and what their forms are protected with.

use anima_types::permission::{Permission, Role};
use axum::response::Response;

use crate::{auth::Known, session};

tokio::task_local! {
    /// Around each request. Errors become pages, too, where nothing of the request is at hand any more.
    static VISITOR: Visitor;
}

/// Who looks.
#[derive(Clone, Debug, Default)]
pub struct Visitor {
    /// The account's name of who signed in.
    pub name: Option<String>,
    /// Whether they may read the audit.
    pub may_audit: bool,
    /// Whether they mind people.
    pub may_manage_people: bool,
    /// The secret that forms are protected with, if there is one yet.
    secret: Option<String>,
}

impl Visitor {
    /// Returns who looks at the page that is being made.
    pub fn current() -> Visitor {
        VISITOR.try_with(Visitor::clone).unwrap_or_default()
    }

    /// Returns the secret of the session, or of the visit.
    pub fn secret(&self) -> Option<&str> {
        self.secret.as_deref()
    }

    /// Returns the word that each form carries.
    pub fn word(&self) -> String {
        self.secret.as_deref().map(session::form_word).unwrap_or_default()
    }
}

/// Makes an answer for who looks.
pub async fn visit(known: &Known, answer: impl Future<Output = Response>) -> Response {
    let caller = &known.caller;
    let visitor = Visitor {
        name: (caller.role == Role::Person).then(|| caller.name.clone()),
        may_audit: caller.check(Permission::Audit, &[]).is_ok(),
        may_manage_people: caller.check(Permission::ManagePeople, &[]).is_ok(),
        secret: known.form_secret.clone(),
    };
    VISITOR.scope(visitor, answer).await
}
