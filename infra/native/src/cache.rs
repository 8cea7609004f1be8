//! The folder where downloads live, by version. A thing is fetched into a `.partial` folder under a lock and renamed when whole,
//! so that a broken download or a second launcher never leaves half of it under its final name. What was damaged later (a full
//! disk, a stray hand) is noticed by the sizes of its files and fetched again.

use std::fs::{self, File, TryLockError};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::Error;
use crate::error::Doing;
use crate::say::{say, with_signs_of_life};

mod manifest;

/// Log folders of this many runs are kept.
const LOG_FOLDERS_KEPT: usize = 20;

/// The cache folder.
#[derive(Debug, Clone)]
pub(crate) struct Cache {
    root: PathBuf,
}

impl Cache {
    /// `$MALLBOTS_CACHE`, else `$XDG_CACHE_HOME/mallbots`, else `~/.cache/mallbots`; made if it is not there.
    pub(crate) fn from_env() -> Result<Cache, Error> {
        let root = root_from(|name| std::env::var(name).ok().filter(|v| !v.is_empty()))
            .ok_or(Error::Address { variable: "MALLBOTS_CACHE", problem: "is not set, and neither is HOME".into() })?;
        Cache::at(root)
    }

    /// A cache in the given folder.
    pub(crate) fn at(root: PathBuf) -> Result<Cache, Error> {
        fs::create_dir_all(root.join("locks")).doing(|| format!("make {}", root.display()))?;
        let root = root.canonicalize().doing(|| format!("resolve {}", root.display()))?;
        Ok(Cache { root })
    }

    /// Where the thing called `name` lies or will lie.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// As [`Cache::folder`], but always a place that user `nobody` can reach, for what cannot run as root.
    pub(crate) fn reachable_folder(&self, name: &str) -> Result<PathBuf, Error> {
        if !is_root() || world_reachable(&self.root) {
            return Ok(self.folder(name));
        }
        let base = PathBuf::from(format!("/var/tmp/mallbots-{}", rustix::process::geteuid().as_raw()));
        own_folder(&base)?;
        Ok(base.join(name))
    }

    /// Makes sure that `folder` exists and is whole: `fill` is given an empty partial folder when it is not.
    pub(crate) async fn ensure(
        &self,
        folder: &Path,
        fill: impl AsyncFnOnce(&Path) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if folder.exists() && manifest::damage(folder).is_none() {
            return Ok(());
        }
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let _lock = self.lock(&name).await?;
        if folder.exists() {
            let Some(damage) = manifest::damage(folder) else { return Ok(()) };
            say(format!("{name} in the cache is damaged ({damage}): making it anew"));
            fs::remove_dir_all(folder).doing(|| format!("remove {}", folder.display()))?;
        }
        let partial = folder.with_file_name(format!("{name}.partial"));
        // A leftover of a launcher that was killed: we hold the lock, so nobody is filling it.
        if partial.exists() {
            fs::remove_dir_all(&partial).doing(|| format!("remove {}", partial.display()))?;
        }
        fs::create_dir(&partial).doing(|| format!("make {}", partial.display()))?;
        open_to_all(&partial)?;
        fill(&partial).await?;
        manifest::write(&partial).doing(|| format!("list {}", partial.display()))?;
        fs::rename(&partial, folder).doing(|| format!("rename to {}", folder.display()))
    }

    /// Waits until no other launcher works on `name`. The kernel lets go of the lock when its holder ends, however it ends.
    async fn lock(&self, name: &str) -> Result<File, Error> {
        let path = self.root.join("locks").join(name);
        let doing = || format!("lock {}", path.display());
        let file = File::create(&path).doing(doing)?;
        if try_lock(&file).doing(doing)? {
            return Ok(file);
        }
        say(format!("another launcher is making {name}; waiting for it"));
        // Asked again and again rather than in one blocking call, which Ctrl-C could not end.
        let free = async {
            while !try_lock(&file).doing(doing)? {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            Ok(())
        };
        with_signs_of_life(&format!("still waiting for {name}"), free).await?;
        Ok(file)
    }

    /// A new folder for the logs of one run; the oldest ones are removed.
    pub(crate) fn new_log_folder(&self) -> Result<PathBuf, Error> {
        let logs = self.root.join("logs");
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let folder = logs.join(format!("{now}-{}", std::process::id()));
        fs::create_dir_all(&folder).doing(|| format!("make {}", folder.display()))?;
        prune(&logs, LOG_FOLDERS_KEPT);
        Ok(folder)
    }
}

/// Whether the lock is ours now.
fn try_lock(file: &File) -> std::io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn root_from(var: impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
    var("MALLBOTS_CACHE")
        .map(PathBuf::from)
        .or_else(|| var("XDG_CACHE_HOME").map(|base| Path::new(&base).join("mallbots")))
        .or_else(|| var("HOME").map(|home| Path::new(&home).join(".cache/mallbots")))
}

/// Removes all but the `keep` youngest folders; names begin with the time in seconds. Best effort: old logs harm nobody.
fn prune(logs: &Path, keep: usize) {
    let mut folders: Vec<PathBuf> = fs::read_dir(logs).into_iter().flatten().flatten().map(|e| e.path()).collect();
    folders.sort();
    for old in folders.iter().rev().skip(keep) {
        let _ = fs::remove_dir_all(old);
    }
}

/// Whether we run as root.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Whether any user may walk to `folder`.
pub(crate) fn world_reachable(folder: &Path) -> bool {
    folder.ancestors().all(|part| part.metadata().is_ok_and(|m| m.permissions().mode() & 0o001 != 0))
}

/// Makes `folder` enterable and readable by all, whatever the umask.
pub(crate) fn open_to_all(folder: &Path) -> Result<(), Error> {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).doing(|| format!("open {}", folder.display()))
}

