//! The images of infra/compose.yaml: pulled before anything is started, one by one, so that a person sees which one takes its time
//! and which one cannot be had.

use std::path::Path;
use std::time::Instant;

use super::docker;
use super::file::ComposeFile;
use crate::process::Launch;
use crate::say::{say, seconds, with_signs_of_life};
use crate::{Error, Jaeger};

/// Pulls what is not there. Where Jaeger may be absent and its image cannot be had, it is taken out of `file`.
pub(super) async fn ensure(file: &mut ComposeFile, jaeger: Jaeger, run: &Path, logs: &Path) -> Result<(), Error> {
    for (name, image) in file.images() {
        if docker(&["image", "inspect", &image]).await.is_ok() {
            continue;
        }
        match pull(&image, run, logs).await {
            Ok(()) => {}
            Err(error) if name == "jaeger" && jaeger != Jaeger::Required => {
                say(format!("no Jaeger, so no traces: {error}"));
                file.remove(&name);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn pull(image: &str, run: &Path, logs: &Path) -> Result<(), Error> {
    say(format!("pulling {image} (once)"));
    let started = Instant::now();
    let log = logs.join("pull.log");
    let puller = Launch::new("pull", "docker", run, &log).args(["pull", image]);
    with_signs_of_life(&format!("still pulling {image}"), puller.run())
        .await
        .map_err(|error| Error::NoImage { image: image.to_owned(), why: error.last_line() })?;
    say(format!("{image} pulled in {}", seconds(started)));
    Ok(())
}
