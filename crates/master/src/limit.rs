//! How often somebody may ask: sign-in attempts by address and by account, changes and dear reads by caller, codes, wrong
//! secrets and streams by address.
//! Who asks too often is told when to ask again (429, `Retry-After`).
//!
//! Each master counts for itself, in memory: behind a proxy with n masters somebody gets n times as much, which is as good
//! a bound. Parts of the system and holders of leases are not counted; their work bounds them.

use std::{
    collections::HashMap,
    net::IpAddr,
    num::NonZeroU32,
    ops::Add,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anima_types::permission::Role;
use axum::http::{HeaderMap, Method, StatusCode};
use governor::{
    Quota, RateLimiter,
    clock::{Clock as GovernorClock, Reference},
    middleware::NoOpMiddleware,
    nanos::Nanos,
    state::keyed::HashMapStateStore,
};

use crate::{
    app::Clock,
    auth::Caller,
    error::{ApiError, ApiResult},
};

/// Sign-in attempts of one address: at once, and then one more each so many seconds.
const SIGN_INS_OF_ADDRESS: (u32, u64) = (20, 6);
/// Sign-in attempts for one account from one address: a person who looks for the right password has enough, a list of
/// passwords takes years.
const SIGN_INS_FROM_ADDRESS: (u32, u64) = (10, 30);
/// Sign-in attempts for one account from anywhere. It is loose: whoever uses it up keeps the account's person out, and needs
/// the addresses of six networks for that, all the time. It still bounds somebody who has many of them.
const SIGN_INS_OF_ACCOUNT: (u32, u64) = (200, 5);
/// Codes that people type, of one address, right ones too: they are short, and so each is counted before it is looked up.
/// As many nodes may be enrolled from behind one address.
const CODES_OF_ADDRESS: (u32, u64) = (100, 1);
/// Secrets that are wrong, of one address: tokens.
const WRONG_OF_ADDRESS: (u32, u64) = (30, 2);
/// Reads that cost a second of a core or more, of one person or address: looking through a whole log, comparing snapshots.
const DEAR_READS: (u32, u64) = (30, 2);
/// Streams of one address at once: each asks the database whenever something happens. Some people behind one address have
/// some pages open each.
const STREAMS_OF_ADDRESS: usize = 200;
/// Who has too many streams asks again after so many seconds.
const STREAM_AGAIN_SECS: u64 = 10;
/// Changes of one person: at once, and then this many a second.
const CHANGES_AT_ONCE: u32 = 300;
const CHANGES_PER_SEC: u32 = 10;
/// Different keys that are remembered at most before those that are idle are forgotten.
const MAX_KEYS: usize = 100_000;

/// The service's own clock, as the limiter wants it.
#[derive(Clone)]
struct Now(Clock);

#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd)]
struct Moment(u64);

impl Add<Nanos> for Moment {
    type Output = Moment;

    fn add(self, other: Nanos) -> Moment {
        Moment(self.0.saturating_add(other.as_u64()))
    }
}

impl Reference for Moment {
    fn duration_since(&self, earlier: Moment) -> Nanos {
        self.0.saturating_sub(earlier.0).into()
    }

    fn saturating_sub(&self, duration: Nanos) -> Moment {
        Moment(self.0.checked_sub(duration.into()).unwrap_or(self.0))
    }
}

impl GovernorClock for Now {
    type Instant = Moment;

    fn now(&self) -> Moment {
        let micros = u64::try_from((self.0)().0).unwrap_or(0);
        Moment(micros.saturating_mul(1_000))
    }
}

type Keyed = RateLimiter<String, HashMapStateStore<String>, Now, NoOpMiddleware<Moment>>;

/// All limits of a master.
pub struct Limits {
    sign_ins_of_address: Keyed,
    sign_ins_from_address: Keyed,
    sign_ins_of_account: Keyed,
    codes_of_address: Keyed,
    wrong_of_address: Keyed,
    changes: Keyed,
    dear: Keyed,
    streams: Streams,
    streams_of_address: usize,
    clock: Now,
}

/// The streams that are open, by address.
#[derive(Clone, Default)]
struct Streams(Arc<Mutex<HashMap<String, usize>>>);

/// A stream that is counted for as long as this lives.
pub struct OpenStream(Option<(Streams, String)>);

impl Drop for OpenStream {
    fn drop(&mut self) {
        let Some((streams, network)) = self.0.take() else { return };
        let mut open = streams.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&network) {
            *count -= 1;
            if *count == 0 {
                open.remove(&network);
            }
        }
    }
}

