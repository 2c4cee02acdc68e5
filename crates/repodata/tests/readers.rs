//! Every reader that can be had reads metadata of many frames: libsolv's tools, createrepo_c, the Python bindings of
//! libsolv, librepo and createrepo_c, dnf with advisories, groups and modules; zypper.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anima_repodata::{Advisory, AdvisoryPackage, Attachment, Compression, IndexOptions, Items, Repomd, Tree, index};
use anima_testkit::{Unpacked, corpus};
use tempfile::TempDir;

const COUNT: u32 = 140;
const MODULES: &str = "---\ndocument: modulemd\nversion: 2\ndata:\n  name: nut\n  stream: \"1\"\n  version: 1\n  context: abc\n  arch: x86_64\n\
    \x20 summary: Nuts\n  description: >-\n    Nuts\n  license:\n    module: [MIT]\n  artifacts:\n    rpms:\n    - nut-0:1-1.x86_64\n...\n";

/// A repository of several buckets that was made, changed once, and has an advisory, a group and a module.
fn repository(compression: Compression) -> TempDir {
    let folder = TempDir::new().unwrap();
    let options = IndexOptions { compression, revision_secs: 1_700_000_000, is_whole: false };
    (0..COUNT - 1).for_each(|number| drop(corpus::package(folder.path(), number).unwrap()));
    index(folder.path(), &options).unwrap();
    let last = corpus::package(folder.path(), COUNT - 1).unwrap();
    assert_eq!(index(folder.path(), &options).unwrap().read_count, 1);
    attach(folder.path(), compression, last.file_name().unwrap().to_str().unwrap());
    folder
}

fn attach(folder: &Path, compression: Compression, file_name: &str) {
    let package = AdvisoryPackage {
        nevra: file_name.trim_end_matches(".rpm").parse().unwrap(),
        file_name: file_name.to_string(),
        source: String::new(),
        sha256: None,
    };
    let advisory = Advisory {
        id: "TEST-2026:0001".into(),
        from: "security@example.org".into(),
        kind: "security".into(),
        severity: "Important".into(),
        title: "a title".into(),
        description: "a description".into(),
        issued: "2026-11-25 00:00:00".into(),
        packages: vec![package],
        ..Advisory::default()
    };
    let mut updateinfo = Items::updateinfo();
    updateinfo.put([advisory.to_tree("test")]);
    let mut group = Tree::new("group", "");
    group.children = vec![
        Tree::new("id", "nuts"),
        Tree::new("name", "All nuts"),
        Tree::new("default", "true"),
        Tree::new("uservisible", "true"),
        Tree {
            children: vec![Tree::new("packagereq", "nut").with("type", "mandatory")],
            ..Tree::new("packagelist", "")
        },
    ];
    let mut comps = Items::comps();
    comps.put([group]);
    let mut repomd = Repomd::parse(&fs::read(folder.join("repodata/repomd.xml")).unwrap()).unwrap();
    for (kind, name, content) in [
        ("updateinfo", "updateinfo.xml", updateinfo.to_xml()),
        ("group", "comps.xml", comps.to_xml()),
        ("modules", "modules.yaml", MODULES.as_bytes().to_vec()),
    ] {
        let attachment = Attachment::pack(compression, kind, name, &content).unwrap();
        fs::write(folder.join(&attachment.file.name), &attachment.file.bytes).unwrap();
        repomd.records.push(attachment.record(1_700_000_000));
    }
    fs::write(folder.join("repodata/repomd.xml"), repomd.to_xml()).unwrap();
}

fn run(command: &mut Command) -> String {
    let output = command.env("LC_ALL", "C.UTF-8").output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}\n{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stdout).unwrap()
}

// Debian's own, which has the bindings, whatever else the machine has.
fn python(script: &str, folder: &Path) -> String {
    run(Command::new("/usr/bin/python3").args(["-c", script]).arg(folder))
}

/// Returns the files of a kind, as the index names them.
fn file(folder: &Path, kind: &str) -> PathBuf {
    let repomd = Repomd::parse(&fs::read(folder.join("repodata/repomd.xml")).unwrap()).unwrap();
    folder.join(&repomd.record(kind).unwrap().location)
}

#[test]
fn libsolvs_tools_read_all_packages_in_both_compressions() {
    for compression in [Compression::Gzip, Compression::Zstd] {
        let folder = repository(compression);
        let solv = folder.path().join("repository.solv");

        run(Command::new("repo2solv").arg("-o").arg(&solv).arg(folder.path()));

        let dumped = run(Command::new("dumpsolv").arg(&solv));
        let count = dumped.lines().filter(|line| line.starts_with("solvable:name: ")).count();
        assert!(count >= COUNT as usize, "{count} with {compression:?}");
        assert!(dumped.contains("TEST-2026:0001"), "{compression:?}");
    }
}

