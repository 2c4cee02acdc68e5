//! How one operation of the API is described: what it takes, in the address, the query and the body, and what it gives.

/// One operation.
#[derive(Clone, Copy)]
pub struct Operation {
    /// The method.
    pub method: &'static str,
    /// The address.
    pub path: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// What may stand in its query.
    pub query: &'static [Parameter],
    /// It is a list in pages.
    pub is_paged: bool,
    /// The schema of its body, or [`BYTES`].
    pub takes: Option<&'static str>,
    /// It takes `If-Match`.
    pub is_conditional: bool,
    /// It does without its body.
    pub is_body_optional: bool,
    /// The schema of its answer; a list where it stands in brackets.
    pub gives: Option<&'static str>,
    /// The media type of an answer that has no schema.
    pub media: Option<&'static str>,
    /// The status of its answer, and those besides.
    pub status: u16,
    /// See above.
    pub or: &'static [u16],
}

/// A body of any bytes.
pub const BYTES: &str = "bytes";

/// Something in a query.
#[derive(Clone, Copy)]
pub struct Parameter {
    /// What it is called.
    pub name: &'static str,
    /// What may stand there.
    pub kind: Kind,
    /// It cannot be left away.
    pub is_required: bool,
}

/// What may stand somewhere in a query.
#[derive(Clone, Copy)]
pub enum Kind {
    /// A whole number, such as an id.
    Number,
    /// A place in a file, from 0 on.
    Offset,
    /// Any text.
    Text,
    /// Yes or no.
    Flag,
    /// One of these words.
    Words(&'static [&'static str]),
    /// A moment, as RFC 3339 writes it.
    Moment,
}

/// Returns something that may be left away.
pub const fn may(name: &'static str, kind: Kind) -> Parameter {
    Parameter { name, kind, is_required: false }
}

/// Returns something that has to be there.
pub const fn must(name: &'static str, kind: Kind) -> Parameter {
    Parameter { name, kind, is_required: true }
}

impl Operation {
    const fn new(method: &'static str, path: &'static str, summary: &'static str) -> Operation {
        Operation {
            method,
            path,
            summary,
            query: &[],
            is_paged: false,
            is_conditional: false,
            takes: None,
            is_body_optional: false,
            gives: None,
            media: None,
            status: 200,
            or: &[],
        }
    }

    /// It has this in its query.
    pub const fn query(mut self, query: &'static [Parameter]) -> Operation {
        self.query = query;
        self
    }

    /// It answers with this status, and these besides.
    pub const fn status(mut self, status: u16, or: &'static [u16]) -> Operation {
        self.status = status;
        self.or = or;
        self
    }

    /// It takes `If-Match`.
    pub const fn conditional(mut self) -> Operation {
        self.is_conditional = true;
        self
    }

    /// It is a list in pages.
    pub const fn paged(mut self) -> Operation {
        self.is_paged = true;
        self
    }

    /// It does without its body.
    pub const fn optional(mut self) -> Operation {
        self.is_body_optional = true;
        self
    }

    /// It takes bytes.
    pub const fn bytes(mut self) -> Operation {
        self.takes = Some(BYTES);
        self
    }

    /// Its answer is of this media type.
    pub const fn media(mut self, media: &'static str) -> Operation {
        self.media = Some(media);
        self
    }
}

/// Reads something.
pub const fn read(path: &'static str, summary: &'static str, gives: &'static str) -> Operation {
    Operation { gives: Some(gives), ..Operation::new("GET", path, summary) }
}

/// Reads something that is no JSON.
pub const fn stream(path: &'static str, summary: &'static str, media: &'static str) -> Operation {
    Operation::new("GET", path, summary).media(media)
}

/// Does something.
pub const fn act(path: &'static str, summary: &'static str) -> Operation {
    Operation::new("POST", path, summary)
}

/// Does something with what it is told.
pub const fn ask(path: &'static str, summary: &'static str, takes: &'static str, gives: &'static str) -> Operation {
    Operation { takes: Some(takes), gives: Some(gives), ..Operation::new("POST", path, summary) }
}

/// Makes something.
pub const fn make(path: &'static str, summary: &'static str, takes: &'static str, gives: &'static str) -> Operation {
    ask(path, summary, takes, gives).status(201, &[])
}

/// Anything else.
pub const fn operation(
    method: &'static str,
    path: &'static str,
    summary: &'static str,
    takes: Option<&'static str>,
    gives: Option<&'static str>,
) -> Operation {
    Operation { takes, gives, ..Operation::new(method, path, summary) }
}
