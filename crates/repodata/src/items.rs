//! XML that is a list of things with ids: the advisories of `updateinfo.xml`, the groups, categories and environments of
//! `comps.xml`. Each thing is kept whole, known elements or not, so that nothing is lost between reading and writing.

use std::{collections::BTreeMap, fmt::Write, io::BufRead};

use crate::{
    Error, Result,
    xml::{Document, Node, attribute, text},
};

/// Things at most: Fedora has some 10,000 advisories at once.
const MAX_ITEMS: usize = 200_000;

/// An element with all that is in it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Tree {
    /// Its name, with its prefix.
    pub name: String,
    /// Its attributes, in their order.
    pub attributes: Vec<(String, String)>,
    /// Its text; that between elements is left out where it is only space.
    pub text: String,
    /// The elements in it.
    pub children: Vec<Tree>,
}

/// A list of things.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Items {
    /// The root's name and attributes.
    pub root: Tree,
    /// The things, in their order.
    pub items: Vec<Tree>,
}

/// What differs between two lists: `kind id`, such as `group core`; an advisory has its id alone.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ItemsDiff {
    /// What is only in the new one.
    pub added: Vec<String>,
    /// What is only in the old one.
    pub removed: Vec<String>,
    /// What says something else.
    pub changed: Vec<String>,
}

impl ItemsDiff {
    /// Returns whether both say the same.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }

    /// Compares things by their names.
    pub(crate) fn between<T: PartialEq>(old: &BTreeMap<String, T>, new: &BTreeMap<String, T>) -> ItemsDiff {
        let only = |these: &BTreeMap<String, T>, those: &BTreeMap<String, T>| {
            these.keys().filter(|key| !those.contains_key(*key)).cloned().collect()
        };
        let changed = new.iter().filter(|(key, item)| old.get(*key).is_some_and(|before| before != *item));
        ItemsDiff {
            added: only(new, old),
            removed: only(old, new),
            changed: changed.map(|(key, _)| key.clone()).collect(),
        }
    }
}

impl Tree {
    /// Returns an element with a text.
    pub fn new(name: &str, text: impl Into<String>) -> Tree {
        Tree { name: name.to_string(), text: text.into(), ..Tree::default() }
    }

    /// Adds an attribute.
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Tree {
        self.attributes.push((name.to_string(), value.into()));
        self
    }

    /// Returns an attribute.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Returns the first element of that name in it.
    pub fn child(&self, name: &str) -> Option<&Tree> {
        self.children.iter().find(|child| child.name == name)
    }

    /// Returns the text of the first element of that name in it.
    pub fn child_text(&self, name: &str) -> &str {
        self.child(name).map_or("", |child| child.text.as_str())
    }

    fn write(&self, out: &mut String, depth: usize) {
        let put = |out: &mut String, line: std::fmt::Arguments<'_>| out.write_fmt(line).expect("a string takes all");
        let indent = "  ".repeat(depth);
        put(out, format_args!("{indent}<{}", self.name));
        for (name, value) in &self.attributes {
            put(out, format_args!(" {name}=\"{}\"", attribute(value)));
        }
        if self.text.is_empty() && self.children.is_empty() {
            out.push_str("/>\n");
            return;
        }
        put(out, format_args!(">{}", text(&self.text)));
        if !self.children.is_empty() {
            out.push('\n');
            self.children.iter().for_each(|child| child.write(out, depth + 1));
            out.push_str(&indent);
        }
        put(out, format_args!("</{}>\n", self.name));
    }
}

impl Items {
    /// Starts a list of advisories.
    pub fn updateinfo() -> Items {
        Items { root: Tree::new("updates", ""), items: Vec::new() }
    }

    /// Starts a list of groups.
    pub fn comps() -> Items {
        Items { root: Tree::new("comps", ""), items: Vec::new() }
    }

    /// Reads a list, open; `name` is what errors call it.
    pub fn read(reader: impl BufRead, name: &str) -> Result<Items> {
        let mut document = Document::new(reader, name);
        let mut found: Option<Items> = None;
        loop {
            document.settle();
            match (document.next()?, &mut found) {
                (Node::Start(element), None) => {
                    let (name, attributes) = (element.full_name, element.attributes);
                    found = Some(Items { root: Tree { name, attributes, ..Tree::default() }, items: Vec::new() });
                }
                (Node::Start(element), Some(list)) if list.items.len() < MAX_ITEMS => {
                    let (name, attributes) = (element.full_name, element.attributes);
                    list.items.push(tree(&mut document, Tree { name, attributes, ..Tree::default() })?);
                }
                (Node::Start(_), Some(_)) => return Err(document.error(format!("it has more than {MAX_ITEMS} items"))),
                (Node::Text(_) | Node::End, _) => {}
                (Node::Eof, Some(_)) => return Ok(found.unwrap_or_default()),
                (Node::Eof, None) => return Err(document.error("it is empty")),
            }
        }
    }

