//! The containers made by the testcontainers crate, for tests. The run's guard removes them, also those of a test process that was
//! killed; the crate's own clean-up runs only where values are dropped.

use std::time::{Duration, Instant};

use testcontainers::bollard::models::HostConfig;
use testcontainers::core::IntoContainerPort;
use testcontainers::runners::AsyncRunner;
use testcontainers::{ContainerRequest, GenericImage, ImageExt};

use super::file::ComposeFile;
use super::{Prepared, all_serve, down, prepare};
use crate::server::{Running, Server};
use crate::{Error, Options};

/// Marks the containers of one run.
const LABEL: &str = "mallbots.run";
const STARTED_WITHIN: Duration = Duration::from_secs(120);

/// Starts the containers and waits until every server answers.
pub(crate) async fn start(options: &Options) -> Result<Running, Error> {
    let prepared = prepare(options, "the testcontainers crate").await?;
    let network = prepared.name();
    prepared.guard.at_the_end(&down(&format!("{LABEL}={network}"), &network))?;
    let started = Instant::now();
    let mut servers = Vec::new();
    for name in ["postgres", "kafka", "jaeger"].into_iter().filter(|name| prepared.file.has(name)) {
        servers.push(create(name, &prepared, &network).await?);
    }
    let (postgres, others) = servers.split_at(1);
    // The registry gives up without its database.
    let registry = async {
        all_serve(postgres, started).await?;
        let registry = create("registry", &prepared, &network).await?;
        registry.wait(started).await.map(|()| registry)
    };
    let ((), registry) = tokio::try_join!(all_serve(others, started), registry)?;
    servers.push(registry);
    prepared.running(servers, started).await
}

async fn create(name: &str, prepared: &Prepared, network: &str) -> Result<Server, Error> {
    let failed = |why: String| Error::Docker { doing: format!("run {name}"), why };
    let container = request(name, &prepared.file, network)?.start().await.map_err(|error| failed(error.to_string()))?;
    let server = prepared.server(name, container.id());
    std::mem::forget(container);
    server
}

fn request(name: &str, file: &ComposeFile, network: &str) -> Result<ContainerRequest<GenericImage>, Error> {
    let wrong = |what: &str| Error::NotOurs(format!("infra/compose.yaml: {what} of {name}"));
    let service = file.service(name).ok_or_else(|| wrong("no entry"))?;
    let (image, tag) = service.image.rsplit_once(':').ok_or_else(|| wrong("no version in the image"))?;
    let mut request = GenericImage::new(image, tag)
        .with_container_name(format!("{network}-{name}"))
        .with_label(LABEL, network)
        .with_network(network)
        .with_hostname(name)
        .with_startup_timeout(STARTED_WITHIN)
        .with_host_config_modifier(loopback_only);
    if let Some(size) = &service.shm_size {
        request = request.with_shm_size(megabytes(size).ok_or_else(|| wrong("shm_size"))? << 20);
    }
    for port in &service.ports {
        let (host, inside) = host_and_inside(port).ok_or_else(|| wrong("a port"))?;
        request = request.with_mapped_port(host, inside.tcp());
    }
    for (name, value) in &service.environment {
        // With compose a container is known to the others by its short name.
        request = request.with_env_var(name, value.replace("//postgres:", &format!("//{network}-postgres:")));
    }
    Ok(request.with_cmd(service.command.iter().cloned()))
}

fn loopback_only(config: &mut HostConfig) {
    let bindings = config.port_bindings.iter_mut().flat_map(|ports| ports.values_mut()).flatten().flatten();
    bindings.for_each(|binding| binding.host_ip = Some("127.0.0.1".to_owned()));
}

/// `127.0.0.1:12001:9092` to 12001 and 9092.
fn host_and_inside(port: &str) -> Option<(u16, u16)> {
    let mut parts = port.rsplit(':').map(|part| part.parse().ok());
    let (inside, host) = (parts.next()??, parts.next()??);
    Some((host, inside))
}

fn megabytes(size: &str) -> Option<u64> {
    size.strip_suffix('m')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::super::file::Ports;
    use super::*;
    use crate::Profile;

    #[test]
    fn every_service_of_the_compose_file_becomes_a_request() {
        let file = ComposeFile::read(&Ports::free().unwrap(), Profile::Small).unwrap();
        assert_eq!(file.names(), ["jaeger", "kafka", "postgres", "registry"]);
        for name in file.names() {
            assert!(request(name, &file, "net").is_ok(), "{name}");
        }
    }

    #[test]
    fn ports_and_sizes_are_read_as_compose_writes_them() {
        assert_eq!(host_and_inside("127.0.0.1:12001:9092"), Some((12_001, 9092)));
        assert_eq!(host_and_inside("9092"), None);
        assert_eq!(megabytes("256m"), Some(256));
        assert_eq!(megabytes("1g"), None);
    }
}
