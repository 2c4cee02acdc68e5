//! What each route of the API is for: one line each. A test compares it with the table of routes.

use super::operation::{Kind::*, Operation, act, ask, make, may, must, operation, read, stream};

/// Words of logs, of artifacts, of builds and of releases, as the types have them; a test compares.
pub const LOG_NAMES: &[&str] = &["build", "root", "state"];
/// See above.
pub const ARTIFACT_KINDS: &[&str] = &["rpm", "srpm", "log", "lock", "repodata", "signature", "document", "provenance"];
/// See above.
pub const BUILD_STATUSES: &[&str] = &["sources", "building", "testing", "signing", "succeeded", "failed", "cancelled"];

/// See above.
pub const RELEASE_STATUSES: &[&str] =
    &["planning", "planned", "scheduled", "publishing", "signing", "released", "reverted", "failed", "abandoned"];

/// See above.
pub const TASK_STATUSES: &[&str] =
    &["waiting", "ready", "leased", "succeeded", "failed", "blocked", "excluded", "cancelled"];

/// See above.
pub const TASK_KINDS: &[&str] = &["src", "build", "test", "sign", "plan", "publish", "import"];

/// See above.
pub const ARCHITECTURES: &[&str] = &["x86_64", "x86_64_v2", "i686", "aarch64", "ppc64le", "s390x", "riscv64"];

