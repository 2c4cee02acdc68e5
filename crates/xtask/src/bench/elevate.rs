//! P12: the plan of an upgrade of an Enterprise-Linux-size machine, with nothing cached and again.
//!
//! The machine is one that could be: packages of the distribution's groups with all that they need, each a release older than in
//! the repositories, so that all of them are upgraded. Repositories
//! are CentOS Stream 9's, and events AlmaLinux's, of the real data beside the checkout; where there is none, the bench says so
//! and ends. leapp cannot run here: its checks take 9 to 23 minutes as published.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use anima_solver::{DEFAULT_PRIORITY, Pool, RepodataFiles, Request};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{Figure, median, rounded};
use crate::tidy;

const INSTALLED: usize = 1_500;
const HOSTS: usize = 1_000;
/// Machines of a fleet differ: each lacks some packages that only this many have in common.
const KINDS: usize = 40;
const RUNS: usize = 3;

/// Plans with files of facts and a folder of what was read before; gives the seconds and the document.
type Run<'a> = dyn Fn(&[PathBuf], &Path) -> Result<(f64, Value)> + 'a;

pub fn measure(program: &Path) -> Result<Vec<Figure>> {
    let shared = tidy::root().join("../shared/data");
    ensure!(shared.is_dir(), "there is no real data in {}", shared.display());
    let scratch = tempfile::tempdir()?;
    let repositories = ["el-baseos-x86_64", "el-appstream-x86_64"].map(|name| shared.join("repodata").join(name));
    let packages = installed(&repositories)?;
    let facts = |host: &str, packages: &[Value]| {
        json!({
            "version": 1, "host": host, "arch": "x86_64", "packages": packages,
            "os": { "id": "almalinux", "name": "AlmaLinux 8.10", "release": "8.10" },
            "mounts": [{ "path": "/", "kind": "xfs", "total_bytes": 1_u64 << 40, "free_bytes": 1_u64 << 39, "is_writable": true }],
            "probes": { "list_version": 2, "files": {} },
        })
    };
    let file = scratch.path().join("facts.json");
    fs::write(&file, serde_json::to_vec(&facts("one", &packages))?)?;
    let run = |files: &[PathBuf], cache: &Path| -> Result<(f64, Value)> {
        let began = Instant::now();
        let output = Command::new(program)
            .args(["elevate", "plan", "--json", "--target", "9.4", "--data"])
            .arg(shared.join("leapp/almalinux"))
            .arg("--cache")
            .arg(cache)
            .arg("--repository")
            .arg(format!("baseos={}", repositories[0].display()))
            .arg("--repository")
            .arg(format!("appstream={}", repositories[1].display()))
            .arg("--facts")
            .args(files)
            .output()?;
        let secs = began.elapsed().as_secs_f64();
        let text = String::from_utf8_lossy(&output.stderr);
        Ok((secs, serde_json::from_slice(&output.stdout).with_context(|| format!("no plan was made: {text}"))?))
    };
    let (mut cold, mut again, mut plans) = (Vec::new(), Vec::new(), Vec::new());
    for at in 0..RUNS {
        let cache = scratch.path().join(format!("cache{at}"));
        for times in [&mut cold, &mut again] {
            let (secs, plan) = run(std::slice::from_ref(&file), &cache)?;
            times.push(secs);
            plans.push(plan);
        }
    }
    ensure!(plans.iter().all(|plan| *plan == plans[0]), "the same input had different plans");
    let count = |plan: &Value, what: &str| plan["transaction"][what].as_array().map_or(0, Vec::len);
    let figure = |case, times: Vec<f64>| Figure {
        bench: "elevate",
        case,
        values: json!({
            "ours_s": rounded(median(times)),
            "installed": packages.len(),
            "comes": count(&plans[0], "install"),
            "goes": count(&plans[0], "erase"),
            "peer": "leapp 9-23 min, published",
        }),
    };
    let mut figures = vec![figure("plan-cold", cold), figure("plan-again", again)];
    figures.push(fleet(scratch.path(), &packages, &facts, &run)?);
    Ok(figures)
}

/// A thousand machines of some kinds, and one that is like no other.
fn fleet(scratch: &Path, packages: &[Value], facts: &dyn Fn(&str, &[Value]) -> Value, run: &Run<'_>) -> Result<Figure> {
    let hosts = scratch.join("hosts");
    fs::create_dir(&hosts)?;
    let mut files = Vec::new();
    for at in 0..HOSTS {
        let kind = if at == 0 { KINDS } else { at % KINDS };
        let own: Vec<Value> = packages
            .iter()
            .enumerate()
            .filter(|(index, _)| index % (KINDS + 1) != kind)
            .map(|(_, package)| package.clone())
            .collect();
        let path = hosts.join(format!("host{at:04}.json"));
        fs::write(&path, serde_json::to_vec(&facts(&format!("host{at:04}"), &own))?)?;
        files.push(path);
    }
    let (secs, fleet) = run(&files, &scratch.join("cache0"))?;
    let groups = fleet["groups"].as_array().map_or(0, Vec::len);
    ensure!(groups == KINDS + 1, "{groups} groups, {} were made", KINDS + 1);
    let values = json!({ "ours_s": rounded(secs), "hosts": HOSTS, "groups": groups, "hosts_per_s": rounded(HOSTS as f64 / secs), "peer": null });
    Ok(Figure { bench: "elevate", case: "fleet-1000", values })
}

