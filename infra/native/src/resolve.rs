//! The order in which servers are looked for: given addresses, a Docker engine, native processes. Pure, so that the order is tested.

use crate::{Addresses, Backend, Options};

/// Where the servers will come from.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Given(Addresses),
    Compose,
    Containers,
    Native,
}

/// What Docker has to offer; asked only when it matters, since asking takes a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Docker {
    Absent,
    /// The engine that DOCKER_HOST names is on another machine: the ports it publishes are not ours.
    Elsewhere(String),
    /// An engine answers, but there is neither `docker compose` nor `docker-compose`.
    EngineOnly,
    WithCompose,
}

/// Decides the source. Given addresses win over a backend that is merely named, so that what runs inside `servers run` never
/// starts a second set.
pub(crate) fn resolve(given: Option<Addresses>, options: &Options, docker: impl FnOnce() -> Docker) -> Source {
    if let (Some(addresses), false) = (given, options.own) {
        return Source::Given(addresses);
    }
    if options.three_brokers && options.backend == Backend::Auto {
        return Source::Native;
    }
    match options.backend {
        Backend::Native => Source::Native,
        Backend::Compose => Source::Compose,
        Backend::Containers => Source::Containers,
        Backend::Auto => match (docker(), options.prefer_testcontainers && cfg!(feature = "testcontainers")) {
            (Docker::Absent | Docker::Elsewhere(_), _) => Source::Native,
            (_, true) => Source::Containers,
            (Docker::WithCompose, false) => Source::Compose,
            (Docker::EngineOnly, false) => Source::Native,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses() -> Addresses {
        let text = |t: &str| t.to_owned();
        Addresses { kafka: text("k:1"), postgres: text("p"), registry: text("r"), otlp: None, jaeger: None }
    }

    fn with(backend: Backend) -> Options {
        Options { backend, ..Options::default() }
    }

    #[test]
    fn three_brokers_are_processes_whatever_docker_has_to_offer() {
        let options = Options { three_brokers: true, ..Options::default() };
        assert_eq!(resolve(None, &options, || panic!("asked")), Source::Native);
    }

    #[test]
    fn given_addresses_win_and_docker_is_not_even_asked() {
        for backend in [Backend::Auto, Backend::Native, Backend::Compose] {
            let source = resolve(Some(addresses()), &with(backend), || panic!("asked"));
            assert_eq!(source, Source::Given(addresses()));
        }
    }

    #[test]
    fn whoever_asks_for_servers_of_its_own_gets_them_also_where_others_are_given() {
        let options = Options { own: true, ..with(Backend::Native) };
        assert_eq!(resolve(Some(addresses()), &options, || panic!("asked")), Source::Native);
    }

    #[test]
    fn docker_comes_before_native() {
        assert_eq!(resolve(None, &with(Backend::Auto), || Docker::WithCompose), Source::Compose);
    }

    #[test]
    fn without_a_usable_docker_it_is_native() {
        assert_eq!(resolve(None, &with(Backend::Auto), || Docker::Absent), Source::Native);
        assert_eq!(resolve(None, &with(Backend::Auto), || Docker::EngineOnly), Source::Native);
        let elsewhere = || Docker::Elsewhere("tcp://docker:2375".into());
        assert_eq!(resolve(None, &with(Backend::Auto), elsewhere), Source::Native);
    }

    #[test]
    fn a_named_backend_is_taken_without_asking_docker() {
        assert_eq!(resolve(None, &with(Backend::Native), || panic!("asked")), Source::Native);
        assert_eq!(resolve(None, &with(Backend::Compose), || panic!("asked")), Source::Compose);
        assert_eq!(resolve(None, &with(Backend::Containers), || panic!("asked")), Source::Containers);
    }

    #[test]
    fn preferring_testcontainers_counts_only_when_it_is_compiled_in() {
        let options = Options { prefer_testcontainers: true, ..Options::default() };
        let expected = if cfg!(feature = "testcontainers") { Source::Containers } else { Source::Compose };
        assert_eq!(resolve(None, &options, || Docker::WithCompose), expected);
        assert_eq!(resolve(None, &options, || Docker::Absent), Source::Native);
    }
}
