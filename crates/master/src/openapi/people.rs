//! What each route is for that is about people: accounts, sessions, teams, rights, tokens, and what they did.

use super::operation::{Kind::*, Operation, make, may, operation, read};

/// They, in the order of the reference.
pub const OPERATIONS: &[Operation] = &[
    make(
        "/api/v1/sign-in",
        "Gives a token for an account's name and password, for a command line. A browser signs in at `/sign-in`.",
        "SignIn",
        "CreatedToken",
    ),
    make(
        "/api/v1/sign-in/devices",
        "Begins a sign-in of a command line: its person signs in on the page `url` in whatever way, and types `code` there.",
        "BeginDevice",
        "Device",
    ),
    make(
        "/api/v1/sign-in/devices/redeem",
        "Gives a token for the secret of such a sign-in, once its person has said yes; waits `wait_secs`, and is 204 while nothing was said.",
        "RedeemDevice",
        "CreatedToken",
    ).status(201, &[204]),
    read("/api/v1/accounts", "Lists accounts.", "[Account]").paged(),
    make("/api/v1/accounts", "Makes an account.", "CreateAccount", "Account"),
    read(
        "/api/v1/accounts/{account}",
        "Shows an account with its teams and rights: one's own, or any where one manages people.",
        "AccountDetail",
    ),
    operation(
        "PUT",
        "/api/v1/accounts/{account}/password",
        "Gives an account another password and ends its sessions; of one's own, the old one is asked for.",
        Some("SetPassword"),
        None,
    ),
    operation(
        "POST",
        "/api/v1/accounts/{account}/disable",
        "Lets nobody sign in with an account: its sessions end, its tokens are of no use.",
        None,
        Some("Account"),
    ),
    operation(
        "POST",
        "/api/v1/accounts/{account}/enable",
        "Lets a disabled account be used again.",
        None,
        Some("Account"),
    ),
    read(
        "/api/v1/accounts/{account}/identities",
        "Lists who an account's person is at an OpenID provider: one's own, or any where one manages people.",
        "[Identity]",
    ),
    make(
        "/api/v1/accounts/{account}/identities",
        "Lets who a provider calls `subject` sign in as an account. People link their own on the page of their account.",
        "LinkIdentity",
        "Identity",
    ),
    operation(
        "DELETE",
        "/api/v1/accounts/{account}/identities/{identity}",
        "Takes an identity away from an account, with what was granted by it.",
        None,
        None,
    ),
    read("/api/v1/sessions", "Lists one's own sessions.", "[Session]").paged(),
    operation("DELETE", "/api/v1/sessions/{session}", "Ends a session of one's own.", None, None),
    read("/api/v1/teams", "Lists teams with their members, products and rights.", "[Team]").paged(),
    make("/api/v1/teams", "Makes a team.", "CreateTeam", "Team"),
    read("/api/v1/teams/{team}", "Shows a team.", "Team"),
    operation("DELETE", "/api/v1/teams/{team}", "Takes a team away that has no product.", None, None).conditional(),
    operation(
        "PUT",
        "/api/v1/teams/{team}/members/{account}",
        "Puts an account into a team: it builds for the team's products and releases into them.",
        None,
        Some("Team"),
    ),
    operation("DELETE", "/api/v1/teams/{team}/members/{account}", "Takes an account out of a team.", None, None),
    read("/api/v1/rights", "Lists the rights that were given.", "[GivenRight]").paged(),
    make(
        "/api/v1/rights",
        "Gives an account or a team a role, everywhere or `on` a `platform:NAME`, `product:NAME` or `key:ID`.",
        "GiveRight",
        "GivenRight",
    ),
    operation("DELETE", "/api/v1/rights/{right}", "Takes a right away.", None, None),
    read(
        "/api/v1/tokens",
        "Lists one's own tokens, or all where one manages people, without their secrets.",
        "[Token]",
    ).paged(),
    make(
        "/api/v1/tokens",
        "Makes a token: one's own, narrowed to `scopes`, or with a `role` one of a part of the system; its secret is shown this once.",
        "CreateToken",
        "CreatedToken",
    ),
    operation("DELETE", "/api/v1/tokens/{token}", "Revokes a token.", None, None),
    operation("DELETE", "/api/v1/tokens/own", "Revokes the token that is sent with it.", None, None),
    read("/api/v1/tokens/whoami", "Says whose token was sent, what they may, and where they may push.", "Whoami"),
    make(
        "/api/v1/enrolments",
        "Makes a code with which one node gets its token, once and soon.",
        "CreateEnrolment",
        "CreatedEnrolment",
    ),
    make("/api/v1/enrolments/redeem", "Gives a node its token for a code, once.", "RedeemEnrolment", "CreatedToken"),
    read(
        "/api/v1/audit",
        "Lists who changed what, when, from where and through what, the newest first; `who`, `noun`, `address`, `via`, `since`, `before`, `limit` narrow it.",
        "[Entry]",
    ).paged().query(&[may("who", Text), may("noun", Text), may("address", Text), may("via", Text), may("since", Moment), may("before", Number)]),
];
