//! How often somebody may ask: sign-in attempts by address and by account, changes by caller, wrong secrets by address.
//! Who asks too often is told when to ask again (429, `Retry-After`).
//!
//! Each master counts for itself, in memory: behind a proxy with n masters somebody gets n times as much, which is as good
//! a bound. Parts of the system and holders of leases are not counted; their work bounds them.

use std::{net::IpAddr, num::NonZeroU32, ops::Add, time::Duration};

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
/// Sign-in attempts for one account: a person who looks for the right password has enough, a list of passwords takes years.
const SIGN_INS_OF_ACCOUNT: (u32, u64) = (10, 30);
/// Secrets that are wrong, of one address: tokens, codes.
const WRONG_OF_ADDRESS: (u32, u64) = (30, 2);
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
    sign_ins_of_account: Keyed,
    wrong_of_address: Keyed,
    changes: Keyed,
    clock: Now,
}

impl Limits {
    /// Returns limits that nobody has used anything of.
    pub fn new(clock: Clock) -> Limits {
        let clock = Now(clock);
        let slow = |(at_once, secs): (u32, u64)| {
            Quota::with_period(Duration::from_secs(secs)).map(|quota| quota.allow_burst(many(at_once)))
        };
        let keyed = |quota: Option<Quota>| {
            let quota = quota.expect("periods are not zero");
            RateLimiter::new(quota, HashMapStateStore::default(), clock.clone())
        };
        Limits {
            sign_ins_of_address: keyed(slow(SIGN_INS_OF_ADDRESS)),
            sign_ins_of_account: keyed(slow(SIGN_INS_OF_ACCOUNT)),
            wrong_of_address: keyed(slow(WRONG_OF_ADDRESS)),
            changes: keyed(Some(Quota::per_second(many(CHANGES_PER_SEC)).allow_burst(many(CHANGES_AT_ONCE)))),
            clock,
        }
    }

    /// Counts an attempt to sign in.
    pub fn sign_in(&self, account: &str, address: Option<IpAddr>) -> ApiResult<()> {
        if let Some(address) = address {
            self.ask(&self.sign_ins_of_address, network(address))?;
        }
        self.ask(&self.sign_ins_of_account, account.chars().take(64).collect())
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
        let is_counted = match caller.role {
            Role::Person => true,
            // Who is nobody has an address at least.
            Role::Anonymous => caller.address.is_some(),
            _ => false,
        };
        if method.is_safe() || !is_counted {
            return Ok(());
        }
        let key = match (caller.account, caller.address) {
            (Some(account), _) => format!("account {account}"),
            (None, address) => address.map(network).unwrap_or_default(),
        };
        self.ask(&self.changes, key)
    }

    fn ask(&self, limiter: &Keyed, key: String) -> ApiResult<()> {
        if limiter.len() >= MAX_KEYS {
            limiter.retain_recent();
        }
        limiter.check_key(&key).map_err(|until| too_often(until.wait_time_from(self.clock.now())))
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
    use std::sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    };

    use super::*;
    use anima_types::Timestamp;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn who_asks_too_often_is_told_when_to_ask_again_and_then_may() {
        let micros = Arc::new(AtomicI64::new(1_700_000_000_000_000));
        let clock = micros.clone();
        let limits = Limits::new(Arc::new(move || Timestamp(clock.load(Ordering::SeqCst))));
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
    fn an_address_that_tries_many_accounts_is_stopped() {
        let limits = Limits::new(Arc::new(|| Timestamp(1_700_000_000_000_000)));
        let tries = (0..100).filter(|number| limits.sign_in(&format!("a{number}"), Some(ip("2001:db8::7"))).is_ok());

        assert_eq!(tries.count(), 20);
        assert!(limits.sign_in("b", Some(ip("2001:db8::8"))).is_err(), "the same household");
        assert!(limits.sign_in("b", Some(ip("2001:db8:0:1::8"))).is_ok());
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
