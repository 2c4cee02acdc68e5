//! Evidence for a plan, from real packages that a server of this test has: headers, closure, files of one name.

#[path = "../../rpm-file/tests/support/mod.rs"]
mod support;

use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use anima_release_system::{
    evidence::{Asked, Evidence, Gatherer},
    plan,
    reference::Reference,
};
use anima_repodata::{PackageXml, PublishedFile, Repodata, RepodataBuilder, render};
use anima_rpm_file::PackageInfo;
use anima_types::{
    Arch, Sha256,
    id::{ReleaseId, RepositoryId},
    repository::{Kind, Repository, RepositoryPackage},
    work::{Input, PlanPackage, PlanRepository, PlanWork, StandsOn},
};
use axum::{Router, extract::Path as Address, http::StatusCode, routing::get};
use sha2::Digest;
use support::Packages;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// Two packages with other files of one name, one with the same file as the first, and one that needs what is not there.
const SPEC: &str = "
Name: tools
Version: 1
Release: 1
Summary: Tools
License: MIT
BuildArch: noarch
%description
%package one
Summary: One
%description one
%package two
Summary: Two
%description two
%package same
Summary: As one
%description same
%package needy
Summary: It needs
Requires: nothing-has-this
%description needy
%prep
%build
%install
mkdir -p %{buildroot}/usr/bin %{buildroot}/one %{buildroot}/two
for name in one two; do mkdir -p %{buildroot}/usr/share/$name; echo $name > %{buildroot}/usr/share/$name/tool; done
echo shared > %{buildroot}/usr/share/one/shared
%post two
echo posted
%files one
/usr/share/one/tool
/usr/share/one/shared
%files same
/usr/share/one/shared
%files two
%attr(4755, root, root) /usr/share/two/tool
%files needy
";

/// Another build of package `two`, whose file has the name of a file of `one`.
const CLASH: &str = "
Name: clash
Version: 1
Release: 1
Summary: It clashes
License: MIT
BuildArch: noarch
%description
%prep
%build
%install
mkdir -p %{buildroot}/usr/share/one
echo other > %{buildroot}/usr/share/one/tool
%files
/usr/share/one/tool
";

/// What a server has, by the end of its address.
type Files = Arc<BTreeMap<String, Vec<u8>>>;

