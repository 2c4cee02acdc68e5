//! Seed Linux 1 and 2, a sibling of another brand and a third party, made by the pipeline: pushed, built, tested, signed and
//! released. A machine of the first is installed with dnf, every signature checked.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anima_seedling::machine;
use anima_testkit::{Root, SourcePackage, System};
use anima_types::release::Status;

use crate::{
    BUILD_LIMIT,
    plans::{ok, planned, stands},
    system,
};

/// What is installed on a machine of the first release.
const INSTALLED: &str = "machine-release editor old-mailer old-ftp runtime-8 python2 perl-a perl-b games agent mover manual scripted \
                         tool-a tool-b configured shapes";
/// The platform that all of these are like.
const SEED: &str = include_str!("../../../../../platforms/seed-1.toml");
const ARCH: &str = std::env::consts::ARCH;

/// One line of the distribution: a platform, the product of the same name, and the packages that are pushed for it.
struct Line {
    name: &'static str,
    branch: &'static str,
    package: &'static str,
    spec: &'static str,
    repositories: &'static [&'static str],
    more: &'static str,
}

const LINES: [Line; 5] = [
    Line {
        name: "seed-1",
        branch: "s1",
        package: "machine",
        spec: machine::FIRST,
        repositories: &["BaseOS"],
        more: "",
    },
    Line {
        name: "elsewhere-1",
        branch: "e1",
        package: "elsewhere",
        spec: machine::OTHERS_FIRST,
        repositories: &["Main"],
        more: "[[repositories]]\nname = \"machine\"\nurl = \"{master}/repos/seed-1/BaseOS/{arch}/\"\n",
    },
    Line {
        name: "seed-2",
        branch: "s2",
        package: "machine",
        spec: machine::SECOND,
        repositories: &["BaseOS", "Extras"],
        more: "",
    },
    Line {
        name: "elsewhere-2",
        branch: "e2",
        package: "elsewhere",
        spec: machine::OTHERS_SECOND,
        repositories: &["Main"],
        more: "",
    },
    Line {
        name: "sprout-1",
        branch: "sprout",
        package: "machine",
        spec: machine::SECOND,
        repositories: &["BaseOS", "Extras"],
        more: "[packages.machine]\nmacros = { sibling = \"1\" }\n",
    },
];

/// Everything that was released, and a folder.
pub struct Distribution {
    system: System,
    folder: tempfile::TempDir,
}

impl Distribution {
    /// Makes all lines, one after the other: some need what others released.
    pub async fn new() -> Distribution {
        let mut system = system().await;
        system.stop().unwrap();
        let platforms = system.data().join("platforms");
        fs::create_dir_all(&platforms).unwrap();
        for line in &LINES {
            fs::write(platforms.join(format!("{}.toml", line.name)), line.platform()).unwrap();
        }
        system.up().await.unwrap();
        for line in &LINES {
            line.release(&system).await;
        }
        Distribution { system, folder: tempfile::tempdir().unwrap() }
    }

    /// Installs a machine of the first release with dnf, and does to it what owners do. Returns its root.
    pub fn install(&self) -> Root {
        let url = self.system.master_url();
        let root = Root::new(url, "seed-1").unwrap();
        root.add(url, "elsewhere-1").unwrap();
        let names: Vec<&str> = ["install"].into_iter().chain(INSTALLED.split_whitespace()).collect();
        root.dnf(&names).unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path("root").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("etc/configured.conf", "colour = mine\n");
        write("etc/replaced.conf", "size = mine\n");
        write("home/letter", "dear");
        write("etc/hostname", "seedling\n");
        write("etc/systemd/system/mine.service", "[Service]\nExecStart=/usr/bin/agent --serve\n");
        write(
            "etc/systemd/system/multi-user.target.wants/mine.service",
            "[Service]\nExecStart=/usr/bin/agent --serve\n",
        );
        for (file, name) in [("product.repo", "seed-1.repo"), ("elsewhere-1.repo", "elsewhere-1.repo")] {
            let text = fs::read_to_string(root.path("repos").join(file)).unwrap();
            write(&format!("etc/yum.repos.d/{name}"), &text);
        }
        root
    }

    /// Returns a path beside everything.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Makes a mirror of a product's repository, as an operator would, and returns its folder.
    pub fn mirror(&self, product: &str, repository: &str) -> PathBuf {
        let folder = self.path(&format!("mirror/{product}/{repository}"));
        fs::create_dir_all(&folder).unwrap();
        let address = format!("{product}/{repository}/{ARCH}");
        ok(&self.system, &["repo", "export", &address, folder.to_str().unwrap()]);
        folder
    }

    /// Fetches the public keys of a product into a file, and returns it with the ids of its keys as rpm has them.
    pub fn key(&self, product: &str) -> (PathBuf, String) {
        let file = self.path(&format!("RPM-GPG-KEY-{product}"));
        fs::write(&file, ok(&self.system, &["key", "export", product])).unwrap();
        let shown: serde_json::Value =
            serde_json::from_str(&ok(&self.system, &["--json", "key", "show", product])).unwrap();
        let fingerprint = shown["fingerprint"].as_str().unwrap_or_else(|| panic!("{shown}")).to_lowercase();
        (file, fingerprint[fingerprint.len() - 16..].to_string())
    }