#[test]
fn createrepo_c_reads_and_reuses_all_packages() {
    let folder = repository(Compression::Gzip);
    let script = "import sys, createrepo_c as cr\n\
        md = cr.Metadata(); md.locate_and_load_xml(sys.argv[1])\n\
        packages = [md.get(key) for key in md.keys()]\n\
        print(len(packages), sum(len(p.files) for p in packages) > 0, sum(len(p.changelogs) for p in packages) > 0)";

    assert_eq!(python(script, folder.path()).trim(), format!("{COUNT} True True"));

    let merged = TempDir::new().unwrap();
    let url = format!("file://{}", folder.path().display());
    run(Command::new("mergerepo_c").args(["--repo", &url, "--all", "--omit-baseurl", "-o"]).arg(merged.path()));
    let merged = anima_repodata::Repository::open(merged.path()).unwrap();
    assert_eq!(merged.read_packages().unwrap().len(), COUNT as usize);
}

#[test]
fn python_readers_of_libsolv_and_librepo_read_and_verify_all() {
    for compression in [Compression::Gzip, Compression::Zstd] {
        let folder = repository(compression);
        let solv = "import sys, solv\n\
            pool = solv.Pool(); repo = pool.add_repo('test')\n\
            for path, flags in zip(sys.argv[1].split(':'), [0, solv.Repo.REPO_EXTEND_SOLVABLES]):\n\
            \x20   assert repo.add_rpmmd(solv.xfopen(path), None, flags), pool.errstr\n\
            print(sum(1 for s in repo.solvables_iter()), any(True for found in repo.Dataiterator(solv.SOLVABLE_FILELIST)))";
        let paths =
            format!("{}:{}", file(folder.path(), "primary").display(), file(folder.path(), "filelists").display());
        assert_eq!(python(solv, Path::new(&paths)).trim(), format!("{COUNT} True"));

        let librepo = "import sys, tempfile, librepo\n\
            h = librepo.Handle(); h.repotype = librepo.YUMREPO; h.urls = ['file://' + sys.argv[1]]\n\
            h.destdir = tempfile.mkdtemp(dir=sys.argv[1]); h.checksum = True; r = librepo.Result(); h.perform(r)\n\
            print(sorted(k for k, v in r.yum_repo.items() if v and k in ('primary', 'filelists', 'other', 'updateinfo', 'group', 'modules')))";
        let found = python(librepo, folder.path());
        assert_eq!(found.trim(), "['filelists', 'group', 'modules', 'other', 'primary', 'updateinfo']");
    }
}

#[test]
fn dnf_reads_advisories_groups_and_modules() {
    for compression in [Compression::Gzip, Compression::Zstd] {
        let folder = repository(compression);
        let var = TempDir::new().unwrap();
        let dir = var.path().display();
        let dnf = |arguments: &[&str]| {
            run(Command::new("dnf")
                .args([
                    format!("--repofrompath=ours,file://{}", folder.path().display()),
                    format!("--setopt=cachedir={dir}/cache"),
                    format!("--setopt=persistdir={dir}/persist"),
                    format!("--setopt=logdir={dir}"),
                    format!("--setopt=reposdir={dir}/none"),
                    format!("--installroot={dir}/root"),
                ])
                .args(["-q", "--repo=ours", "--disableplugin=local", "--releasever=1", "--forcearch=x86_64"])
                .args(arguments))
        };

        assert_eq!(dnf(&["repoquery", "--qf=%{name}"]).lines().count(), COUNT as usize);
        assert_eq!(dnf(&["repoquery", "--advisory=TEST-2026:0001"]).lines().count(), 1, "{compression:?}");
        assert!(dnf(&["group", "list"]).contains("All nuts"), "{compression:?}");
        assert!(dnf(&["module", "list"]).contains("nut"), "{compression:?}");
    }
}

// zypper and dnf's plugins cannot be installed together: it is unpacked elsewhere.
#[test]
fn zypper_reads_all_packages() {
    let unpacked = Unpacked::of("zypper").unwrap();
    for compression in [Compression::Gzip, Compression::Zstd] {
        let (folder, machine) = (repository(compression), TempDir::new().unwrap());
        let zypper = |arguments: &[&str]| {
            let mut zypper = unpacked.command("usr/bin/zypper");
            run(zypper.args(["--non-interactive", "--no-gpg-checks", "--root"]).arg(machine.path()).args(arguments))
        };
        zypper(&["addrepo", "--no-gpgcheck", &format!("file://{}", folder.path().display()), "ours"]);

        let listed = zypper(&["search", "--details", "--repo", "ours"]);

        let count = listed.lines().filter(|line| line.contains("| package |")).count();
        assert_eq!(count, COUNT as usize, "{compression:?}: {listed}");
    }
}
