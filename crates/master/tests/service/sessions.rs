//! Sessions in browsers: the cookie, its end, fixation, and forms that other sites would like to send.

use anima_types::permission::{Permission, Role};
use axum::{
    body::Body,
    http::{HeaderMap, Method, Request, StatusCode},
};

use crate::master::{Master, PASSWORD};

/// A browser as far as it concerns a server: it keeps cookies and sends them.
#[derive(Clone, Default)]
pub struct Jar(pub Vec<(String, String)>);

impl Jar {
    fn take(&mut self, headers: &HeaderMap) {
        for cookie in headers.get_all("set-cookie") {
            let text = cookie.to_str().unwrap();
            assert!(text.contains("HttpOnly") && text.contains("SameSite=Lax") && text.contains("Path=/"), "{text}");
            let (name, value) = text.split(';').next().unwrap().split_once('=').unwrap();
            self.0.retain(|(known, _)| known != name);
            if !value.is_empty() {
                self.0.push((name.to_string(), value.to_string()));
            }
        }
    }

    fn header(&self) -> String {
        self.0.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

pub struct Page {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl Page {
    pub fn word(&self) -> String {
        let rest =
            self.body.split("name=\"word\" value=\"").nth(1).unwrap_or_else(|| panic!("no form:\n{}", self.body));
        rest.split('"').next().unwrap().to_string()
    }

    pub fn location(&self) -> &str {
        self.headers.get("location").map_or("", |value| value.to_str().unwrap())
    }
}

pub async fn send(
    master: &Master,
    jar: &mut Jar,
    method: Method,
    path: &str,
    form: &[(&str, &str)],
    more: &[(&str, &str)],
) -> Page {
    let body: String = form_urlencoded(form);
    let mut request =
        Request::builder().method(method).uri(path).header("accept", "text/html").header("cookie", jar.header());
    if !form.is_empty() {
        request = request.header("content-type", "application/x-www-form-urlencoded");
    }
    for (name, value) in more {
        request = request.header(*name, *value);
    }
    let (status, headers, body) = master.raw(request.body(Body::from(body)).unwrap()).await;
    jar.take(&headers);
    Page { status, headers, body }
}

fn form_urlencoded(form: &[(&str, &str)]) -> String {
    let plain = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
    form.iter().map(|(name, value)| format!("{name}={}", plain(value))).collect::<Vec<_>>().join("&")
}

pub async fn get(master: &Master, jar: &mut Jar, path: &str) -> Page {
    send(master, jar, Method::GET, path, &[], &[]).await
}

pub async fn post(master: &Master, jar: &mut Jar, path: &str, form: &[(&str, &str)]) -> Page {
    send(master, jar, Method::POST, path, form, &[("sec-fetch-site", "same-origin")]).await
}

pub async fn sign_in(master: &Master, jar: &mut Jar, account: &str) -> Page {
    let word = get(master, jar, "/sign-in").await.word();
    post(master, jar, "/sign-in", &[("word", &word), ("account", account), ("password", PASSWORD), ("to", "/keys")])
        .await
}

pub async fn is_signed_in(master: &Master, jar: &Jar) -> bool {
    get(master, &mut jar.clone(), "/account").await.status == StatusCode::OK
}

#[tokio::test]
async fn people_sign_in_come_back_to_where_they_were_and_sign_out() {
    let master = Master::open().await;
    master.person("ann", &["contributor"]).await;
    let mut jar = Jar::default();

    let asked = get(&master, &mut jar, "/account").await;
    assert_eq!((asked.status, asked.location()), (StatusCode::SEE_OTHER, "/sign-in?to=%2Faccount"));
    let signed_in = sign_in(&master, &mut jar, "ann").await;
    assert_eq!((signed_in.status, signed_in.location()), (StatusCode::SEE_OTHER, "/keys"), "{}", signed_in.body);
    let account = get(&master, &mut jar, "/account").await;
    assert!(account.body.contains("contributor everywhere") && account.body.contains("sign out"), "{}", account.body);
    assert_eq!(account.headers["cache-control"], "private, no-cache");

    let out = post(&master, &mut jar, "/sign-out", &[("word", &account.word())]).await;
    assert_eq!(out.status, StatusCode::SEE_OTHER);
    assert!(jar.get("anima-session").is_none());
    assert!(!is_signed_in(&master, &jar).await);
}

#[tokio::test]
async fn a_session_that_was_signed_out_is_over_also_for_who_kept_the_cookie() {
    let master = Master::open().await;
    master.person("ann", &[]).await;
    let mut jar = Jar::default();
    sign_in(&master, &mut jar, "ann").await;
    let kept = jar.clone();
    let word = get(&master, &mut jar, "/account").await.word();

    post(&master, &mut jar, "/sign-out", &[("word", &word)]).await;

    assert!(!is_signed_in(&master, &kept).await);
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_account_are_the_same_answer() {
    let master = Master::open().await;
    master.person("ann", &[]).await;
    let try_as = async |account: &str| {
        let mut jar = Jar::default();
        let word = get(&master, &mut jar, "/sign-in").await.word();
        let page = post(
            &master,
            &mut jar,
            "/sign-in",
            &[("word", &word), ("account", account), ("password", "a wrong password")],
        )
        .await;
        assert!(jar.get("anima-session").is_none());
        (page.status, page.body.replace(account, "NAME").replace(&page.word(), "WORD"))
    };

    let (known, unknown) = (try_as("ann").await, try_as("quizzy").await);

    assert_eq!(known.0, StatusCode::UNAUTHORIZED);
    assert_eq!(known, unknown);
}

#[tokio::test]
async fn a_cookie_that_somebody_else_put_there_is_of_no_use_to_them() {
    let master = Master::open().await;
    master.person("ann", &[]).await;
    master.person("eve", &[]).await;
    let mut eves = Jar::default();
    sign_in(&master, &mut eves, "eve").await;
    for fixed in ["0".repeat(64), eves.get("anima-session").unwrap().to_string()] {
        let mut anns = Jar(vec![("anima-session".to_string(), fixed.clone())]);
        let word = match get(&master, &mut anns, "/account").await {
            page if page.status == StatusCode::OK => page.word(),
            _ => get(&master, &mut anns, "/sign-in").await.word(),
        };

        let form = [("word", word.as_str()), ("account", "ann"), ("password", PASSWORD)];
        let page = post(&master, &mut anns, "/sign-in", &form).await;

        assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.body);
        let own = anns.get("anima-session").unwrap();
        assert_ne!(own, fixed);
        let known = Jar(vec![("anima-session".to_string(), fixed)]);
        assert!(!is_signed_in(&master, &known).await, "what was known before is good for nothing");
    }
}

#[tokio::test]
async fn a_session_ends_when_it_is_not_used_and_at_last_however_much_it_is() {
    let master = Master::open().await;
    master.person("ann", &[]).await;
    let mut idle = Jar::default();
    sign_in(&master, &mut idle, "ann").await;
    master.pass_secs(12 * 3_600 - 60);
    assert!(is_signed_in(&master, &idle).await);
    master.pass_secs(12 * 3_600 + 1);
    assert!(!is_signed_in(&master, &idle).await);

    let mut busy = Jar::default();
    sign_in(&master, &mut busy, "ann").await;
    for _ in 0..15 {
        assert!(is_signed_in(&master, &busy).await);
        master.pass_secs(11 * 3_600);
    }
    assert!(is_signed_in(&master, &busy).await);
    master.pass_secs(3 * 3_600 + 1);
    assert!(!is_signed_in(&master, &busy).await, "a week is over");
}

#[tokio::test]
async fn a_password_that_is_changed_ends_all_other_sessions() {
    let master = Master::open().await;
    master.person("ann", &[]).await;
    let (mut here, mut elsewhere) = (Jar::default(), Jar::default());
    sign_in(&master, &mut here, "ann").await;
    sign_in(&master, &mut elsewhere, "ann").await;
    let word = get(&master, &mut here, "/account").await.word();

    let form =
        [("word", word.as_str()), ("old", PASSWORD), ("new", "another good phrase"), ("again", "another good phrase")];
    let changed = post(&master, &mut here, "/account/password", &form).await;

    assert_eq!(changed.status, StatusCode::SEE_OTHER, "{}", changed.body);
    assert!(is_signed_in(&master, &here).await && !is_signed_in(&master, &elsewhere).await);
}

#[tokio::test]
async fn no_form_of_another_site_does_anything() {
    let master = Master::open().await;
    master.person("ann", &["admin"]).await;
    let mut jar = Jar::default();
    sign_in(&master, &mut jar, "ann").await;
    let word = get(&master, &mut jar, "/account").await.word();
    let forms: Vec<_> = anima_master::routes().into_iter().filter(|route| route.is_form).collect();
    assert!(forms.len() >= 5, "{}", forms.len());
    for route in forms {
        let path = route.path.replace("{token}", "999").replace("{session}", "999").replace("{identity}", "999");
        let attack = async |form: &[(&str, &str)], headers: &[(&str, &str)]| {
            let page = send(&master, &mut jar.clone(), Method::POST, &path, form, headers).await;
            assert_eq!(page.status, StatusCode::FORBIDDEN, "{path} {form:?} {headers:?}");
        };
        attack(&[("name", "x")], &[]).await;
        attack(&[("word", "0")], &[]).await;
        attack(&[("word", &word)], &[("sec-fetch-site", "cross-site")]).await;
        attack(&[("word", &word)], &[("sec-fetch-site", "same-site")]).await;
        attack(&[("word", &word)], &[("origin", "https://evil.example"), ("host", "master.example")]).await;
    }
    assert!(is_signed_in(&master, &jar).await, "not even a sign-out");
}

#[tokio::test]
async fn a_form_with_the_right_word_does_what_its_sender_may_and_nothing_else() {
    let master = Master::open().await;
    let (mut refused_count, mut passed_count) = (0, 0);
    for role in Role::ALL.into_iter().filter(|role| role.is_of_people() || *role == Role::Person) {
        let name = format!("a-{}", role.name());
        master.person(&name, if role == Role::Person { vec![] } else { vec![role.name()] }.as_slice()).await;
        let mut jar = Jar::default();
        sign_in(&master, &mut jar, &name).await;
        let word = get(&master, &mut jar, "/account").await.word();
        let forms = anima_master::routes().into_iter().filter(|route| route.is_form);
        // Everybody may those; what is one's own is decided by whose it is.
        for route in forms.filter(|route| !matches!(route.permission, Permission::Read | Permission::Own)) {
            let path = route.path.split('/').map(|part| if part.starts_with('{') { "999" } else { part });
            let path = path.collect::<Vec<_>>().join("/");
            let status = post(&master, &mut jar.clone(), &path, &[("word", &word)]).await.status;
            if role.may(route.permission) {
                assert!(
                    !matches!(status, StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED),
                    "{path} as {name}: {status}"
                );
                passed_count += 1;
            } else {
                assert_eq!(status, StatusCode::FORBIDDEN, "{path} as {name}");
                refused_count += 1;
            }
        }
        assert!(is_signed_in(&master, &jar).await, "{name}");
    }
    assert!(refused_count > 50 && passed_count > 50, "{refused_count} {passed_count}");
}

#[tokio::test]
async fn no_change_of_the_api_is_done_by_a_cookie_alone() {
    let master = Master::open().await;
    master.person("ann", &["admin"]).await;
    let mut jar = Jar::default();
    sign_in(&master, &mut jar, "ann").await;
    let word = get(&master, &mut jar, "/account").await.word();
    let mut count = 0;
    for route in anima_master::routes().into_iter().filter(|route| !route.method.is_safe() && !route.is_form) {
        let path = route.path.split('/').map(|part| if part.starts_with('{') { "999" } else { part });
        let path = path.collect::<Vec<_>>().join("/");
        let request = Request::builder().method(route.method.clone()).uri(&path).header("cookie", jar.header());
        let (status, _, body) = master.raw(request.body(Body::empty()).unwrap()).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{} {path}", route.method);
        assert!(body.contains("bad_form"), "{} {path}: {body}", route.method);
        count += 1;
    }
    assert!(count > 30, "{count}");

    let drain = |word: &str| {
        let request =
            Request::builder().method(Method::POST).uri("/api/v1/store/collect").header("cookie", jar.header());
        request.header("x-form-word", word).header("sec-fetch-site", "same-origin").body(Body::empty()).unwrap()
    };
    assert_eq!(master.status(drain(&word)).await, StatusCode::OK, "a script of our own pages may");
    assert_eq!(master.status(drain("0")).await, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_token_is_made_on_the_page_shown_once_and_revoked() {
    let master = Master::open().await;
    master.person("ann", &["contributor"]).await;
    let mut jar = Jar::default();
    sign_in(&master, &mut jar, "ann").await;
    let word = get(&master, &mut jar, "/account").await.word();

    let form = [
        ("word", word.as_str()),
        ("name", "ci <b>"),
        ("days", "7"),
        ("permissions", "build, push"),
        ("products", "p1"),
    ];
    let made = post(&master, &mut jar, "/account/tokens", &form).await;

    assert_eq!(made.status, StatusCode::OK, "{}", made.body);
    let secret = made.body.split("copy secret\">").nth(1).unwrap().split('<').next().unwrap().to_string();
    let whoami = master.json(Method::GET, "/api/v1/tokens/whoami", Some(&secret), serde_json::Value::Null).await.1;
    assert_eq!((&whoami["name"], &whoami["scopes"]["products"][0]), (&"ann".into(), &"p1".into()), "{whoami}");
    let page = get(&master, &mut jar, "/account").await;
    assert!(!page.body.contains(&secret) && page.body.contains("ci &#60;b&#62;"), "{}", page.body);
    let bad = [("word", word.as_str()), ("name", "x"), ("permissions", "everything")];
    assert_eq!(post(&master, &mut jar, "/account/tokens", &bad).await.status, StatusCode::UNPROCESSABLE_ENTITY);

    let revoke =
        page.body.split("/account/tokens/").skip(1).filter_map(|rest| rest.split("/revoke").next()).last().unwrap();
    let revoked = post(&master, &mut jar, &format!("/account/tokens/{revoke}/revoke"), &[("word", &word)]).await;
    assert_eq!(revoked.status, StatusCode::SEE_OTHER, "{}", revoked.body);
    let whoami = master.json(Method::GET, "/api/v1/tokens/whoami", Some(&secret), serde_json::Value::Null).await;
    assert_eq!(whoami.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn over_https_a_cookie_goes_over_https_only_and_no_other_host_can_set_it() {
    let master = Master::open_at("https://master.example").await;
    master.person("ann", &[]).await;
    let mut jar = Jar::default();

    let signed_in = sign_in(&master, &mut jar, "ann").await;

    let cookies: Vec<&str> =
        signed_in.headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap()).collect();
    assert!(
        cookies.iter().all(|cookie| cookie.starts_with("__Host-anima-") && cookie.contains("; Secure")),
        "{cookies:?}"
    );
    assert!(is_signed_in(&master, &jar).await);
    let plain = Jar(vec![("anima-session".to_string(), jar.get("__Host-anima-session").unwrap().to_string())]);
    assert!(!is_signed_in(&master, &plain).await, "a cookie without the prefix may be anybody's");
}

#[tokio::test]
async fn of_two_cookies_of_one_name_none_counts() {
    let master = Master::open().await;
    master.person("ann", &[]).await;
    let mut jar = Jar::default();
    sign_in(&master, &mut jar, "ann").await;
    let own = jar.0[0].clone();

    let two = Jar(vec![("anima-session".to_string(), "0".repeat(64)), own]);

    assert!(!is_signed_in(&master, &two).await);
}
