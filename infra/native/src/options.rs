//! What a caller may choose: how much Jaeger matters, how large Kafka is, and whether one way of getting servers is insisted upon.

/// How much the caller needs Jaeger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Jaeger {
    /// Built when it is not in the cache; no Jaeger is an error. For tests.
    #[default]
    Required,
    /// Built when it is not in the cache and Go is there; else one line says that there are no traces. For demo and run.
    Optional,
    /// Started only when an earlier run has built it; never waits for a build.
    IfBuilt,
}

/// How much memory and compiler Kafka gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Profile {
    /// At most 384 MB of heap and the quick compiler only: starts fast, for demo and tests.
    #[default]
    Small,
    /// 1 GB of heap and both compilers, for benchmarks.
    Bench,
}

/// Where the servers may come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Backend {
    /// Given addresses, else Docker when an engine answers, else native processes.
    #[default]
    Auto,
    /// Native processes, whatever else is there.
    Native,
    /// `docker compose` with infra/compose.yaml, or an error.
    Compose,
    /// Containers made by the testcontainers crate (cargo feature `testcontainers`), or an error.
    Containers,
}

/// Everything a caller may choose; `Options::default()` suits tests.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    pub jaeger: Jaeger,
    pub profile: Profile,
    pub backend: Backend,
    /// With [`Backend::Auto`] and a Docker engine: testcontainers instead of compose. Needs the cargo feature, else it has no effect.
    pub prefer_testcontainers: bool,
    /// Start servers of our own even where addresses are given; for those who kill servers, or measure them.
    pub own: bool,
}
