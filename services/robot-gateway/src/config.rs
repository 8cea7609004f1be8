//! The gateway's settings, read from the environment once at the start.

use anyhow::ensure;
use service_kit::{
    config::{Vars, default_port},
    health::Ready,
};
use std::net::SocketAddr;
use tonic::transport::Uri;

/// Everything that can be set. A bad value stops the start with the variable's name.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where robots connect: `MALLBOTS_ROBOT_GATEWAY_LISTEN`, 127.0.0.1:7108; port 0 picks a free one.
    pub listen: SocketAddr,
    /// Health and metrics: `MALLBOTS_ROBOT_GATEWAY_HTTP`, 127.0.0.1:7158; none when empty.
    pub http: Option<SocketAddr>,
    /// `MALLBOTS_DEPOT_URL`, `http://127.0.0.1:7104`.
    pub depot: Uri,
    /// Robots connected at once: `MALLBOTS_ROBOT_GATEWAY_MAX_ROBOTS`, 10000; more are sent away.
    pub robots: usize,
    /// True while the depot says that it serves. Not from the environment: a process of several roles keeps a clone.
    pub ready: Ready,
}

impl Config {
    pub fn from_env() -> anyhow::Result<Self> {
        Self::from_lookup(|name| std::env::var(name).ok())
    }

    /// From any source of variables.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> anyhow::Result<Self> {
        let vars = Vars(lookup);
        let port = default_port("robot-gateway");
        let here = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let listen: SocketAddr = vars.get("MALLBOTS_ROBOT_GATEWAY_LISTEN", here(port))?;
        ensure!(
            listen.ip().is_loopback(),
            "MALLBOTS_ROBOT_GATEWAY_LISTEN: `{listen}` can be reached from outside, and robots do not prove who they are: give \
             an address of this machine alone, such as 127.0.0.1:{port}"
        );
        Ok(Self {
            listen,
            http: vars.address("MALLBOTS_ROBOT_GATEWAY_HTTP", here(port + 50))?,
            depot: vars.url("MALLBOTS_DEPOT_URL", "depot")?,
            robots: vars.count("MALLBOTS_ROBOT_GATEWAY_MAX_ROBOTS", 10_000)?,
            ready: Ready::default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(vars: &'static [(&str, &str)]) -> anyhow::Result<Config> {
        Config::from_lookup(move |name| vars.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned()))
    }

    #[test]
    fn nothing_set_gives_addresses_of_this_machine() {
        let config = read(&[]).unwrap();
        assert_eq!(
            (config.listen.to_string(), config.depot.to_string()),
            ("127.0.0.1:7108".into(), "http://127.0.0.1:7104/".into())
        );
        assert!(config.http.is_some_and(|at| at.ip().is_loopback()));
        assert_eq!(read(&[("MALLBOTS_ROBOT_GATEWAY_HTTP", "")]).unwrap().http, None);
    }

    #[test]
    fn a_bad_value_is_reported_with_the_name_of_its_variable() {
        for vars in [
            &[("MALLBOTS_ROBOT_GATEWAY_LISTEN", "here")] as &'static [_],
            &[("MALLBOTS_ROBOT_GATEWAY_LISTEN", "0.0.0.0:7108")],
            &[("MALLBOTS_ROBOT_GATEWAY_HTTP", "7158")],
            &[("MALLBOTS_DEPOT_URL", "depot")],
            &[("MALLBOTS_ROBOT_GATEWAY_MAX_ROBOTS", "0")],
        ] {
            let error = format!("{:#}", read(vars).unwrap_err());
            assert!(error.contains(vars[0].0), "{error}");
        }
    }
}