/// All operations but those about people, in the order of the reference.
pub const OPERATIONS: &[Operation] = &[
    read(
        "/api/v1/builds",
        "Lists builds, the newest first; `limit`, `before`, `package`, `platform`, `owner`, `status` narrow it.",
        "[Build]",
    ).paged().query(&[may("before", Number), may("package", Text), may("platform", Text), may("owner", Text), may("status", Words(BUILD_STATUSES))]),
    make("/api/v1/builds", "Starts a build.", "CreateBuild", "Build"),
    read("/api/v1/builds/{build}", "Shows a build with its tasks.", "BuildDetail"),
    operation(
        "DELETE",
        "/api/v1/builds/{build}",
        "Drops what an ended build made, unless a release or a build that goes on needs it.",
        None,
        Some("Build"),
    ),
    act("/api/v1/builds/{build}/cancel", "Stops a build."),
    act("/api/v1/builds/{build}/restart", "Tries again what failed in a build."),
    read("/api/v1/rebuilds", "Lists mass rebuilds, the newest first.", "[Rebuild]").paged(),
    make(
        "/api/v1/rebuilds",
        "Starts a mass rebuild: of packages, of what is built with them, or of all that a platform has.",
        "CreateRebuild",
        "Rebuild",
    ),
    read(
        "/api/v1/rebuilds/{build}",
        "Shows a mass rebuild: how far it is, what failed, how long it goes on.",
        "Rebuild",
    ),
    operation(
        "POST",
        "/api/v1/rebuilds/{build}/pause",
        "Begins nothing more of a mass rebuild; what nodes work on goes on.",
        None,
        Some("Rebuild"),
    ),
    operation("POST", "/api/v1/rebuilds/{build}/resume", "Lets a mass rebuild go on.", None, Some("Rebuild")),
    operation(
        "PUT",
        "/api/v1/rebuilds/{build}/limit",
        "Says how many tasks of a mass rebuild are under way at once at most.",
        Some("LimitRebuild"),
        Some("Rebuild"),
    ),
    operation(
        "POST",
        "/api/v1/rebuilds/{build}/retry",
        "Tries again what failed in a mass rebuild.",
        None,
        Some("Rebuild"),
    ),
    make(
        "/api/v1/rebuilds/{build}/leave-out",
        "Lets a mass rebuild go on without packages; what needs them is built with what was released.",
        "LeaveOut",
        "Rebuild",
    ),
    operation("POST", "/api/v1/rebuilds/{build}/cancel", "Stops a mass rebuild.", None, Some("Rebuild")),
    operation(
        "POST",
        "/api/v1/rebuilds/{build}/release",
        "Plans one release of all that a mass rebuild made, for each product of its platform.",
        None,
        Some("RebuildReleases"),
    ),
    read(
        "/api/v1/tasks",
        "Lists tasks with why each stands where it stands: of a status that has not ended in the order of the queue, else the newest first; `status`, `arch`, `node`, `kind`, `owner` narrow it.",
        "[ListedTask]",
    ).paged().query(&[may("status", Words(TASK_STATUSES)), may("arch", Words(ARCHITECTURES)), may("node", Text), may("kind", Words(TASK_KINDS)), may("owner", Text)]),
    read("/api/v1/tasks/{task}", "Shows a task.", "Task"),
    ask(
        "/api/v1/build-plans",
        "Says what a build would do before it is started: order, waves, the longest chain, times, circles; changes nothing.",
        "CreateBuildPlan",
        "BuildPlan",
    ),
    read("/api/v1/tasks/{task}/why", "Says why a task stands where it stands, with facts.", "Why"),
    read("/api/v1/releases/{release}/why", "Says why a release stands where it stands: tasks that are not done, gates, approvals.", "ReleaseWhy"),
    act("/api/v1/tasks/{task}/cancel", "Stops a task."),
    act("/api/v1/tasks/{task}/restart", "Tries a task again."),
    stream(
        "/api/v1/tasks/{task}/log",
        "Reads a task's log as text; `Range` reads a part. `name` is `build`, `root` or `state`, `attempt` the number of an earlier lease.", "text/plain").query(&[may("name", Words(LOG_NAMES)), may("attempt", Number)]).status(200, &[206]),
    read(
        "/api/v1/tasks/{task}/log/search",
        "Finds the lines of a log, from `from_line` on, that have the text `q`, or with `regex=true` fit it; small letters are like capitals.",
        "LogFound",
    ).query(&[must("q", Text), may("regex", Flag), may("from_line", Offset), may("name", Words(LOG_NAMES)), may("attempt", Number)]),
    stream(
        "/api/v1/tasks/{task}/log/stream",
        "Follows a task's log by server-sent events from `offset` or `Last-Event-ID`; `name` and `attempt` as above: `id` is the offset at which a piece ends, `data` its text as JSON; the event `end` is last.", "text/event-stream").query(&[may("offset", Offset), may("name", Words(LOG_NAMES)), may("attempt", Number)]),
    ask(
        "/api/v1/leases",
        "Waits for a task, at most `wait_secs`; 204 where there is none. Nodes only.",
        "Claim",
        "Lease",
    ).status(200, &[204]),
    operation(
        "POST",
        "/api/v1/tasks/{task}/heartbeat",
        "Says that the node lives; waits `wait_secs`, and is answered with 409 `stale_lease` as soon as the lease is lost.",
        None,
        Some("Heartbeat"),
    ).query(&[may("wait_secs", Offset)]),
    operation(
        "PUT",
        "/api/v1/tasks/{task}/log",
        "Appends to the log `name` at `offset`; equal bytes may be sent again.",
        None,
        Some("LogSize"),
    ).query(&[may("name", Words(LOG_NAMES)), must("offset", Offset)]).bytes(),
    operation(
        "PUT",
        "/api/v1/tasks/{task}/artifacts/{sha256}",
        "Uploads an artifact with its `kind` and `name`.",
        None,
        Some("Artifact"),
    ).query(&[must("kind", Words(ARTIFACT_KINDS)), must("name", Text)]).bytes(),
    operation(
        "POST",
        "/api/v1/tasks/{task}/splices",
        "Makes an artifact of pieces of one that is there and of new bytes: four bytes with the length of a `Splice`, that, and the new bytes.",
        None,
        Some("Artifact"),
    ).bytes(),
    operation(
        "POST",
        "/api/v1/tasks/{task}/report",
        "Says what came of a task; the same report may be sent again.",
        Some("Report"),
        None,
    ),
    stream("/api/v1/artifacts/{sha256}", "Downloads an artifact; `Range` reads a part.", "*/*").status(200, &[206]),
    stream("/api/v1/artifacts/{sha256}/header", "Downloads a package's header, which is what is signed.", "application/octet-stream"),
    ask(
        "/api/v1/pushes",
        "Tells of a push. The Git Service only; the same push may be told again.",
        "Push",
        "PushAnswer",
    ),
    operation(
        "POST",
        "/api/v1/git-changes",
        "Tells of branches that were deleted, tags that were moved, files that came into the lookaside: for the audit. The Git Service only.",
        Some("GitChanges"),
        None,
    ),
    read("/api/v1/releases", "Lists releases, the newest first: how much each carries, and not what.", "[ListedRelease]")
        .query(&[may("product", Text), may("status", Words(RELEASE_STATUSES))])
        .paged(),
    make(
        "/api/v1/releases",
        "Plans a release to a product: of a `build`, a `copy` of snapshots or products, packages to `remove`, or an `import`.",
        "CreateRelease",
        "Release",
    ),
    read("/api/v1/releases/{release}", "Shows a release with its plan.", "Release"),
    ask(
        "/api/v1/releases/{release}/commit",
        "Decides that a planned release goes to users; with a reason where a gate asks for one.",
        "CommitRelease",
        "Release",
    ).optional(),
    ask(
        "/api/v1/releases/{release}/force",
        "Decides that a planned release goes to users although a gate blocks it; with a reason.",
        "CommitRelease",
        "Release",
    ),
    ask(
        "/api/v1/releases/{release}/edit",
        "Lets packages go elsewhere than the plan says, or nowhere; it is planned with that.",
        "EditRelease",
        "Release",
    ),
    ask(
        "/api/v1/releases/{release}/approve",
        "Says that a plan is good, where the product asks several people.",
        "CommitRelease",
        "Release",
    ).optional(),
    ask(
        "/api/v1/releases/{release}/schedule",
        "Decides that a planned release goes to users at a time.",
        "ScheduleRelease",
        "Release",
    ),
    operation(
        "POST",
        "/api/v1/releases/{release}/unschedule",
        "Takes the time back: the plan waits for a decision again.",
        None,
        Some("Release"),
    ),
    act("/api/v1/releases/{release}/abandon", "Throws a plan away."),
    act("/api/v1/releases/{release}/revert", "Takes a release back: users see again what they saw before."),
    act("/api/v1/releases/{release}/replan", "Plans a release anew."),
    read("/api/v1/releases/{release}/tasks", "Lists the tasks of a release, with those of earlier plans.", "[Task]").paged(),
    stream(
        "/api/v1/releases/{release}/packages",
        "Lists the metadata of all packages that the release carries, signed.", "application/json"),
    stream(
        "/api/v1/releases/{release}/repositories/{repository}/packages",
        "Lists the metadata of all packages that a repository has after the release.", "application/json"),
    stream(
        "/api/v1/releases/{release}/repositories/{repository}/added",
        "Lists the metadata of the packages that come to what a repository had when the release was planned.", "application/json"),
    read("/api/v1/products", "Lists products.", "[Product]").paged(),
    make("/api/v1/products", "Makes a product with its repositories and its key.", "CreateProduct", "Product"),
    read("/api/v1/products/{product}", "Shows a product.", "Product"),
    operation(
        "PUT",
        "/api/v1/products/{product}",
        "Changes what a product says of itself; repositories and architectures are added, never taken away.",
        Some("CreateProduct"),
        Some("Product"),
    ).conditional(),
    read("/api/v1/repositories", "Lists repositories, of one `product` or of all.", "[Repository]").paged().query(&[may("product", Text)]),
    read("/api/v1/repositories/{repository}", "Shows a repository.", "Repository"),
    read(
        "/api/v1/search",
        "Finds what has the text `q`: builds (by number, person, commit), source packages, packages that users see (by NEVRA, summary, provides, or a path that begins with a slash), and accounts for those who have one; at most `limit` of each.",
        "Everything",
    ).query(&[must("q", Text), may("limit", Offset)]),
    read(
        "/api/v1/repositories/{repository}/search",
        "Searches for `q` in what users see: `in` packages (names and summaries), provides or files.",
        "Search",
    ).query(&[must("q", Text), may("in", Words(&["packages", "provides", "files"]))]),
    read(
        "/api/v1/repositories/{repository}/snapshots",
        "Lists a repository's snapshots with what each changed.",
        "[Snapshot]",
    ).paged(),
    read(
        "/api/v1/repositories/{repository}/packages",
        "Lists the packages that users see in a repository.",
        "[RepositoryPackage]",
    ).paged(),
    read("/api/v1/repositories/{repository}/settings", "Shows how a repository is kept.", "RepositorySettings"),
    operation(
        "PUT",
        "/api/v1/repositories/{repository}/settings",
        "Says how a repository's metadata is packed and which of its snapshots stay.",
        Some("RepositorySettings"),
        Some("RepositorySettings"),
    ).conditional(),
    operation(
        "PUT",
        "/api/v1/repositories/{repository}/snapshots/{number}/pin",
        "Lets a snapshot stay whatever the rule says.",
        Some("Pin"),
        None,
    ),
    operation(
        "DELETE",
        "/api/v1/repositories/{repository}/snapshots/{number}/pin",
        "Lets a snapshot go when its rule says so.",
        None,
        None,
    ),
    read(
        "/api/v1/repositories/{repository}/attachments",
        "Lists what a repository has beside the metadata of its packages.",
        "[Attachment]",
    ),
    operation(
        "PUT",
        "/api/v1/repositories/{repository}/attachments/{kind}",
        "Gives a repository `updateinfo`, `group`, `modules`, `productid` or any other metadata from its next snapshot on: the open file, with its `name`.",
        None,
        Some("Attachment"),
    ).query(&[must("name", Text)]).bytes(),
    operation(
        "DELETE",
        "/api/v1/repositories/{repository}/attachments/{kind}",
        "Takes such metadata away from the next snapshot on.",
        None,
        None,
    ),
    read("/api/v1/store/garbage", "Says which snapshots and artifacts would be dropped, and why.", "Collection"),
    operation(
        "POST",
        "/api/v1/store/collect",
        "Drops the snapshots and artifacts that nothing names.",
        None,
        Some("Collection"),
    ),
    read(
        "/api/v1/repository-diff",
        "Compares the snapshots `old` and `new`, each `PRODUCT/PATH@N`, or without `@N` what users see now.",
        "RepositoryDiff",
    ).query(&[must("old", Text), must("new", Text)]),
    read("/api/v1/platforms", "Lists platforms.", "[Platform]"),
    read("/api/v1/platforms/{platform}", "Shows a platform.", "Platform"),
    read("/api/v1/packages", "Lists all packages that were ever pushed or built.", "[PackageSummary]").paged(),
    read("/api/v1/packages/{package}", "Shows a package with its builds.", "PackageDetail"),
    read("/api/v1/nodes", "Lists nodes and what they work on.", "[Node]").paged(),
    read("/api/v1/nodes/{node}", "Shows a node.", "Node"),
    read(
        "/api/v1/nodes/{node}/load",
        "Says how busy a node was in the last seven days, five minutes by five minutes.",
        "[LoadSample]",
    ),
    ask(
        "/api/v1/nodes/{node}/drain",
        "Lets a node take no more tasks; it goes on with those that it has, and its program ends then if that is wanted.",
        "DrainNode",
        "Node",
    ),
    operation("POST", "/api/v1/nodes/{node}/undrain", "Lets a node take tasks again.", None, Some("Node")),
    read("/api/v1/keys", "Lists keys with their public halves.", "[Key]").paged(),
    make("/api/v1/keys", "Asks the Sign Server for a key, or to show that it has one.", "CreateKey", "Key"),
    read("/api/v1/keys/{key}", "Shows a key with what it is used for, and what it signed last.", "KeyDetail"),
    operation("PUT", "/api/v1/keys/{key}/policy", "Says what a key may sign.", Some("Policy"), Some("Key")).conditional(),
    ask(
        "/api/v1/keys/{key}/revoke",
        "Takes a key out of trust: nothing is signed with it any more, and its public half says so.",
        "RevokeKey",
        "Key",
    ),
    read(
        "/api/v1/keys/{key}/signatures",
        "Lists signatures by a key after number `after`, in the order in which they came.",
        "[Record]",
    ).paged().query(&[may("after", Number)]),
    stream("/api/v1/keys/{key}/files.pem", "Downloads the public key that files of packages are signed by, as PEM.", "application/x-pem-file"),
    make(
        "/api/v1/products/{product}/key",
        "Gives a product another key; the old one stays to verify what it signed.",
        "RotateKey",
        "Key",
    ),
    make(
        "/api/v1/products/{product}/signed-files",
        "Asks for a list of checksums or an advisory to be signed with a product's key.",
        "SignFile",
        "Task",
    ),
    ask("/api/v1/tasks/{task}/approve", "Approves that a sign task signs.", "Approve", "Task"),
    read("/api/v1/maintenance", "Says whether tasks are given out, and how many run.", "MaintenanceState"),
    operation(
        "PUT",
        "/api/v1/maintenance",
        "Gives out no task from now on, so that all can be updated or stopped.",
        Some("BeginMaintenance"),
        Some("MaintenanceState"),
    ),
    operation("DELETE", "/api/v1/maintenance", "Gives out tasks again.", None, Some("MaintenanceState")),
    read("/api/v1/webhooks", "Lists webhooks, without their secrets.", "[Webhook]").paged(),
    make(
        "/api/v1/webhooks",
        "Lets an address be told of events from now on; its secret is shown this once.",
        "CreateWebhook",
        "CreatedWebhook",
    ),
    read("/api/v1/webhooks/{webhook}", "Shows a webhook.", "Webhook"),
    operation("DELETE", "/api/v1/webhooks/{webhook}", "Takes a webhook away.", None, None),
    operation("POST", "/api/v1/webhooks/{webhook}/stop", "Lets a webhook be told of nothing.", None, Some("Webhook")),
    operation(
        "POST",
        "/api/v1/webhooks/{webhook}/resume",
        "Lets a webhook be told again of what happens from now on.",
        None,
        Some("Webhook"),
    ),
    read(
        "/api/v1/webhooks/{webhook}/deliveries",
        "Lists the messages to a webhook and what came of each, the newest first; `limit`, `before`.",
        "[Delivery]",
    ).paged().query(&[may("before", Number)]),
    act("/api/v1/webhooks/{webhook}/deliveries/{delivery}/resend", "Sends a message once more."),
    stream(
        "/api/v1/events",
        "Follows what happens by server-sent events, of one `build` or of all, `after` an event, from `Last-Event-ID`, or from now on.", "text/event-stream").query(&[may("after", Number), may("build", Number)]),
    read(
        "/api/v1/events/list",
        "Lists what happened `after` an event, at most `limit`, of one `build` or of all.",
        "[Event]",
    ).paged().query(&[may("after", Number), may("build", Number)]),
    stream("/api/v1/openapi.json", "This description, for programs.", "application/json"),
];