impl Limits {
    /// Returns limits that nobody has used anything of.
    /// With a factor, so many times as much.
    pub fn new(clock: Clock, factor: u32) -> Limits {
        let (clock, factor) = (Now(clock), factor.max(1));
        let slow = |(at_once, secs): (u32, u64)| {
            let quota = Quota::with_period(Duration::from_secs(secs) / factor);
            quota.map(|quota| quota.allow_burst(many(at_once.saturating_mul(factor))))
        };
        let keyed = |quota: Option<Quota>| {
            let quota = quota.expect("periods are not zero");
            RateLimiter::new(quota, HashMapStateStore::default(), clock.clone())
        };
        Limits {
            sign_ins_of_address: keyed(slow(SIGN_INS_OF_ADDRESS)),
            sign_ins_from_address: keyed(slow(SIGN_INS_FROM_ADDRESS)),
            codes_of_address: keyed(slow(CODES_OF_ADDRESS)),
            sign_ins_of_account: keyed(slow(SIGN_INS_OF_ACCOUNT)),
            wrong_of_address: keyed(slow(WRONG_OF_ADDRESS)),
            dear: keyed(slow(DEAR_READS)),
            streams: Streams::default(),
            streams_of_address: STREAMS_OF_ADDRESS.saturating_mul(factor as usize),
            changes: keyed(Some(
                Quota::per_second(many(CHANGES_PER_SEC.saturating_mul(factor)))
                    .allow_burst(many(CHANGES_AT_ONCE.saturating_mul(factor))),
            )),
            clock,
        }
    }

    /// Counts an attempt to sign in. What is refused to an address does not count for the account, so that nobody keeps its
    /// person out from there.
    pub fn sign_in(&self, account: &str, address: Option<IpAddr>) -> ApiResult<()> {
        let account: String = account.chars().take(64).collect();
        if let Some(network) = address.map(network) {
            self.ask(&self.sign_ins_from_address, format!("{account} from {network}"))?;
            self.ask(&self.sign_ins_of_address, network)?;
        }
        self.ask(&self.sign_ins_of_account, account)
    }

    /// Counts a code that somebody typed.
    pub fn code(&self, address: Option<IpAddr>) -> ApiResult<()> {
        match address {
            Some(address) => self.ask(&self.codes_of_address, network(address)),
            None => Ok(()),
        }
    }

    /// Counts a sign-in that is proved elsewhere: at a provider, or on a page.
    pub fn sign_in_elsewhere(&self, address: Option<IpAddr>) -> ApiResult<()> {
        match address {
            Some(address) => self.ask(&self.sign_ins_of_address, network(address)),
            None => Ok(()),
        }
    }

    /// Counts a request with a secret that nobody has.
    pub fn wrong_secret(&self, address: Option<IpAddr>) -> ApiResult<()> {
        match address {
            Some(address) => self.ask(&self.wrong_of_address, network(address)),
            None => Ok(()),
        }
    }

    /// Counts a change that a person wants.
    pub fn change(&self, caller: &Caller, method: &Method) -> ApiResult<()> {
        match key(caller) {
            Some(key) if !method.is_safe() => self.ask(&self.changes, key),
            _ => Ok(()),
        }
    }

    /// Counts a read that costs much.
    pub fn dear(&self, caller: &Caller) -> ApiResult<()> {
        key(caller).map_or(Ok(()), |key| self.ask(&self.dear, key))
    }

    /// Counts a stream for as long as what is returned lives.
    pub fn stream(&self, caller: &Caller) -> ApiResult<OpenStream> {
        let Some(network) = key(caller).and(caller.address).map(network) else { return Ok(OpenStream(None)) };
        let mut open = self.streams.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(network.clone()).or_default();
        if *count >= self.streams_of_address {
            let mut error = too_often(Duration::from_secs(STREAM_AGAIN_SECS));
            error.body.message = format!("this address has {count} streams open already");
            return Err(error);
        }
        *count += 1;
        Ok(OpenStream(Some((self.streams.clone(), network))))
    }

    fn ask(&self, limiter: &Keyed, key: String) -> ApiResult<()> {
        if limiter.len() >= MAX_KEYS {
            limiter.retain_recent();
        }
        limiter.check_key(&key).map_err(|until| too_often(until.wait_time_from(self.clock.now())))
    }
}

/// Returns as whom a caller is counted: people, and who is nobody but has an address.
fn key(caller: &Caller) -> Option<String> {
    match (caller.role, caller.account) {
        (Role::Person, Some(account)) => Some(format!("account {account}")),
        (Role::Anonymous, _) => caller.address.map(network),
        _ => None,
    }
}

fn too_often(wait: Duration) -> ApiError {
    let secs = wait.as_secs() + 1;
    let mut error =
        ApiError::new(StatusCode::TOO_MANY_REQUESTS, "too_often", format!("this was asked too often: wait {secs} s"));
    error.retry_after_secs = Some(secs);
    error
}

fn many(count: u32) -> NonZeroU32 {
    NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN)
}

