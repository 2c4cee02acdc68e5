//! As much of YAML as modules are written in: maps, lists and texts. Anchors are refused: a small file could stand for a large
//! one by them.

use yaml_rust2::parser::{Event, EventReceiver, Parser};

/// Deeper than any document about modules.
const MAX_DEPTH: usize = 64;

/// A value. Numbers and the like are texts: a stream is called "5.30", not 5.3.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Yaml {
    Text(String),
    List(Vec<Yaml>),
    Map(Vec<(String, Yaml)>),
}

impl Yaml {
    pub fn get(&self, key: &str) -> Option<&Yaml> {
        self.entries().find(|(its, _)| *its == key).map(|(_, value)| value)
    }

    pub fn text(&self, key: &str) -> Option<&str> {
        match self.get(key)? {
            Yaml::Text(text) => Some(text),
            _ => None,
        }
    }

    pub fn entries(&self) -> impl Iterator<Item = (&str, &Yaml)> {
        let entries = if let Yaml::Map(entries) = self { entries.as_slice() } else { &[] };
        entries.iter().map(|(key, value)| (key.as_str(), value))
    }

    pub fn list(&self) -> impl Iterator<Item = &Yaml> {
        let list = if let Yaml::List(list) = self { list.as_slice() } else { &[] };
        list.iter()
    }

    /// Returns the texts of a list.
    pub fn texts(&self) -> Vec<String> {
        let texts = self.list().filter_map(|it| if let Yaml::Text(text) = it { Some(text.clone()) } else { None });
        texts.collect()
    }
}

/// Reads all documents of a stream.
pub(crate) fn documents(text: &str) -> Result<Vec<Yaml>, String> {
    let mut builder = Builder::default();
    Parser::new_from_str(text).load(&mut builder, true).map_err(|error| error.to_string())?;
    match builder.refused {
        Some(why) => Err(why.to_owned()),
        None => Ok(builder.documents),
    }
}

/// A list or a map that is not whole yet.
enum Open {
    List(Vec<Yaml>),
    Map(Vec<(String, Yaml)>, Option<String>),
}

#[derive(Default)]
struct Builder {
    documents: Vec<Yaml>,
    open: Vec<Open>,
    refused: Option<&'static str>,
}

impl EventReceiver for Builder {
    fn on_event(&mut self, event: Event) {
        match event {
            _ if self.refused.is_some() => {}
            Event::Scalar(text, ..) => self.add(Yaml::Text(text)),
            Event::SequenceStart(..) => self.begin(Open::List(Vec::new())),
            Event::MappingStart(..) => self.begin(Open::Map(Vec::new(), None)),
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open::List(list)) => self.add(Yaml::List(list)),
                Some(Open::Map(entries, _)) => self.add(Yaml::Map(entries)),
                None => self.refused = Some("it ends what was not begun"),
            },
            Event::Alias(_) => self.refused = Some("it refers to another part of itself"),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart | Event::DocumentEnd => {}
        }
    }
}

impl Builder {
    fn begin(&mut self, open: Open) {
        if self.open.len() == MAX_DEPTH {
            self.refused = Some("it is nested too deeply");
        }
        self.open.push(open);
    }

    fn add(&mut self, value: Yaml) {
        match (self.open.last_mut(), value) {
            (None, value) => self.documents.push(value),
            (Some(Open::List(list)), value) => list.push(value),
            (Some(Open::Map(entries, key)), value) => match (key.take(), value) {
                (Some(key), value) => entries.push((key, value)),
                (None, Yaml::Text(text)) => *key = Some(text),
                (None, _) => self.refused = Some("a key of a map is no text"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_stays_the_text_that_it_is() {
        let documents = documents("---\na: 5.30\nb: [1, '2']\n...\n---\nc: {}\n").unwrap();

        assert_eq!((documents[0].text("a"), documents.len()), (Some("5.30"), 2));
        assert_eq!(documents[0].get("b").unwrap().texts(), ["1", "2"]);
    }

    #[test]
    fn what_could_grow_without_bound_is_refused() {
        let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));

        assert!(documents("a: &x [1]\nb: *x\n").unwrap_err().contains("refers to another part"));
        assert!(documents(&deep).is_err());
        assert!(documents("{[a]: b}").unwrap_err().contains("key of a map"));
        assert!(documents("a: [").is_err());
    }
}
