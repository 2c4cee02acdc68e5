//! How many connections one address may have at once: there are only so many, and nobody is to have them all.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

/// Connections of one address at once, where nothing else is said: a tenth of all, and enough for a hundred machines behind
/// one address.
pub const CONNECTIONS_OF_ADDRESS: usize = 1_000;

/// Who may have how many.
#[derive(Clone, Debug)]
pub struct Crowd {
    /// Connections of one address at once; of version 6, of the network of a household.
    pub of_address: usize,
    /// Proxies of ours, which bring everybody's. This machine's own address is never counted.
    pub proxies: Vec<IpAddr>,
}

impl Default for Crowd {
    fn default() -> Crowd {
        Crowd { of_address: CONNECTIONS_OF_ADDRESS, proxies: Vec::new() }
    }
}

/// The connections that there are, by address.
pub(crate) struct Counted {
    crowd: Crowd,
    counts: Mutex<HashMap<IpAddr, Count>>,
}

#[derive(Default)]
struct Count {
    open: usize,
    was_refused: bool,
}

impl Counted {
    pub fn new(crowd: Crowd) -> Arc<Counted> {
        Arc::new(Counted { crowd, counts: Mutex::default() })
    }

    /// Counts a connection for as long as what is returned lives. None: this address has too many.
    pub fn enter(self: &Arc<Counted>, address: IpAddr) -> Option<OpenConnection> {
        let address = address.to_canonical();
        if address.is_loopback() || self.crowd.proxies.iter().any(|proxy| proxy.to_canonical() == address) {
            return Some(OpenConnection(None));
        }
        let network = network(address);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(network).or_default();
        if count.open >= self.crowd.of_address.max(1) {
            if !std::mem::replace(&mut count.was_refused, true) {
                let most = self.crowd.of_address;
                tracing::warn!(%network, "{network} has {most} connections, and gets no more; a proxy of ours is named in `proxies`");
            }
            return None;
        }
        count.open += 1;
        Some(OpenConnection(Some((self.clone(), network))))
    }

    fn leave(&self, network: IpAddr) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&network) {
            count.open -= 1;
            if count.open == 0 {
                counts.remove(&network);
            }
        }
    }
}

/// A connection that is counted.
pub(crate) struct OpenConnection(Option<(Arc<Counted>, IpAddr)>);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        if let Some((counted, network)) = self.0.take() {
            counted.leave(network);
        }
    }
}

/// Returns what is counted as one: an address of version 4, and of version 6 the network of a household.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_has_so_many_connections_until_one_ends_and_others_have_theirs() {
        let counted = Counted::new(Crowd { of_address: 2, proxies: vec![ip("192.0.2.9")] });
        let first = counted.enter(ip("192.0.2.1")).unwrap();
        let _second = counted.enter(ip("::ffff:192.0.2.1")).unwrap();

        assert!(counted.enter(ip("192.0.2.1")).is_none());
        assert!(counted.enter(ip("192.0.2.2")).is_some());
        let proxied: Vec<_> = (0..9).map(|_| counted.enter(ip("192.0.2.9"))).collect();
        let own: Vec<_> = (0..9).map(|_| counted.enter(ip("127.0.0.1"))).collect();
        assert!(
            proxied.iter().chain(&own).all(Option::is_some),
            "who brings others, and this machine itself, are not counted"
        );
        drop(first);
        assert!(counted.enter(ip("192.0.2.1")).is_some());
    }

    #[test]
    fn a_household_is_one_address_and_nothing_is_remembered_of_who_left() {
        let counted = Counted::new(Crowd { of_address: 1, proxies: Vec::new() });
        let place = counted.enter(ip("2001:db8::1"));

        assert!(counted.enter(ip("2001:db8::2")).is_none());
        assert!(counted.enter(ip("2001:db8:0:1::2")).is_some());
        drop(place);
        assert!(counted.counts.lock().unwrap().is_empty());
    }
}
