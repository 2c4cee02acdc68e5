//! Small machines and repositories, written by hand.
#![allow(dead_code, reason = "each test program uses a part of it")]

pub mod model;

use std::{fs, path::Path};

use anima_elevate::{
    data::{Data, Events},
    facts::{FACTS_VERSION, Facts, Installed, Os},
    plan::{Plan, Target, TargetRepository, Wishes, plan},
    probes::Probes,
};
use anima_repodata::Checksum;

/// A package of a repository: name, version, requires, obsoletes.
pub type Available<'a> = (&'a str, &'a str, &'a [&'a str], &'a [&'a str]);

/// When all packages of the repositories were built.
pub const BUILT_AT_SECS: u64 = 1_735_689_600;

/// A package that is installed: name, version, requires.
pub fn installed(name: &str, version: &str, requires: &[&str]) -> Installed {
    Installed {
        name: name.into(),
        version: version.into(),
        release: "1.el1".into(),
        arch: "x86_64".into(),
        vendor: "Seed".into(),
        key_id: "0123456789abcdef".into(),
        size_bytes: 1000,
        provides: vec![format!("{name} = {version}-1.el1")],
        requires: requires.iter().map(ToString::to_string).collect(),
        ..Installed::default()
    }
}

pub fn facts(packages: Vec<Installed>) -> Facts {
    Facts {
        version: FACTS_VERSION,
        host: Some("ada".into()),
        os: Os { id: "seed".into(), name: "Seed Linux 1".into(), release: "1".parse().unwrap() },
        arch: "x86_64".into(),
        packages,
        repositories: vec![],
        mounts: vec![],
        services: vec![],
        modules_loaded: vec![],
        probes: Some(Probes::default()),
    }
}

/// Writes a repository as its folder has it.
pub fn repository(folder: &Path, packages: &[Available<'_>]) {
    fs::create_dir_all(folder.join("repodata")).unwrap();
    let package = |(name, version, requires, obsoletes): &Available<'_>| {
        let entries =
            |list: &[&str]| list.iter().map(|name| format!("<rpm:entry name=\"{name}\"/>")).collect::<String>();
        format!(
            "<package type=\"rpm\"><name>{name}</name><arch>x86_64</arch><version epoch=\"0\" ver=\"{version}\" rel=\"1.el2\"/>\
             <checksum type=\"sha256\" pkgid=\"YES\">{:064x}</checksum><time file=\"1\" build=\"{BUILT_AT_SECS}\"/><size package=\"500\" installed=\"2000\"/>\
             <location href=\"{name}.rpm\"/><format><rpm:vendor>Seed</rpm:vendor><rpm:provides>\
             <rpm:entry name=\"{name}\" flags=\"EQ\" epoch=\"0\" ver=\"{version}\" rel=\"1.el2\"/>{}</rpm:provides>\
             <rpm:requires>{}</rpm:requires><rpm:obsoletes>{}</rpm:obsoletes></format></package>",
            1,
            // A package that is called so says which distribution it is.
            if name.ends_with("-release") { "<rpm:entry name=\"system-release\"/>" } else { "" },
            entries(requires),
            entries(obsoletes)
        )
    };
    let primary = format!(
        "<metadata xmlns=\"http://linux.duke.edu/metadata/common\" xmlns:rpm=\"http://linux.duke.edu/metadata/rpm\" packages=\"{}\">{}</metadata>",
        packages.len(),
        packages.iter().map(package).collect::<String>()
    );
    fs::write(folder.join("repodata/primary.xml"), &primary).unwrap();
    let repomd = format!(
        "<repomd xmlns=\"http://linux.duke.edu/metadata/repo\"><revision>1</revision><data type=\"primary\">\
         <checksum type=\"sha256\">{}</checksum><location href=\"repodata/primary.xml\"/><timestamp>1</timestamp></data></repomd>",
        Checksum::sha256(primary.as_bytes()).hex
    );
    fs::write(folder.join("repodata/repomd.xml"), repomd).unwrap();
}

/// An event from release 1 to 2.
pub fn event(id: i64, action: u64, inputs: &[&str], outputs: &[&str]) -> String {
    let set = |names: &[&str]| {
        let list = names
            .iter()
            .map(|name| format!("{{\"name\": \"{name}\", \"repository\": \"base\", \"module_stream\": null}}"));
        format!("{{\"set_id\": 1, \"package\": [{}]}}", list.collect::<Vec<_>>().join(", "))
    };
    format!(
        "{{\"id\": {id}, \"action\": {action}, \"arches\": [\"x86_64\"], \"in_packageset\": {}, \"out_packageset\": {},\n\
         \"initial_release\": {{\"major_version\": 1, \"minor_version\": 0, \"os_name\": \"Seed\"}},\n\
         \"release\": {{\"major_version\": 2, \"minor_version\": 0, \"os_name\": \"Seed\"}}}}",
        set(inputs),
        set(outputs)
    )
}

pub fn data(events: &[String]) -> Data {
    let text = format!("{{\"timestamp\": \"now\",\n\"packageinfo\": [\n{}\n]}}", events.join(",\n"));
    Data { events: vec![Events::parse(Path::new("pes-events.json"), &text).unwrap()], ..Data::default() }
}

/// Plans the way of a machine from release 1 to 2 with one repository.
pub fn plan_of(packages: Vec<Installed>, events: &[String], available: &[Available<'_>], wishes: &Wishes) -> Plan {
    let folder = tempfile::tempdir().unwrap();
    repository(folder.path(), available);
    let repositories = vec![TargetRepository { id: "base".into(), folder: folder.path().to_path_buf() }];
    let target = Target { release: "2".parse().unwrap(), repositories, cache: None };
    plan(&facts(packages), &data(events), &target, wishes).unwrap()
}