/// Returns facts of a machine that could be: packages of the distribution's groups with all that they need, each a release
/// older than in the repositories.
fn installed(repositories: &[PathBuf; 2]) -> Result<Vec<Value>> {
    let mut pool = Pool::new("x86_64")?;
    for (name, folder) in ["baseos", "appstream"].iter().zip(repositories) {
        let primary = folder.join("repodata").join(primary(folder)?);
        pool.add_repository(
            name,
            DEFAULT_PRIORITY,
            &RepodataFiles { primary: &primary, filelists: None, cache: None },
        )?;
    }
    let mut wanted: Vec<String> = Vec::new();
    let mut chosen = Vec::new();
    for group in python(GROUPS, repositories, "")?.split(|byte| *byte == b'\n') {
        let more = String::from_utf8_lossy(group).split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let with = [wanted.clone(), more].concat();
        // Some groups have what conflicts with another's, or what is in neither repository.
        match pool.solve(&Request::install(with.clone())) {
            Ok(solution) => (wanted, chosen) = (with, solution.packages),
            Err(anima_solver::Error::Unsolvable(_)) => continue,
            Err(error) => return Err(error.into()),
        }
        if chosen.len() >= INSTALLED {
            break;
        }
    }
    ensure!(chosen.len() >= INSTALLED, "the groups have only {} packages that go together", chosen.len());
    let names: String = chosen.iter().map(|package| format!("{}\n", package.nevra())).collect();
    let packages: Vec<Value> = serde_json::from_slice(&python(READ, repositories, &names)?)?;
    ensure!(packages.len() == chosen.len(), "{} of {} packages were found", packages.len(), chosen.len());
    Ok(packages)
}

/// Returns the file of a repository that lists its packages.
fn primary(folder: &Path) -> Result<String> {
    let files = fs::read_dir(folder.join("repodata"))?;
    let names = files.flatten().map(|file| file.file_name().to_string_lossy().into_owned());
    names.into_iter().find(|name| name.ends_with("primary.xml.gz")).context("it has no primary.xml.gz")
}

/// Runs a script with the repositories as arguments.
fn python(script: &str, repositories: &[PathBuf; 2], input: &str) -> Result<Vec<u8>> {
    let mut python = Command::new("python3");
    python.args(["-c", script]).args(repositories).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = python.spawn()?;
    child.stdin.take().context("it has an input")?.write_all(input.as_bytes())?;
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "python3 ended with {}", output.status);
    Ok(output.stdout)
}

/// Prints the packages of each group of the distribution that everybody gets who takes the group, a group a line; then those
/// that somebody may choose besides, one a line.
const GROUPS: &str = r#"
import gzip, glob, sys, xml.etree.ElementTree as E
chosen = []
for folder in sys.argv[1:]:
    for path in sorted(glob.glob(folder + '/repodata/*comps*')):
        opened = gzip.open(path) if path.endswith('.gz') else open(path, 'rb')
        for group in E.parse(opened).getroot().findall('group'):
            names = [p.text for p in group.iter('packagereq') if p.get('type') in ('mandatory', 'default')]
            if names: print(' '.join(names))
            chosen += [p.text for p in group.iter('packagereq') if p.get('type') == 'optional']
print('\n'.join(chosen))
"#;

/// Reads the packages whose names, versions and architectures it is given, as rpm's database would have them, a release older.
const READ: &str = r#"
import gzip, glob, json, sys, xml.etree.ElementTree as E
c = '{http://linux.duke.edu/metadata/common}'; r = '{http://linux.duke.edu/metadata/rpm}'
flags = {'EQ': '=', 'LT': '<', 'GT': '>', 'LE': '<=', 'GE': '>='}
def text(e):
    if 'flags' not in e.attrib: return e.get('name')
    evr = e.get('ver') + ('-' + e.get('rel') if e.get('rel') else '')
    return f"{e.get('name')} {flags[e.get('flags')]} {evr if e.get('epoch', '0') == '0' else e.get('epoch') + ':' + evr}"
wanted, out = set(sys.stdin.read().split()), []
for folder in sys.argv[1:]:
    for _, p in E.iterparse(gzip.open(glob.glob(folder + '/repodata/*primary.xml.gz')[0])):
        if p.tag != c + 'package': continue
        name, arch, v, f = p.findtext(c + 'name'), p.findtext(c + 'arch'), p.find(c + 'version'), p.find(c + 'format')
        epoch = '' if v.get('epoch') == '0' else v.get('epoch') + ':'
        nevra = f"{name}-{epoch}{v.get('ver')}-{v.get('rel')}.{arch}"
        if nevra not in wanted: p.clear(); continue
        wanted.discard(nevra)
        of = lambda tag: [text(e) for e in f.findall(f'{r}{tag}/{r}entry')]
        # What provides itself in its version does so in the older one.
        own, old = f"{epoch}{v.get('ver')}-{v.get('rel')}", f"{epoch}{v.get('ver')}-0.{v.get('rel')}"
        older = lambda list: [x[:-len(own)] + old if x.endswith(' = ' + own) else x for x in list]
        out.append({'name': name, 'arch': arch, 'epoch': int(v.get('epoch')), 'version': v.get('ver'), 'release': '0.' + v.get('rel'),
            'vendor': 'AlmaLinux', 'key_id': '51d6647ec21ad6ea', 'size_bytes': int(p.find(c + 'size').get('installed')),
            'provides': older(of('provides')), 'requires': older(of('requires')),
            'conflicts': older(of('conflicts')), 'obsoletes': of('obsoletes'), 'files': [e.text for e in f.findall(c + 'file')]})
        p.clear()
print(json.dumps(out))
"#;
