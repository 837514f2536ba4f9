//! Which messages are being decided right now, in a small file that outlives a death of the process.
//!
//! A message that kills the process leaves its id here. The file is written without a sync: it has to survive the
//! process, not the machine. Processes that share a directory have a file each, the first one that nobody has locked; who
//! starts reads what all those left behind that are gone. A slot holds one run of messages; whoever decides takes a slot for as long as it takes.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::journal::MessageId;

/// Runs of messages noted at once; more than that are not noted.
const SLOTS: usize = 64;
/// Bytes of a slot: enough for a full run of messages with ordinary ids. What does not fit is not noted.
const SLOT_BYTES: usize = 8_192;
/// Processes that may share a directory.
const FILES_MAX: usize = 64;

/// The file.
pub struct Inflight {
    file: File,
    slots: Mutex<Slots>,
}

/// What dead processes left; the first file will be ours.
pub struct Left(Vec<File>);

impl Left {
    /// Empties the files, once what they held is known elsewhere, and begins with our own.
    ///
    /// # Errors
    /// When a file cannot be emptied.
    pub fn emptied(self) -> io::Result<Inflight> {
        let mut files = self.0;
        files.iter().try_for_each(|file| file.set_len(0))?;
        let file = files.swap_remove(0);
        let slots = Slots { free: (0..SLOTS).rev().collect(), taken: [None; SLOTS] };
        Ok(Inflight { file, slots: Mutex::new(slots) })
    }
}

struct Slots {
    free: Vec<usize>,
    /// Since when each slot is taken.
    taken: [Option<Instant>; SLOTS],
}

impl Inflight {
    /// Opens the first file at `path` (then `path.1` and so on) that no living process has, and reads what dead ones left
    /// in all of them. It stays there until [`Left::emptied`].
    ///
    /// # Errors
    /// When a file cannot be made, locked or read, or all are taken.
    pub fn open(path: &Path) -> io::Result<(Left, Vec<MessageId>)> {
        let mut files = Vec::new();
        let mut left = Vec::new();
        for number in 0..FILES_MAX {
            let mut name = path.as_os_str().to_owned();
            if number > 0 {
                name.push(format!(".{number}"));
            }
            let path = Path::new(&name);
            if !files.is_empty() && !path.exists() {
                break;
            }
            let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => continue,
                Err(TryLockError::Error(error)) => return Err(error),
            }
            let mut bytes = Vec::new();
            (&mut file).take((SLOTS * SLOT_BYTES) as u64).read_to_end(&mut bytes)?;
            left.extend(bytes.chunks(SLOT_BYTES).flat_map(ids));
            files.push(file);
        }
        if files.is_empty() {
            let taken = format!("{FILES_MAX} processes have a file there already");
            return Err(io::Error::new(io::ErrorKind::AddrInUse, taken));
        }
        left.sort();
        left.dedup();
        Ok((Left(files), left))
    }

    /// For how long the oldest note has stood.
    #[must_use]
    pub fn oldest(&self) -> Option<Duration> {
        let slots = self.slots();
        slots.taken.iter().flatten().min().map(Instant::elapsed)
    }

    fn slots(&self) -> MutexGuard<'_, Slots> {
        // Nothing under the lock can panic half-way.
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_slot(&self) -> Option<usize> {
        let mut slots = self.slots();
        let slot = slots.free.pop()?;
        slots.taken[slot] = Some(Instant::now());
        Some(slot)
    }

    /// Notes that these messages are being decided until the answer is dropped.
    pub fn note<'a>(&'a self, messages: impl Iterator<Item = &'a MessageId>) -> Noted<'a> {
        let slot = self.take_slot();
        if let Some(slot) = slot {
            let mut text = String::with_capacity(256);
            for message in messages {
                if text.len() + message.as_str().len() + 2 > SLOT_BYTES {
                    break;
                }
                text.push_str(message.as_str());
                text.push('\n');
            }
            text.push('\0');
            self.write(slot, text.as_bytes());
        }
        Noted { inflight: self, slot }
    }

    fn write(&self, slot: usize, bytes: &[u8]) {
        // A note that fails costs a search for the killer after the next death, nothing else.
        if let Err(error) = self.file.write_all_at(bytes, (slot * SLOT_BYTES) as u64) {
            tracing::warn!(%error, "the in-flight file cannot be written");
        }
    }
}

/// The ids of a slot: lines up to the first zero byte.
fn ids(slot: &[u8]) -> Vec<MessageId> {
    let end = slot.iter().position(|byte| *byte == 0).unwrap_or(slot.len());
    std::str::from_utf8(&slot[..end]).unwrap_or_default().lines().map(MessageId::from).collect()
}

/// Takes the note back when dropped.
pub struct Noted<'a> {
    inflight: &'a Inflight,
    slot: Option<usize>,
}

impl Drop for Noted<'_> {
    fn drop(&mut self) {
        if let Some(slot) = self.slot {
            self.inflight.write(slot, &[0]);
            let mut slots = self.inflight.slots();
            slots.taken[slot] = None;
            slots.free.push(slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(path: &Path) -> (Inflight, Vec<MessageId>) {
        let (left, suspects) = Inflight::open(path).unwrap();
        (left.emptied().unwrap(), suspects)
    }

    #[test]
    fn messages_in_hand_are_found_after_a_death_and_finished_ones_are_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("inflight");
        let (first, suspects) = opened(&path);
        assert!(suspects.is_empty());
        let killer = MessageId::from("task/a:1:0");
        let done = MessageId::from("task/b:1:0");
        drop(first.note([&done].into_iter()));
        std::mem::forget(first.note([&killer].into_iter()));
        drop(first.note([&done].into_iter()));
        drop(first);
        let (unread, suspects) = Inflight::open(&path).unwrap();
        assert_eq!(suspects, std::slice::from_ref(&killer));
        // It dies before it could say so.
        drop(unread);
        let (second, suspects) = opened(&path);
        assert_eq!(suspects, [killer]);
        drop(second);
        assert!(opened(&path).1.is_empty(), "the file was not emptied");
    }

    #[test]
    fn processes_that_share_a_directory_have_a_file_each_and_the_next_reads_those_of_the_dead() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("inflight");
        let (first, _) = opened(&path);
        let (second, suspects) = opened(&path);
        assert!(suspects.is_empty());
        let (one, other) = (MessageId::from("task/a:1:0"), MessageId::from("task/b:1:0"));
        std::mem::forget(first.note([&one].into_iter()));
        std::mem::forget(second.note([&other].into_iter()));
        let (third, suspects) = opened(&path);
        assert!(suspects.is_empty(), "what the living have in hand is not suspected: {suspects:?}");
        drop(third);
        drop(second);
        let (fourth, suspects) = opened(&path);
        assert_eq!(suspects, [other]);
        drop(first);
        assert_eq!(opened(&path).1, [one]);
        drop(fourth);
    }
}
