//! A release of the schemas: a copy that is never changed again.

use crate::output::{self, Done, Failure, Format};
use schemas::released::{Verdict, released, verdicts, version_key};
use std::{fs, path::Path};

/// Writes every schema of this build to `<into>/<version>/<context>/<Name>.avsc`.
pub fn write(version: &str, into: &Path, format: Format) -> Done {
    let newer = version_key(version)
        .ok_or_else(|| Failure::Usage(format!("`{version}` is no version: give three numbers, for example 0.2.0")))?;
    if let Some(last) =
        released().iter().filter(|r| version_key(r.version) >= Some(newer)).map(|r| r.version).next_back()
    {
        return Err(Failure::Refused(format!("{last} is released: {version} is not higher")));
    }
    if verdicts().values().any(|v| matches!(v, Verdict::Refused(_))) {
        let see = "a released version would be broken: `mallctl schemas check --offline` says which";
        return Err(Failure::Check(see.to_owned()));
    }
    if !into.is_dir() {
        let folder = into.display();
        return Err(Failure::Usage(format!("there is no folder {folder}: run it in the repository, or give --into")));
    }
    let folder = into.join(version);
    if folder.exists() {
        return Err(Failure::Refused(format!("{} exists: a release is never changed", folder.display())));
    }
    for schema in schemas::all() {
        put(&folder, schema).map_err(|e| Failure::Refused(format!("{}: {e}", folder.display())))?;
    }
    let (folder, count) = (folder.display().to_string(), schemas::all().len().to_string());
    let text = format!("{folder}: {count} schemas; commit them, they are compiled in by the next build\n");
    output::say(format, &text, &[("folder", &folder), ("schemas", &count)]);
    Ok(())
}

fn put(folder: &Path, schema: &schemas::Schema) -> std::io::Result<()> {
    let file = folder.join(format!("{}.avsc", message::short_name(schema.name).replace('.', "/")));
    fs::create_dir_all(file.parent().unwrap_or(folder))?;
    fs::write(file, schema.avsc)
}