async fn serve(files: Files) -> String {
    let answer = move |Address(path): Address<String>| {
        let files = files.clone();
        async move {
            let file = files.iter().find(|(name, _)| path.ends_with(name.as_str())).map(|(_, bytes)| bytes.clone());
            file.ok_or(StatusCode::NOT_FOUND)
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/{*path}", get(answer))).await });
    url
}

fn fragment(path: &Path) -> (PackageXml, Vec<u8>) {
    let bytes = fs::read(path).unwrap();
    let sha256 = Sha256(sha2::Sha256::digest(&bytes).into());
    let location = format!("Packages/{}", path.file_name().unwrap().to_str().unwrap());
    let file = PublishedFile { location, sha256, size_bytes: bytes.len() as u64, modified_at_secs: 0 };
    (render(&PackageInfo::read(path).unwrap(), &file), bytes)
}

fn listed(xml: &PackageXml) -> RepositoryPackage {
    RepositoryPackage { nevra: xml.nevra.clone(), artifact: xml.sha256, source: "tools".into(), header_sha256: None }
}

/// Evidence for a release of `comes` into a product that has `there`.
async fn evidence(there: &[&Path], comes: &[&Path], key: Option<String>) -> Evidence {
    let there: Vec<_> = there.iter().map(|path| fragment(path)).collect();
    let comes: Vec<_> = comes.iter().map(|path| fragment(path)).collect();
    let builder = there.iter().fold(RepodataBuilder::new(compression()), |builder, (xml, _)| builder.add(xml));
    let Repodata { repomd_xml, files, .. } = builder.finish(1).unwrap();
    let mut served = BTreeMap::from([("product/repodata/repomd.xml".to_string(), repomd_xml)]);
    served.extend(files.into_iter().map(|file| (format!("product/{}", file.name), file.bytes)));
    for (xml, bytes) in there.iter().chain(&comes) {
        served.insert(format!("artifacts/{}", xml.sha256), bytes.clone());
        served.insert(format!("product/{}", xml.location), bytes.clone());
    }
    let empty = RepodataBuilder::new(compression()).finish(1).unwrap();
    served.insert("base/repodata/repomd.xml".to_string(), empty.repomd_xml);
    served.extend(empty.files.into_iter().map(|file| (format!("base/{}", file.name), file.bytes)));
    let url = serve(Arc::new(served)).await;

    let repository = Repository {
        id: RepositoryId(3),
        product: "p".into(),
        path: "BaseOS/x86_64".into(),
        kind: Kind::Binary,
        arch: Some("x86_64".into()),
        current: 1,
        package_count: there.len() as i64,
    };
    let packages = there.iter().map(|(xml, _)| listed(xml)).collect();
    let repository =
        PlanRepository { url: Some(format!("{url}/product/")), ..PlanRepository::new(repository, packages) };
    let packages = comes.iter().map(|(xml, _)| PlanPackage::new(listed(xml), Some(Arch::X86_64))).collect();
    let base = Input { name: "base".into(), url: format!("{url}/base/"), priority: 99, ..Input::default() };
    let work = PlanWork {
        key,
        stands_on: vec![StandsOn { arch: Arch::X86_64, inputs: vec![base] }],
        ..PlanWork::new(ReleaseId(7), packages, vec![repository])
    };
    let plan = plan::plan(&work, &Reference::default()).unwrap();
    let fragments: Vec<PackageXml> = comes.into_iter().map(|(xml, _)| xml).collect();
    let folder = TempDir::new().unwrap();
    let gatherer = Gatherer::open(folder.path(), &url).unwrap();
    gatherer.gather(&work, &plan, &fragments, &CancellationToken::new()).await
}

fn compression() -> anima_repodata::Compression {
    anima_repodata::Compression::Gzip
}

fn found<T>(asked: Asked<T>) -> T {
    match asked {
        Asked::Found(found) => found,
        Asked::Failed(why) | Asked::Not(why) => panic!("{why}"),
    }
}

#[tokio::test]
async fn files_of_one_name_are_told_when_they_differ_and_a_broken_package_with_what_it_lacks() {
    let (tools, clash) = (Packages::build(SPEC), Packages::build(CLASH));
    let (one, same, needy) = (tools.named("tools-one"), tools.named("tools-same"), tools.named("tools-needy"));

    let evidence = evidence(&[&one], &[&clash.named("clash-1-1.noarch"), &same, &needy], None).await;

    let conflicts: Vec<String> = found(evidence.conflicts).into_iter().map(|finding| finding.text).collect();
    assert_eq!(conflicts, ["clash-1-1.noarch and tools-one-1-1.noarch have different files /usr/share/one/tool"]);
    let closure = found(evidence.closure);
    assert_eq!((closure.asked_count, closure.broken.len(), closure.known.len()), (4, 1, 0), "{closure:?}");
    assert_eq!(
        closure.broken[0].text,
        "tools-needy-1-1.noarch could not be installed: tools-needy-1-1.noarch needs nothing-has-this, which nothing provides (on x86_64)"
    );
    assert_eq!(closure.broken[0].facts["missing"], "nothing-has-this");
    assert_eq!(closure.broken[0].repository.as_deref(), Some("BaseOS/x86_64"));
}

#[tokio::test]
async fn what_was_broken_before_is_no_fault_of_a_release() {
    let tools = Packages::build(SPEC);

    let evidence = evidence(&[&tools.named("tools-needy")], &[&tools.named("tools-one")], None).await;

    let closure = found(evidence.closure);
    assert_eq!((closure.broken.len(), closure.known.len()), (0, 1), "{closure:?}");
}

#[tokio::test]
async fn headers_tell_rights_scripts_and_whether_the_key_signed_them() {
    let tools = Packages::build(SPEC);
    let key = support::ed25519();
    let signed = tools.dir.path().join("signed.rpm");
    let two = tools.named("tools-two");
    let header = anima_rpm_file::header_bytes(&two).unwrap();
    let signature = key.sign_detached(&header.bytes, support::SIGNED_AT).unwrap();
    anima_rpm_file::install_signature(&two, &signed, &signature).unwrap();
    let public = Some(key.to_armoured_public().unwrap());

    let evidence = evidence(&[], &[&signed, &tools.named("tools-one")], public).await;

    let heads: Vec<_> = found(evidence.heads).into_values().collect();
    let two = heads.iter().find(|head| !head.privileges.is_empty()).expect("it has a setuid file");
    assert_eq!(two.privileges.iter().collect::<Vec<_>>(), ["/usr/share/two/tool: setuid root"]);
    assert_eq!((two.scripts.clone(), two.signature.clone()), (["post".to_string()].into(), Ok(())));
    let one = heads.iter().find(|head| head.privileges.is_empty()).unwrap();
    assert_eq!(one.signature, Err("could not verify the package: it is not signed".to_string()));
    assert!(one.size_bytes > 1_000 && one.licence == "MIT", "{one:?}");
}