/// Returns what is counted as one caller: an address of version 4, and of version 6 the network of a household.
fn network(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

/// Returns from where a request comes: the peer, or where that is a proxy of ours, whom it names last and is none.
pub fn address(peer: Option<IpAddr>, headers: &HeaderMap, proxies: &[IpAddr]) -> Option<IpAddr> {
    let mut address = peer?.to_canonical();
    let values: Vec<&str> = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok()).collect();
    let mut named = values.iter().rev().flat_map(|value| value.rsplit(','));
    // Only what a proxy of ours has written is believed; what stood there before, anybody may have.
    while proxies.contains(&address) {
        match named.next().and_then(|text| text.trim().parse::<IpAddr>().ok()) {
            Some(next) => address = next.to_canonical(),
            None => break,
        }
    }
    Some(address)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;
    use anima_types::Timestamp;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn who_asks_too_often_is_told_when_to_ask_again_and_then_may() {
        let micros = Arc::new(AtomicI64::new(1_700_000_000_000_000));
        let clock = micros.clone();
        let limits = Limits::new(Arc::new(move || Timestamp(clock.load(Ordering::SeqCst))), 1);
        let attempt = || limits.sign_in("ann", Some(ip("192.0.2.1")));

        assert!((0..10).all(|_| attempt().is_ok()));
        let refused = attempt().unwrap_err();

        assert_eq!((refused.status, refused.body.code.as_str()), (StatusCode::TOO_MANY_REQUESTS, "too_often"));
        let wait = refused.retry_after_secs.unwrap();
        assert!((1..=31).contains(&wait), "{wait}");
        micros.fetch_add(wait as i64 * 1_000_000, Ordering::SeqCst);
        assert!(attempt().is_ok());
        assert!(limits.sign_in("bob", Some(ip("192.0.2.1"))).is_ok(), "another account is another count");
    }

    #[test]
    fn who_tries_one_account_keeps_its_person_out_from_nowhere_else_and_many_together_are_still_bounded() {
        let limits = Limits::new(Arc::new(|| Timestamp(1_700_000_000_000_000)), 1);
        let from = |number: u8| limits.sign_in("ann", Some(ip(&format!("192.0.2.{number}")))).is_ok();

        assert_eq!((0..1_000).filter(|_| from(1)).count(), 10);
        assert!(from(2), "the account's person is elsewhere");
        let others = (3..=250).map(|number| (0..20).filter(|_| from(number)).count()).sum::<usize>();
        assert_eq!(others, 200 - 11);

        let limits = Limits::new(Arc::new(|| Timestamp(1_700_000_000_000_000)), 3);
        assert_eq!(
            (0..100).filter(|_| limits.sign_in("ann", Some(ip("192.0.2.1"))).is_ok()).count(),
            30,
            "three times"
        );
    }

    #[test]
    fn an_address_that_tries_many_accounts_is_stopped() {
        let limits = Limits::new(Arc::new(|| Timestamp(1_700_000_000_000_000)), 1);
        let tries = (0..100).filter(|number| limits.sign_in(&format!("a{number}"), Some(ip("2001:db8::7"))).is_ok());

        assert_eq!(tries.count(), 20);
        assert!(limits.sign_in("b", Some(ip("2001:db8::8"))).is_err(), "the same household");
        assert!(limits.sign_in("b", Some(ip("2001:db8:0:1::8"))).is_ok());
    }

    #[test]
    fn an_address_has_so_many_streams_at_once_and_dear_reads_and_parts_of_the_system_all_they_want() {
        let limits = Limits::new(Arc::new(|| Timestamp(1_700_000_000_000_000)), 1);
        let nobody = |number: u8| Caller { address: Some(ip(&format!("192.0.2.{number}"))), ..Caller::anonymous() };
        let node = Caller { role: Role::BuildNode, ..nobody(1) };
        let mut open: Vec<_> = (0..200).map(|_| limits.stream(&nobody(1)).unwrap()).collect();

        let refused = limits.stream(&nobody(1)).map(drop).unwrap_err();

        assert_eq!((refused.status, refused.retry_after_secs), (StatusCode::TOO_MANY_REQUESTS, Some(11)));
        assert!(limits.stream(&nobody(2)).is_ok() && limits.stream(&node).is_ok());
        open.pop();
        assert!(limits.stream(&nobody(1)).is_ok());
        drop(open);
        assert!(limits.streams.0.lock().unwrap().is_empty(), "who left is not remembered");
        assert_eq!((0..100).filter(|_| limits.dear(&nobody(1)).is_ok()).count(), 30);
        assert!(limits.dear(&nobody(2)).is_ok() && (0..100).all(|_| limits.dear(&node).is_ok()));
    }

    #[test]
    fn an_address_is_believed_only_of_our_own_proxies() {
        let headers =
            |value: &str| HeaderMap::from_iter([("x-forwarded-for".parse().unwrap(), value.parse().unwrap())]);
        let proxy = [ip("127.0.0.1")];

        assert_eq!(address(Some(ip("192.0.2.9")), &headers("1.2.3.4"), &proxy), Some(ip("192.0.2.9")));
        assert_eq!(address(Some(ip("127.0.0.1")), &headers("1.2.3.4, 192.0.2.7"), &proxy), Some(ip("192.0.2.7")));
        assert_eq!(address(Some(ip("127.0.0.1")), &headers("192.0.2.7, 127.0.0.1"), &proxy), Some(ip("192.0.2.7")));
        assert_eq!(address(Some(ip("127.0.0.1")), &headers("nonsense"), &proxy), Some(ip("127.0.0.1")));
        assert_eq!(address(Some(ip("127.0.0.1")), &headers("1.2.3.4"), &[]), Some(ip("127.0.0.1")));
        assert_eq!(address(None, &headers("1.2.3.4"), &proxy), None);
    }
}
