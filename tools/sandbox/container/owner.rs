//! Whose a container or a folder is: marks that tell, at the next start, whether the program that made it still lives.

use std::collections::HashMap;
use std::fs;

use crate::sandbox::system::start_time;

const PROCESS: &str = "cwm.pid";
const START: &str = "cwm.start";
const BOOT: &str = "cwm.boot";
const NAMESPACE: &str = "cwm.pid-namespace";

/// A process of this machine, told from all others that ever had its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Owner {
    process: u32,
    start: String,
    boot: String,
    namespace: String,
}

impl Owner {
    /// This process.
    pub(super) fn this() -> Owner {
        let process = std::process::id();
        Owner {
            process,
            start: start_time(process).unwrap_or_default(),
            boot: boot(),
            namespace: namespace(),
        }
    }

    /// The marks as a container's labels.
    pub(super) fn labels(&self) -> HashMap<String, String> {
        [
            (PROCESS, self.process.to_string()),
            (START, self.start.clone()),
            (BOOT, self.boot.clone()),
            (NAMESPACE, self.namespace.clone()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// Reads them back; `None` for a container that is not ours.
    pub(super) fn of_labels(labels: &HashMap<String, String>) -> Option<Owner> {
        let value = |name: &str| labels.get(name).cloned();
        Some(Owner {
            process: value(PROCESS)?.parse().ok()?,
            start: value(START)?,
            boot: value(BOOT)?,
            namespace: value(NAMESPACE)?,
        })
    }

    /// The beginning of the names of this owner's folders.
    pub(super) fn folder_prefix(&self) -> String {
        let namespace: String = self.namespace.chars().filter(char::is_ascii_digit).collect();
        format!("cwm-control-{}-{}-{namespace}-", self.process, self.start)
    }

    /// Reads it back. Folders of an earlier boot look like those of a process that ended.
    pub(super) fn of_folder(name: &str) -> Option<Owner> {
        let mut parts = name.strip_prefix("cwm-control-")?.split('-');
        Some(Owner {
            process: parts.next()?.parse().ok()?,
            start: parts.next()?.to_owned(),
            boot: boot(),
            namespace: format!("pid:[{}]", parts.next()?),
        })
    }

    /// Whether the process is known to be gone. One in another namespace of process numbers cannot be judged from here.
    pub(super) fn is_gone(&self) -> bool {
        if self.boot != boot() {
            return true;
        }
        self.namespace == namespace() && start_time(self.process).as_ref() != Some(&self.start)
    }
}

fn boot() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|text| text.trim().to_owned())
        .unwrap_or_default()
}

fn namespace() -> String {
    fs::read_link("/proc/self/ns/pid")
        .map(|link| link.to_string_lossy().into_owned())
        .unwrap_or_default()
}