    /// Writes the data of the way: what only events know, which repository follows which, whose keys are whose.
    pub fn data(&self) -> PathBuf {
        let folder = self.path("data");
        fs::create_dir_all(folder.join("rpm-gpg")).unwrap();
        let events = [
            event(1, 7, "old-ftp", "ftp-client", "BaseOS"),
            event(2, 3, "runtime-8", "runtime-17", "BaseOS"),
            event(3, 4, "python2", "python-core python-tools", "BaseOS"),
            event(4, 5, "perl-a perl-b", "perl-all", "BaseOS"),
            event(5, 1, "games", "", "BaseOS"),
            event(6, 6, "mover", "mover", "Extras"),
        ];
        write_json(&folder.join("pes-events.json"), &serde_json::json!({ "packageinfo": events }));
        let entry = |repoid: &str, major: &str| serde_json::json!([{ "repoid": repoid, "major_version": major, "arch": ARCH, "channel": "ga", "repo_type": "rpm" }]);
        let map = serde_json::json!({
            "version_format": "1.2.0",
            "mapping": [{ "source_major_version": "1", "target_major_version": "2",
                          "entries": [{ "source": "seed1-BaseOS", "target": ["seed2-BaseOS", "seed2-Extras"] }] }],
            "repositories": [{ "pesid": "seed1-BaseOS", "entries": entry("seed-1-BaseOS", "1") },
                             { "pesid": "seed2-BaseOS", "entries": entry("BaseOS", "2") },
                             { "pesid": "seed2-Extras", "entries": entry("Extras", "2") }],
        });
        write_json(&folder.join("repomap.json"), &map);
        let keys = ["seed-1", "seed-2", "sprout-1"].map(|product| {
            let (file, id) = self.key(product);
            fs::copy(&file, folder.join("rpm-gpg").join(file.file_name().unwrap())).unwrap();
            id
        });
        write_json(&folder.join("gpg-signatures.json"), &serde_json::json!({ "keys": keys }));
        folder
    }
}

impl Line {
    fn platform(&self) -> String {
        let own = [
            ("name = \"seed-1\"\ntitle = \"Seed Linux 1\"", format!("name = \"{0}\"\ntitle = \"{0}\"", self.name)),
            ("branch = \"s1\"", format!("branch = \"{}\"", self.branch)),
            // Where it goes is a person's choice here.
            ("release_to = \"seed-1\"\n", String::new()),
            // The machine has release file and folders of its own, so it is tested in nearly nothing.
            ("[\"bash\", \"coreutils\", \"rpm\", \"seed-release\"]", "[\"gcc-base\"]".to_string()),
        ];
        let replace = |text: String, (from, to): (&str, String)| {
            assert!(text.contains(from), "the platform's file is another: {from}");
            text.replacen(from, &to, 1)
        };
        own.into_iter().fold(SEED.to_string(), replace) + self.more
    }

    async fn release(&self, system: &System) {
        let mut create = vec!["product", "create", self.name, "--arch", ARCH, "--platform", self.name];
        self.repositories.iter().for_each(|repository| create.extend(["--repository", repository]));
        // A system has the product of Seed Linux 1 from its first start on.
        if self.name != "seed-1" {
            ok(system, &create);
        }
        let package = SourcePackage::with_spec(self.package, self.spec).unwrap();
        let commit = system.push(&package, self.branch).unwrap();
        let build = system.build_of(self.package, &commit).await.unwrap();
        let detail = system.ended(build, BUILD_LIMIT).await.unwrap();
        assert!(detail.build.status == anima_types::build::Status::Succeeded, "{}: {detail:#?}", self.name);
        let release = planned(system, &["release", "plan", &build.to_string(), "--product", self.name]).await;
        let id = release.id.to_string();
        if self.repositories.len() > 1 {
            let to = ["release", "edit", &id, "mover", "--to", "Extras", "--reason", "few need it"];
            ok(system, &to);
            stands(system, release.id, Status::Planned).await;
        }
        // It has files that the platform's own release package has, too: one machine has one of them.
        ok(system, &["release", "commit", &id, "--reason", "a machine has one release package"]);
        stands(system, release.id, Status::Released).await;
    }
}

fn event(id: u32, action: u32, inputs: &str, outputs: &str, repository: &str) -> serde_json::Value {
    let set = |names: &str| {
        let packages =
            names.split_whitespace().map(|name| serde_json::json!({ "name": name, "repository": repository }));
        serde_json::json!({ "set_id": id, "package": packages.collect::<Vec<_>>() })
    };
    let release = |major: u32| serde_json::json!({ "major_version": major, "minor_version": 0, "os_name": "Seed" });
    serde_json::json!({
        "id": id, "action": action, "architectures": [ARCH], "in_packageset": set(inputs), "out_packageset": set(outputs),
        "initial_release": release(1), "release": release(2),
    })
}

fn write_json(path: &Path, value: &serde_json::Value) {
    fs::write(path, serde_json::to_string_pretty(value).unwrap()).unwrap();
}
