//! Free ports on the loopback interface, taken below the range from which the kernel gives ports to outgoing connections.
//! Inside that range a client that keeps connecting to a server that is down can be given the server's own port, and then
//! speaks to itself.

use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, TcpListener};

use crate::Error;

/// The lowest port we take; below lie well-known services.
const LOWEST: u16 = 12_000;
/// Where outgoing ports begin on Linux unless configured otherwise.
const USUAL_FIRST_OUTGOING: u16 = 32_768;

/// `N` different ports that nobody listens on at this moment.
pub(crate) fn free<const N: usize>() -> Result<[u16; N], Error> {
    let ports = free_ports(N)?;
    ports.try_into().map_err(|_| Error::NotOurs(format!("not {N} ports")))
}

/// `count` different ports that nobody listens on at this moment.
pub fn free_ports(count: usize) -> Result<Vec<u16>, Error> {
    let range = LOWEST..first_outgoing();
    let start = RandomState::new().hash_one(std::process::id()) as usize % range.len();
    // Held until all are found, so that no port comes twice.
    let mut held: Vec<TcpListener> = Vec::with_capacity(count);
    for port in range.clone().cycle().skip(start).take(range.len()) {
        held.extend(TcpListener::bind((Ipv4Addr::LOCALHOST, port)));
        if held.len() == count {
            break;
        }
    }
    let ports: Vec<u16> = held.iter().filter_map(|l| l.local_addr().ok()).map(|a| a.port()).collect();
    if ports.len() < count {
        return Err(Error::NotOurs(format!("no {count} free ports between {LOWEST} and {}", range.end)));
    }
    Ok(ports)
}

fn first_outgoing() -> u16 {
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    parse_first_outgoing(&text)
}

fn parse_first_outgoing(range: &str) -> u16 {
    let first = range.split_whitespace().next().and_then(|port| port.parse().ok());
    // A machine that gives out nearly all ports leaves us no range of our own; then the usual one must do.
    first.filter(|&port| port > LOWEST + 1_000).unwrap_or(USUAL_FIRST_OUTGOING)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_different_bindable_and_below_the_outgoing_range() {
        let ports = free::<8>().unwrap();
        let mut unique = ports.to_vec();
        unique.sort();
        unique.dedup();
        assert_eq!(unique.len(), 8);
        assert!(ports.iter().all(|&p| p >= LOWEST && p < first_outgoing()));
    }

    #[test]
    fn a_taken_port_is_passed_over() {
        let [taken] = free::<1>().unwrap();
        let _held = TcpListener::bind((Ipv4Addr::LOCALHOST, taken)).unwrap();
        assert!(!free::<64>().unwrap().contains(&taken));
    }

    #[test]
    fn an_unusable_outgoing_range_falls_back_to_the_usual_one() {
        assert_eq!(parse_first_outgoing("40000\t60999\n"), 40_000);
        assert_eq!(parse_first_outgoing("1024 65535"), USUAL_FIRST_OUTGOING);
        assert_eq!(parse_first_outgoing(""), USUAL_FIRST_OUTGOING);
    }
}