    /// Reads a list in memory.
    pub fn parse(bytes: &[u8], name: &str) -> Result<Items> {
        Items::read(bytes, name)
    }

    /// Writes it.
    pub fn to_xml(&self) -> Vec<u8> {
        let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        Tree { children: self.items.clone(), ..self.root.clone() }.write(&mut out, 0);
        out.into_bytes()
    }

    /// Adds things; one of the same kind and id takes the place of the one that is there.
    pub fn put(&mut self, items: impl IntoIterator<Item = Tree>) {
        let mut places: BTreeMap<String, usize> =
            self.items.iter().enumerate().map(|(at, item)| (label(item), at)).collect();
        for item in items {
            match places.get(&label(&item)) {
                Some(at) => self.items[*at] = item,
                None => {
                    places.insert(label(&item), self.items.len());
                    self.items.push(item);
                }
            }
        }
    }

    /// Takes a thing away; returns whether it was there.
    pub fn remove(&mut self, wanted: &str) -> bool {
        let before = self.items.len();
        self.items.retain(|item| label(item) != wanted);
        self.items.len() < before
    }

    /// Returns what differs in a newer list.
    pub fn diff(&self, newer: &Items) -> ItemsDiff {
        let by_label = |list: &Items| list.items.iter().map(|item| (label(item), item.clone())).collect();
        ItemsDiff::between(&by_label(self), &by_label(newer))
    }
}

/// Returns what a thing is called: its kind and id. A thing without an id, such as the language packs, is the only one.
fn label(item: &Tree) -> String {
    match (item.name.as_str(), item.child_text("id").trim()) {
        ("update", id) => id.to_string(),
        (kind, "") => kind.to_string(),
        (kind, id) => format!("{kind} {id}"),
    }
}

fn tree<R: BufRead>(document: &mut Document<R>, mut tree_so_far: Tree) -> Result<Tree> {
    loop {
        match document.next()? {
            Node::Start(element) => {
                let (name, attributes) = (element.full_name, element.attributes);
                let child = tree(document, Tree { name, attributes, ..Tree::default() })?;
                tree_so_far.children.push(child);
            }
            Node::Text(more) => tree_so_far.text.push_str(&more),
            Node::End => {
                let is_space = tree_so_far.text.trim().is_empty();
                if is_space {
                    tree_so_far.text.clear();
                } else if !tree_so_far.children.is_empty() {
                    tree_so_far.text = tree_so_far.text.trim().to_string();
                }
                return Ok(tree_so_far);
            }
            Node::Eof => return Err(Error::malformed(&document.name, "it ends too early")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMPS: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE comps PUBLIC '-//Red Hat, Inc.//DTD Comps info//EN' 'comps.dtd'>
<comps>
  <group><id>core</id><name>Core</name><name xml:lang="de">Kern &amp; mehr</name><default>true</default>
    <packagelist><packagereq type="conditional" requires="glibc">a</packagereq></packagelist></group>
  <environment><id>core</id><grouplist><groupid default="true">core</groupid></grouplist></environment>
  <langpacks><match name="a" install="a-%s"/></langpacks>
</comps>"#;

    #[test]
    fn nothing_is_lost_between_reading_and_writing() {
        let comps = Items::parse(COMPS.as_bytes(), "comps.xml").unwrap();

        assert_eq!(Items::parse(&comps.to_xml(), "again").unwrap(), comps);
        let text = String::from_utf8(comps.to_xml()).unwrap();
        assert!(text.contains("<name xml:lang=\"de\">Kern &amp; mehr</name>"), "{text}");
        assert!(text.contains("<match name=\"a\" install=\"a-%s\"/>"), "{text}");
    }

    #[test]
    fn things_are_put_taken_away_and_compared_by_kind_and_id() {
        let old = Items::parse(COMPS.as_bytes(), "comps.xml").unwrap();
        let mut new = old.clone();
        let group = |id: &str| Tree { children: vec![Tree::new("id", id)], ..Tree::new("group", "") };

        new.put([group("core"), group("web")]);
        assert!(new.remove("environment core") && !new.remove("environment core"));

        let diff = old.diff(&new);
        assert_eq!(diff.added, ["group web"]);
        assert_eq!(diff.removed, ["environment core"]);
        assert_eq!(diff.changed, ["group core"]);
        assert!(old.diff(&old).is_empty());
        assert_eq!(new.items.iter().map(label).collect::<Vec<_>>(), ["group core", "langpacks", "group web"]);
    }

    #[test]
    fn a_document_type_that_defines_something_is_refused() {
        let bomb = "<!DOCTYPE comps [<!ENTITY a \"aaaa\">]><comps><group>&a;</group></comps>";

        assert!(Items::parse(bomb.as_bytes(), "comps.xml").is_err());
        assert!(Items::parse(b"", "comps.xml").is_err());
        assert!(Items::parse(b"<comps><group>", "comps.xml").is_err());
    }
}