/// A folder in a place where everybody may write: made by us, or refused if somebody else made it and could change what we run.
fn own_folder(folder: &Path) -> Result<(), Error> {
    if let Err(error) = fs::DirBuilder::new().mode(0o755).create(folder)
        && error.kind() != std::io::ErrorKind::AlreadyExists
    {
        return Err(error).doing(|| format!("make {}", folder.display()));
    }
    let meta = folder.symlink_metadata().doing(|| format!("look at {}", folder.display()))?;
    let ours = meta.is_dir() && meta.uid() == rustix::process::geteuid().as_raw() && meta.mode() & 0o022 == 0;
    if ours {
        open_to_all(folder)
    } else {
        Err(Error::NotOurs(format!("{} belongs to another user", folder.display())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("servers-cache-test-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        folder
    }

    #[test]
    fn the_cache_folder_follows_its_own_variable_then_xdg_then_home() {
        let all = [("MALLBOTS_CACHE", "/c"), ("XDG_CACHE_HOME", "/x"), ("HOME", "/h")];
        let root =
            |vars: &[(&str, &str)]| root_from(|name| vars.iter().find(|(n, _)| *n == name).map(|(_, v)| v.to_string()));
        assert_eq!(root(&all), Some("/c".into()));
        assert_eq!(root(&all[1..]), Some("/x/mallbots".into()));
        assert_eq!(root(&all[2..]), Some("/h/.cache/mallbots".into()));
        assert_eq!(root(&[]), None);
    }

    #[tokio::test]
    async fn a_failed_fill_leaves_nothing_under_the_final_name_and_the_next_one_starts_empty() {
        let root = scratch("fill");
        let cache = Cache::at(root.clone()).unwrap();
        let folder = cache.folder("thing-1");
        let broken = cache.ensure(&folder, async |partial: &Path| {
            fs::write(partial.join("half"), "x").unwrap();
            Err(Error::NotOurs("broken".into()))
        });
        assert!(broken.await.is_err());
        assert!(!folder.exists());
        let fill = async |partial: &Path| fs::write(partial.join("whole"), "x").doing(String::new);
        cache.ensure(&folder, fill).await.unwrap();
        assert!(folder.join("whole").exists() && !folder.join("half").exists());
        fs::remove_dir_all(root).unwrap();
    }

    #[tokio::test]
    async fn two_launchers_at_once_fetch_one_time() {
        let root = scratch("twice");
        let cache = Cache::at(root.clone()).unwrap();
        let folder = cache.folder("thing-1");
        let fills = std::sync::atomic::AtomicUsize::new(0);
        let fill = async |_: &Path| {
            fills.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            tokio::task::yield_now().await;
            Ok(())
        };
        let (a, b) = tokio::join!(cache.ensure(&folder, fill), cache.ensure(&folder, fill));
        a.unwrap();
        b.unwrap();
        assert_eq!(fills.into_inner(), 1);
        fs::remove_dir_all(root).unwrap();
    }

    #[tokio::test]
    async fn waiting_for_another_launcher_can_be_given_up() {
        let root = scratch("wait");
        let cache = Cache::at(root.clone()).unwrap();
        let held = cache.lock("thing-1").await.unwrap();
        let waiting = tokio::time::timeout(Duration::from_millis(50), cache.lock("thing-1")).await;
        assert!(waiting.is_err(), "two launchers hold one lock");
        drop(held);
        cache.lock("thing-1").await.unwrap();
        fs::remove_dir_all(root).unwrap();
    }

    #[tokio::test]
    async fn a_thing_with_a_cut_file_is_made_anew_and_a_whole_one_is_left_alone() {
        let root = scratch("damage");
        let cache = Cache::at(root.clone()).unwrap();
        let folder = cache.folder("thing-1");
        let fills = std::sync::atomic::AtomicUsize::new(0);
        let fill = async |partial: &Path| {
            fills.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            fs::create_dir(partial.join("libs"))
                .and_then(|()| fs::write(partial.join("libs/a.jar"), "whole"))
                .doing(String::new)
        };
        cache.ensure(&folder, fill).await.unwrap();
        cache.ensure(&folder, fill).await.unwrap();
        fs::write(folder.join("libs/a.jar"), "cut").unwrap();
        cache.ensure(&folder, fill).await.unwrap();
        assert_eq!(fs::read_to_string(folder.join("libs/a.jar")).unwrap(), "whole");
        assert_eq!(fills.into_inner(), 2);
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn only_the_youngest_logs_are_kept() {
        let logs = scratch("logs");
        for second in 100..105 {
            fs::create_dir_all(logs.join(format!("{second}-1"))).unwrap();
        }
        prune(&logs, 2);
        let mut left: Vec<_> = fs::read_dir(&logs).unwrap().map(|e| e.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["103-1", "104-1"]);
        fs::remove_dir_all(logs).unwrap();
    }
}
