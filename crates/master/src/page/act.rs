//! What a reader may do with what a page shows: a form for who may, and the command for everybody.
//!
//! A form is shown to who may send it; its route asks again, and does what the API's route does.

use anima_types::permission::Permission;

use super::{answer::PageError, visitor::Visitor, words::address_part};
use crate::{app::App, auth::Caller, target};

/// Something that can be done.
pub struct Act {
    /// The same on the command line.
    pub command: String,
    /// What will happen.
    pub says: &'static str,
    /// How it is done from the page; what only reads has none.
    pub form: Option<Form>,
}

/// A form that does it.
pub struct Form {
    /// Where it is sent.
    pub address: String,
    /// What stands on the button.
    pub word: &'static str,
    /// What else is asked.
    pub fields: Vec<Field>,
    /// It is what is done next as a rule.
    pub is_main: bool,
    /// Who may send it.
    permission: Permission,
}

/// A field of a form.
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// What stands before it.
    pub label: &'static str,
    /// HTML's word for its kind.
    pub kind: &'static str,
    /// Its value where nothing is typed.
    pub value: String,
    /// Whether the form is not sent without it.
    pub is_required: bool,
    /// What is proposed.
    pub proposals: Vec<String>,
}

impl Act {
    /// Something that only reads.
    pub fn look(command: String, says: &'static str) -> Act {
        Act { command, says, form: None }
    }

    /// Something that a button does.
    pub fn press(
        word: &'static str,
        address: String,
        permission: Permission,
        command: String,
        says: &'static str,
    ) -> Act {
        let form = Form { address, word, fields: Vec::new(), is_main: false, permission };
        Act { command, says, form: Some(form) }
    }

    /// It asks something, too.
    pub fn asking(mut self, field: Field) -> Act {
        if let Some(form) = &mut self.form {
            form.fields.push(field);
        }
        self
    }

    /// It is what is done next as a rule.
    pub fn main(mut self) -> Act {
        if let Some(form) = &mut self.form {
            form.is_main = true;
        }
        self
    }
}

impl Field {
    /// A line of text.
    pub const fn text(name: &'static str, label: &'static str) -> Field {
        Field { name, label, kind: "text", value: String::new(), is_required: false, proposals: Vec::new() }
    }

    /// What the reader does not see.
    pub const fn hidden(name: &'static str, value: String) -> Field {
        Field { name, label: "", kind: "hidden", value, is_required: false, proposals: Vec::new() }
    }

    /// The form is not sent without it.
    pub fn required(self) -> Field {
        Field { is_required: true, ..self }
    }
}

impl Form {
    /// Returns whether the reader has to type something, or may.
    pub fn asks(&self) -> bool {
        self.fields.iter().any(|field| field.kind != "hidden")
    }
}

/// What a page offers to its reader.
pub struct Acts {
    /// What they may do here.
    pub forms: Vec<(Form, &'static str)>,
    /// All of it as commands.
    pub commands: Vec<(String, &'static str)>,
    /// Where somebody signs in who did not; none where it would change nothing.
    pub sign_in: Option<String>,
    /// The word that each form carries.
    pub word: String,
}

/// Returns what of it the reader may do. `noun` and `id` are what it is done to, as they stand in the address of the page,
/// `/{noun}s/{id}`.
pub async fn offered(app: &App, caller: &Caller, (noun, id): (&str, &str), acts: Vec<Act>) -> Result<Acts, PageError> {
    let visitor = Visitor::current();
    let mut offered = Acts { forms: Vec::new(), commands: Vec::new(), sign_in: None, word: visitor.word() };
    for Act { command, says, form } in acts {
        offered.commands.push((command, says));
        match form {
            Some(form) if visitor.name.is_some() && visitor.secret().is_some() => {
                let may = may(app, caller, form.permission, noun, id).await?;
                offered.forms.extend(may.then_some((form, says)));
            }
            Some(_) if visitor.name.is_none() => {
                offered.sign_in = Some(format!("/sign-in?to={}", address_part(&format!("/{noun}s/{id}"))));
            }
            _ => {}
        }
    }
    Ok(offered)
}

async fn may(app: &App, caller: &Caller, permission: Permission, noun: &str, id: &str) -> Result<bool, PageError> {
    if caller.check_somewhere(permission).is_err() {
        return Ok(false);
    }
    if caller.may_everywhere(permission) {
        return Ok(true);
    }
    let targets = target::of_address(app, permission, &[(noun.to_string(), id.to_string())]).await?;
    Ok(caller.check(permission, &targets).is_ok())
}
