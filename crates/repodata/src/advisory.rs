//! Advisories, as `updateinfo.xml` has them for dnf.

use crate::Tree;

/// One published notice.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Advisory {
    /// Its id, such as `SEED-2026:0007`.
    pub id: String,
    /// Who is responsible.
    pub from: String,
    /// `security`, `bugfix`, `enhancement` or `newpackage`.
    pub kind: String,
    /// `Critical`, `Important`, `Moderate`, `Low`, or nothing.
    pub severity: String,
    /// One line.
    pub title: String,
    /// The whole.
    pub description: String,
    /// When it was published first, as text.
    pub issued: String,
    /// When it was changed last, as text.
    pub updated: String,
    /// What it refers to.
    pub references: Vec<Reference>,
    /// The packages that it brings.
    pub packages: Vec<AdvisoryPackage>,
}

/// What an advisory refers to.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Reference {
    /// `cve`, `bugzilla`, `self` or `other`.
    pub kind: String,
    /// Its id.
    pub id: String,
    /// Its address.
    pub href: String,
    /// One line.
    pub title: String,
}

/// A package that an advisory brings.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AdvisoryPackage {
    /// The package.
    pub nevra: anima_types::Nevra,
    /// Its file's name.
    pub file_name: String,
    /// Its source package's file's name.
    pub source: String,
    /// The digest of its file.
    pub sha256: Option<anima_types::Sha256>,
}

impl Advisory {
    /// Returns it as an item of `updateinfo.xml`; `collection` is the repository that the packages are in.
    pub fn to_tree(&self, collection: &str) -> Tree {
        let mut children = vec![Tree::new("id", &self.id), Tree::new("title", &self.title)];
        for (name, date) in [("issued", &self.issued), ("updated", &self.updated)] {
            if !date.is_empty() {
                children.push(Tree::new(name, "").with("date", date));
            }
        }
        if !self.severity.is_empty() {
            children.push(Tree::new("severity", &self.severity));
        }
        children.push(Tree::new("description", &self.description));
        let references = self.references.iter().map(Reference::to_tree).collect();
        children.push(Tree { children: references, ..Tree::new("references", "") });
        let mut packages = vec![Tree::new("name", collection)];
        packages.extend(self.packages.iter().map(AdvisoryPackage::to_tree));
        let collection = Tree { children: packages, ..Tree::new("collection", "").with("short", collection) };
        children.push(Tree { children: vec![collection], ..Tree::new("pkglist", "") });
        let update = Tree::new("update", "").with("from", &self.from).with("status", "final");
        Tree { children, ..update.with("type", &self.kind).with("version", "1") }
    }

    /// Reads an item; what is not understood is left out.
    pub fn from_tree(tree: &Tree) -> Advisory {
        let date = |name| tree.child(name).and_then(|child| child.get("date")).unwrap_or_default().to_string();
        let attribute = |name| tree.get(name).unwrap_or_default().to_string();
        let all = |tree: Option<&Tree>, name: &str| -> Vec<Tree> {
            let children = tree.into_iter().flat_map(|tree| &tree.children);
            children.filter(|child| child.name == name).cloned().collect()
        };
        let collections = all(tree.child("pkglist"), "collection");
        let packages = collections.iter().flat_map(|collection| all(Some(collection), "package"));
        Advisory {
            id: tree.child_text("id").trim().to_string(),
            from: attribute("from"),
            kind: attribute("type"),
            severity: tree.child_text("severity").to_string(),
            title: tree.child_text("title").to_string(),
            description: tree.child_text("description").to_string(),
            issued: date("issued"),
            updated: date("updated"),
            references: all(tree.child("references"), "reference").iter().map(Reference::from_tree).collect(),
            packages: packages.filter_map(|package| AdvisoryPackage::from_tree(&package)).collect(),
        }
    }
}

impl Reference {
    fn to_tree(&self) -> Tree {
        let reference = Tree::new("reference", "").with("href", &self.href).with("id", &self.id);
        reference.with("type", &self.kind).with("title", &self.title)
    }

    fn from_tree(tree: &Tree) -> Reference {
        let attribute = |name| tree.get(name).unwrap_or_default().to_string();
        Reference { kind: attribute("type"), id: attribute("id"), href: attribute("href"), title: attribute("title") }
    }
}

impl AdvisoryPackage {
    fn to_tree(&self) -> Tree {
        let evr = &self.nevra.evr;
        let mut children = vec![Tree::new("filename", &self.file_name)];
        children.extend(self.sha256.map(|sha256| Tree::new("sum", sha256.to_string()).with("type", "sha256")));
        let package = Tree::new("package", "").with("name", &self.nevra.name).with("version", &evr.version);
        let package = package.with("release", &evr.release).with("epoch", evr.epoch.to_string());
        Tree { children, ..package.with("arch", &self.nevra.arch).with("src", &self.source) }
    }

    fn from_tree(tree: &Tree) -> Option<AdvisoryPackage> {
        let attribute = |name| tree.get(name).unwrap_or_default();
        let epoch = attribute("epoch").parse().unwrap_or(0);
        let evr = anima_types::Evr::new(epoch, attribute("version"), attribute("release"));
        let sum = tree.children.iter().find(|child| child.name == "sum" && child.get("type") == Some("sha256"));
        Some(AdvisoryPackage {
            nevra: anima_types::Nevra { name: tree.get("name")?.to_string(), evr, arch: attribute("arch").to_string() },
            file_name: tree.child_text("filename").to_string(),
            source: attribute("src").to_string(),
            sha256: sum.and_then(|sum| sum.text.trim().parse().ok()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Items;

    #[test]
    fn an_advisory_is_the_same_after_writing_and_reading() {
        let package = AdvisoryPackage {
            nevra: "jq-1:1.7-2.x86_64".parse().unwrap(),
            file_name: "jq-1.7-2.x86_64.rpm".into(),
            source: "jq-1.7-2.src.rpm".into(),
            sha256: Some(anima_types::Sha256([7; 32])),
        };
        let reference = Reference {
            kind: "cve".into(),
            id: "CVE-2026-1".into(),
            href: "https://example.org/1?a&b".into(),
            title: "t".into(),
        };
        let advisory = Advisory {
            id: "SEED-2026:0001".into(),
            from: "security@example.org".into(),
            kind: "security".into(),
            severity: "Important".into(),
            title: "jq".into(),
            description: "two\nlines <with> signs".into(),
            issued: "2026-11-25 10:00:00".into(),
            updated: String::new(),
            references: vec![reference],
            packages: vec![package],
        };
        let mut list = Items::updateinfo();
        list.put([advisory.to_tree("BaseOS")]);

        let read = Items::parse(&list.to_xml(), "updateinfo.xml").unwrap();

        assert_eq!(Advisory::from_tree(&read.items[0]), advisory);
        assert_eq!(Items::updateinfo().diff(&read).added, ["SEED-2026:0001"]);
    }
}
