//! The list of a cached thing's files with their sizes, kept beside them. Sizes find what happens to caches, cut and missing files, in
//! milliseconds; checksums of all of it would cost each start a second.

use std::fs;
use std::io;
use std::path::Path;

/// The list's name; it is made last.
const NAME: &str = ".files";

/// Lists all files of `folder`.
pub(super) fn write(folder: &Path) -> io::Result<()> {
    let mut lines = Vec::new();
    list(folder, folder, &mut lines)?;
    lines.sort();
    fs::write(folder.join(NAME), lines.concat())
}

/// What is wrong with `folder`, in a few words. A folder without a list, of an older launcher, is taken to be whole.
pub(super) fn damage(folder: &Path) -> Option<String> {
    let text = fs::read_to_string(folder.join(NAME)).ok()?;
    text.lines().find_map(|line| {
        let (size, path) = line.split_once(' ')?;
        match folder.join(path).symlink_metadata() {
            Ok(meta) if meta.len().to_string() == size => None,
            Ok(meta) => Some(format!("{path} has {} bytes instead of {size}", meta.len())),
            Err(_) => Some(format!("{path} is missing")),
        }
    })
}

/// Lines `SIZE PATH`. Links count by their own length, which is that of the path they hold.
fn list(root: &Path, folder: &Path, lines: &mut Vec<String>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let meta = path.symlink_metadata()?;
        if meta.is_dir() {
            list(root, &path, lines)?;
        } else if let Ok(inside) = path.strip_prefix(root) {
            lines.push(format!("{} {}\n", meta.len(), inside.display()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_and_a_missing_file_are_named_and_a_folder_without_a_list_is_believed() {
        let folder = std::env::temp_dir().join(format!("servers-manifest-test-{}", std::process::id()));
        fs::create_dir_all(folder.join("in ner")).unwrap();
        fs::write(folder.join("in ner/a b"), "12345").unwrap();
        assert_eq!(damage(&folder), None);
        write(&folder).unwrap();
        assert_eq!(damage(&folder), None);
        fs::write(folder.join("in ner/a b"), "123").unwrap();
        assert_eq!(damage(&folder).unwrap(), "in ner/a b has 3 bytes instead of 5");
        fs::remove_file(folder.join("in ner/a b")).unwrap();
        assert_eq!(damage(&folder).unwrap(), "in ner/a b is missing");
        fs::remove_dir_all(folder).unwrap();
    }
}
